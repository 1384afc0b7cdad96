package chain

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// proofFormat is the number of the form that proofs are written in.
const proofFormat = 1

// MaxProof is the most bytes that a written proof may have: a coinbase as large as a
// block, in hexadecimal, and room for the rest.
const MaxProof = 2*MaxBlockWeight/witnessScale + 16<<10

// proofFile is a proof as it is written. Every field has to be there: pointers tell.
type proofFile struct {
	Format         *int            `json:"format"`
	Network        *string         `json:"network"`
	Block          *hashing.Hash   `json:"block"`
	Height         *uint32         `json:"height"`
	Transaction    *hashing.Hash   `json:"transaction"`
	Number         *uint32         `json:"number"`
	Transactions   *uint32         `json:"transactions"`
	Branch         *[]hashing.Hash `json:"branch"`
	Coinbase       *string         `json:"coinbase"` // hex
	CoinbaseBranch *[]hashing.Hash `json:"coinbase_branch"`
	Last           *hashing.Hash   `json:"last"`
	LastBranch     *[]hashing.Hash `json:"last_branch"`
}

// Encode returns the proof as a JSON document for programs and people, which
// [ParseProof] reads.
func (p Proof) Encode() []byte {
	format, coinbase := proofFormat, hex.EncodeToString(p.Coinbase)
	list := func(branch []hashing.Hash) *[]hashing.Hash {
		branch = append([]hashing.Hash{}, branch...) // [] where there are none
		return &branch
	}
	data, err := json.MarshalIndent(proofFile{
		Format: &format, Network: &p.Network, Block: &p.Block, Height: &p.Height,
		Transaction: &p.ID, Number: &p.Number, Transactions: &p.Transactions, Branch: list(p.Branch),
		Coinbase: &coinbase, CoinbaseBranch: list(p.CoinbaseBranch),
		Last: &p.Last, LastBranch: list(p.LastBranch),
	}, "", "  ")
	must(err)
	return append(data, '\n')
}

// ParseProof reads what [Proof.Encode] wrote, strictly: every field, nothing unknown,
// nothing twice, nothing after it. The error is [ErrProofFormat]. Whether the proof
// holds is for [Proof.Verify] to say.
func ParseProof(data []byte) (Proof, error) {
	if len(data) > MaxProof {
		return Proof{}, fmt.Errorf("%w: more than %d bytes", ErrProofFormat, MaxProof)
	}
	var f proofFile
	if err := decodeStrictly(data, &f); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProofFormat, err)
	}
	if missing := f.missing(); missing != "" {
		return Proof{}, fmt.Errorf("%w: no field %q", ErrProofFormat, missing)
	}
	if *f.Format != proofFormat {
		return Proof{}, fmt.Errorf("%w: format %d, want %d", ErrProofFormat, *f.Format, proofFormat)
	}
	coinbase, err := hex.DecodeString(*f.Coinbase)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: coinbase is not hexadecimal", ErrProofFormat)
	}
	p := Proof{
		Network: *f.Network, Block: *f.Block, Height: *f.Height,
		ID: *f.Transaction, Number: *f.Number, Transactions: *f.Transactions, Branch: *f.Branch,
		Coinbase: coinbase, CoinbaseBranch: *f.CoinbaseBranch,
		Last: *f.Last, LastBranch: *f.LastBranch,
	}
	most := hashing.MerkleDepth(maxProofTransactions)
	for i, branch := range [][]hashing.Hash{p.Branch, p.CoinbaseBranch, p.LastBranch} {
		if len(branch) > most {
			name := []string{"branch", "coinbase_branch", "last_branch"}[i]
			return Proof{}, fmt.Errorf("%w: %s of %d hashes, at most %d", ErrProofFormat, name, len(branch), most)
		}
	}
	return p, nil
}

// missing names a field that is not there, empty where all are.
func (f *proofFile) missing() string {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"format", f.Format == nil}, {"network", f.Network == nil}, {"block", f.Block == nil}, {"height", f.Height == nil},
		{"transaction", f.Transaction == nil}, {"number", f.Number == nil}, {"transactions", f.Transactions == nil},
		{"branch", f.Branch == nil}, {"coinbase", f.Coinbase == nil}, {"coinbase_branch", f.CoinbaseBranch == nil},
		{"last", f.Last == nil}, {"last_branch", f.LastBranch == nil},
	} {
		if field.missing {
			return field.name
		}
	}
	return ""
}
