package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// verifyProofFlags are the flags of jbc chain verify-proof.
type verifyProofFlags struct {
	network, headers string
	confirmations    uint32
	json             bool
}

// confirmedJSON is what a proof shows, for programs.
type confirmedJSON struct {
	Network       string       `json:"network"`
	Transaction   hashing.Hash `json:"transaction"`
	Number        uint32       `json:"number"`
	Transactions  uint32       `json:"transactions"`
	Block         hashing.Hash `json:"block"`
	Height        uint32       `json:"height"`
	Time          uint32       `json:"time"` // seconds since 1970
	Confirmations uint32       `json:"confirmations"`
	Work          chain.Work   `json:"work"` // of the block and those after it
	Tip           hashing.Hash `json:"tip"`
	TipHeight     uint32       `json:"tip_height"`
	Chainwork     chain.Work   `json:"chainwork"`
}

func newChainVerifyProof(s *shell) *cobra.Command {
	var f verifyProofFlags
	cmd := &cobra.Command{
		Use:   "verify-proof PROOF --headers FILE",
		Short: "Check a transaction's proof against the chain's headers",
		Long: "Check a proof of jbc chain prove against a file of headers, as jbc chain export --headers\n" +
			"writes them from the first block on: that they are a chain with all its proof of work,\n" +
			"and that the block which the proof names is in it and has the transaction. The exit\n" +
			"status is 1 where that is not so. One of the two files can be \"-\", standard input.\n\n" +
			"Headers from somebody else may be those of a shorter chain: look at the tip and the\n" +
			"chainwork. Nothing is read from a data directory.",
		Example: "  jbc chain verify-proof proof.json --headers headers.bin --network bitcoin --confirmations 6",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.headers == "":
				return usageError(errors.New("no headers"), "--headers FILE, as jbc chain export --headers writes it")
			case f.headers == "-" && args[0] == "-":
				return usageError(errors.New("proof and headers are both standard input"), "name a file for one of them")
			}
			return f.run(cmd, s, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "dev", "network that the proof has to be of: "+networkUsage)
	flags.StringVar(&f.headers, "headers", "", "`file` of the chain's headers")
	markCommandLineOnly(flags, "headers")
	flags.Uint32Var(&f.confirmations, "confirmations", 1, "how many blocks there have to be, from the transaction's own up to the tip")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *verifyProofFlags) run(cmd *cobra.Command, s *shell, name string) error {
	params, err := networkByName(f.network)
	if err != nil {
		return err
	}
	ctx, stdin := cmd.Context(), cmd.InOrStdin()
	proof, err := readProof(ctx, stdin, name)
	if err != nil {
		return err
	}
	headers, err := f.readHeaders(ctx, s, stdin, params)
	if err != nil {
		return err
	}
	got, err := proof.Verify(headers, f.confirmations)
	if err != nil {
		return explainProof(err, headers.Tip())
	}
	return f.print(s, params, &proof, &got)
}

// input opens a file that a command was given, or standard input, which is read until
// ctx ends.
func input(ctx context.Context, stdin io.Reader, name, what string) (io.ReadCloser, error) {
	if name == "-" {
		return &stoppable{stop: ctx.Done(), open: func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }}, nil
	}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError(fmt.Errorf("no %s at %s", what, name), "")
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("%s: %w", what, err), "")
	}
	return file, nil
}

func readProof(ctx context.Context, stdin io.Reader, name string) (chain.Proof, error) {
	file, err := input(ctx, stdin, name, "proof")
	if err != nil {
		return chain.Proof{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, chain.MaxProof+1))
	if err != nil {
		return chain.Proof{}, fmt.Errorf("proof: %w", err)
	}
	proof, err := chain.ParseProof(data)
	if err != nil {
		return proof, withHint(fmt.Errorf("%s: %w", name, err), "jbc chain prove makes proofs")
	}
	return proof, nil
}

// readHeaders judges every header of the file.
func (f *verifyProofFlags) readHeaders(ctx context.Context, s *shell, stdin io.Reader, params *chain.Params) (*chain.HeaderChain, error) {
	file, err := input(ctx, stdin, f.headers, "file of headers")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	total := int64(0)
	if file, ok := file.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			total = info.Size()
		}
	}
	headers := params.NewHeaderChain()
	var read atomic.Int64
	describe := func(elapsed time.Duration) string {
		return fmt.Sprintf("%s  %s headers", bar(read.Load(), total, elapsed), perSecond(read.Load()/hashing.HeaderSize, elapsed))
	}
	err = s.showWork(describe, func() error { return headers.Read(ctx, file, time.Now(), read.Store) })
	switch rule := (*chain.RuleError)(nil); {
	case err == nil:
		return headers, nil
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("%w after %d headers", errInterrupted, read.Load()/hashing.HeaderSize)
	case errors.As(err, &rule):
		return nil, withHint(fmt.Errorf("headers %s: %w", f.headers, err), fmt.Sprintf("docs/consensus.md has rule %d; a file of headers begins with the first block of network %s", rule.Rule, params.ID()))
	}
	return nil, withHint(fmt.Errorf("headers %s: %w", f.headers, err), "jbc chain export --headers writes such files")
}

// explainProof adds to what is wrong with a proof what to try.
func explainProof(err error, tip chain.Tip) error {
	switch {
	case errors.Is(err, chain.ErrProofNetwork):
		return withHint(err, "--network says which network the transaction has to be on")
	case errors.Is(err, chain.ErrProofBlock), errors.Is(err, chain.ErrProofConfirmations), errors.Is(err, chain.ErrProofWork):
		return withHint(err, fmt.Sprintf("the headers end at height %d; get newer ones from a node that is up to date", tip.Height))
	}
	return err
}

func (f *verifyProofFlags) print(s *shell, params *chain.Params, p *chain.Proof, c *chain.Confirmed) error {
	if f.json {
		return printJSON(s.out, confirmedJSON{
			Network: params.ID(), Transaction: p.ID, Number: p.Number, Transactions: p.Transactions,
			Block: p.Block, Height: p.Height, Time: c.Header.Time(), Confirmations: c.Confirmations, Work: c.Work,
			Tip: c.Tip.Hash, TipHeight: c.Tip.Height, Chainwork: c.Tip.Work,
		})
	}
	return table(s.out, func(line func(string, ...any)) {
		line("transaction\t%s", p.ID)
		line("block\t%s", p.Block)
		line("height\t%d, transaction number %d of %d", p.Height, p.Number, p.Transactions)
		line("time\t%s", time.Unix(int64(c.Header.Time()), 0).UTC().Format(time.RFC3339))
		line("confirmations\t%d", c.Confirmations)
		line("work\t%s, of its block and those after it", c.Work)
		line("tip\t%d  %s", c.Tip.Height, c.Tip.Hash)
		line("chainwork\t%s", c.Tip.Work)
	})
}
