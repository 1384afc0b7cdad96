package chain

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/jbcnet/jbc/hashing"
)

// MaxNetworkFile is the most bytes that a network file may have.
const MaxNetworkFile = 64 << 10

// networkFormat is the version of the file's form.
const networkFormat = 1

// networkFile is a network as one JSON document that people read and pass on.
// docs/consensus.md has it as a table. What is fixed at birth is committed to by
// the genesis block; the three fields of trust may be added and changed later.
type networkFile struct {
	Format     int              `json:"format"`
	Name       string           `json:"name"`
	Spacing    uint32           `json:"spacing_s"`
	Difficulty string           `json:"difficulty"`
	HalfLife   uint32           `json:"half_life_s,omitempty"`
	Reward     string           `json:"reward"`
	Halving    uint32           `json:"halving_blocks"`
	Maturity   uint32           `json:"maturity_blocks"`
	PowLimit   string           `json:"pow_limit"`
	MaxWeight  int              `json:"max_weight"`
	Address    networkAddresses `json:"address"`
	Genesis    string           `json:"genesis"`

	Checkpoints   map[string]string `json:"checkpoints,omitempty"`
	MinimumWork   string            `json:"minimum_work,omitempty"`
	FinalityDepth uint32            `json:"finality_depth,omitempty"`
}

type networkAddresses struct {
	Bech32     string `json:"bech32"`
	PubKeyHash uint8  `json:"pubkey_hash"`
	ScriptHash uint8  `json:"script_hash"`
	PrivateKey uint8  `json:"private_key"`
}

// difficulties are the schedules that a network file can name.
var difficulties = map[string]Schedule{"asert": ScheduleASERT, "none": ScheduleNone}

// ParseNetwork reads a network file, strictly: nothing unknown, nothing twice,
// nothing after it. The network is good to use: it passes [Params.Check], and its
// genesis block commits to the parameters, else the error is [ErrNetworkChanged].
func ParseNetwork(data []byte) (*Params, error) {
	p, err := parseNetwork(data)
	if err != nil {
		return nil, fmt.Errorf("network file: %w", err)
	}
	return p, nil
}

func parseNetwork(data []byte) (*Params, error) {
	if len(data) > MaxNetworkFile {
		return nil, fmt.Errorf("more than %d bytes", MaxNetworkFile)
	}
	var f networkFile
	if err := decodeStrictly(data, &f); err != nil {
		return nil, err
	}
	if f.Format != networkFormat {
		return nil, fmt.Errorf("format %d, this version reads %d", f.Format, networkFormat)
	}
	p, err := f.params()
	if err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := p.checkPrivate(); err != nil {
		return nil, err
	}
	return p, p.checkCommitment()
}

// MarshalFile returns the network file of p: [ParseNetwork] reads it back. The
// error says that p can't be told by a file, as built-in networks can't.
func (p *Params) MarshalFile() ([]byte, error) {
	for _, check := range []func() error{p.Check, p.checkPrivate, p.checkCommitment} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	f := networkFile{
		Format: networkFormat, Name: p.Name, Difficulty: p.difficulty(),
		Spacing: uint32(p.Spacing / time.Second), HalfLife: uint32(p.HalfLife / time.Second),
		Reward: FormatCoins(p.InitialSubsidy), Halving: p.HalvingInterval, Maturity: p.Maturity,
		PowLimit: p.PowLimit.String(), MaxWeight: p.BlockWeight(),
		Address: networkAddresses{
			Bech32: p.Address.Bech32HRPSegwit, PubKeyHash: p.Address.PubKeyHashAddrID,
			ScriptHash: p.Address.ScriptHashAddrID, PrivateKey: p.Address.PrivateKeyID,
		},
		Genesis:       hex.EncodeToString(p.Genesis.Encode()),
		FinalityDepth: p.FinalityDepth,
	}
	if p.MinimumWork != (Work{}) {
		f.MinimumWork = p.MinimumWork.String()
	}
	if len(p.Checkpoints) > 0 {
		f.Checkpoints = map[string]string{}
		for height, hash := range p.Checkpoints {
			f.Checkpoints[strconv.FormatUint(uint64(height), 10)] = hash.String()
		}
	}
	data, err := json.MarshalIndent(&f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("network file: %w", err)
	}
	if data = append(data, '\n'); len(data) > MaxNetworkFile {
		return nil, fmt.Errorf("network file of %d bytes: at most %d", len(data), MaxNetworkFile)
	}
	return data, nil
}

// difficulty returns the word for p's schedule, empty where files have none.
func (p *Params) difficulty() string {
	for word, schedule := range difficulties {
		if schedule == p.Schedule {
			return word
		}
	}
	return ""
}

// params reads the fields one by one. What they mean together is for the checks.
func (f *networkFile) params() (*Params, error) {
	p := &Params{
		Name: f.Name, Schedule: difficulties[f.Difficulty],
		Spacing: time.Duration(f.Spacing) * time.Second, HalfLife: time.Duration(f.HalfLife) * time.Second,
		HalvingInterval: f.Halving, Maturity: f.Maturity, MaxWeight: f.MaxWeight, VersionRolling: true,
		FinalityDepth: f.FinalityDepth,
		Address: &chaincfg.Params{
			Name: f.Name, Bech32HRPSegwit: f.Address.Bech32, PubKeyHashAddrID: f.Address.PubKeyHash,
			ScriptHashAddrID: f.Address.ScriptHash, PrivateKeyID: f.Address.PrivateKey,
		},
	}
	if p.Schedule == 0 {
		return nil, fmt.Errorf("difficulty %.40q: want asert or none", f.Difficulty)
	}
	if f.MaxWeight == 0 {
		return nil, errors.New("max_weight is missing")
	}
	var err error
	if p.InitialSubsidy, err = ParseCoins(f.Reward); err != nil {
		return nil, fmt.Errorf("reward: %w", err)
	}
	if err := p.PowLimit.UnmarshalText([]byte(f.PowLimit)); err != nil {
		return nil, fmt.Errorf("pow_limit: %w", err)
	}
	if f.MinimumWork != "" {
		if err := p.MinimumWork.UnmarshalText([]byte(f.MinimumWork)); err != nil {
			return nil, fmt.Errorf("minimum_work: %w", err)
		}
	}
	if p.Checkpoints, err = f.checkpoints(); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(f.Genesis)
	if err != nil {
		return nil, errors.New("genesis is not hexadecimal")
	}
	if p.Genesis, err = DecodeBlock(raw); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return p, nil
}

func (f *networkFile) checkpoints() (map[uint32]hashing.Hash, error) {
	if len(f.Checkpoints) == 0 {
		return nil, nil
	}
	points := make(map[uint32]hashing.Hash, len(f.Checkpoints))
	for text, digits := range f.Checkpoints {
		height, err := strconv.ParseUint(text, 10, 32)
		if err != nil || strconv.FormatUint(height, 10) != text { // "7" and "07" would be one
			return nil, fmt.Errorf("checkpoint at %.40q: want a height", text)
		}
		hash, err := hashing.ParseHash(digits)
		if err != nil {
			return nil, fmt.Errorf("checkpoint %d: %w", height, err)
		}
		points[uint32(height)] = hash
	}
	return points, nil
}

// decodeStrictly reads one JSON document of the fields of f, a struct's, and no other.
func decodeStrictly(data []byte, f any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return explainJSON(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON document")
	}
	return checkNames(json.NewDecoder(bytes.NewReader(data)))
}

// checkNames wants the names of an object to be unique and in lower case. Package
// json takes the last of two that are the same, and "NAME" or "maſter" for what
// they resemble: two readers could see two networks in one file.
func checkNames(d *json.Decoder) error {
	open, err := d.Token()
	if err == nil && open == json.Delim('[') {
		for d.More() {
			if err := checkNames(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	if err != nil || open != json.Delim('{') {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		for _, c := range name {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
				return fmt.Errorf("field %.40q: fields are written in lower case", name)
			}
		}
		if seen[name] {
			return fmt.Errorf("field %.40q is there twice", name)
		}
		seen[name] = true
		if err := checkNames(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// explainJSON says what is wrong without the names of Go.
func explainJSON(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("field %q can't be a %s", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON document ends too early")
	}
	return errors.New(string(bytes.TrimPrefix([]byte(err.Error()), []byte("json: "))))
}
