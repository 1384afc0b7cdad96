package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// networkNewFlags are the flags of jbc network new.
type networkNewFlags struct {
	spacing, halfLife                                  time.Duration
	reward, prefix, bits, hashes, message, output, at  string
	halving, maturity                                  uint32
	maxWeight                                          int
	json                                               bool
	givenHalfLife, givenBits, givenHashes, givenPrefix bool
}

// Base58 prefixes of private networks: none of a built-in network's, and that of a
// key 128 above that of its address, as Bitcoin has it.
const (
	ownPubKeyHash = 105
	ownScriptHash = 107
	ownPrivateKey = 233
)

func newNetworkNew(s *shell) *cobra.Command {
	var f networkNewFlags
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a private network as one file",
		Long: "Make a private network as one file, its first block mined on the spot by all cores.\n" +
			"Give the file to every machine of it. Its first block commits to the parameters: who\n" +
			"changes them has another network. Every run makes another one, whatever its name.",
		Example: "  jbc network new farm\n  jbc network new class --spacing 10s --reward 25 --prefix jbcc\n  jbc network new still --half-life 0 --hashes 2^20",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := cmd.Flags().Changed
			f.givenHalfLife, f.givenPrefix = changed("half-life"), changed("prefix")
			f.givenBits, f.givenHashes = changed("bits"), changed("hashes")
			params, genesis, err := f.plan(args[0], time.Now())
			if err != nil {
				return err
			}
			return f.make(cmd.Context(), s, params, genesis)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.spacing, "spacing", 30*time.Second, "planned time between blocks, whole seconds")
	flags.DurationVar(&f.halfLife, "half-life", 0, "how fast the difficulty follows, whole seconds; 0: never (default 40 spacings, at least 2m)")
	flags.StringVar(&f.reward, "reward", "50", "`coins` that a block creates at first")
	flags.Uint32Var(&f.halving, "halving", 210_000, "`blocks` after which the reward halves; 0: never")
	flags.Uint32Var(&f.maturity, "maturity", 100, "`blocks` after which a reward can be spent")
	flags.IntVar(&f.maxWeight, "max-weight", chain.MaxBlockWeight, "most that a block may weigh, four a byte and one a byte of witness")
	flags.StringVar(&f.prefix, "prefix", "", "what addresses start with, before a 1 (default the letters of NAME)")
	flags.StringVar(&f.hashes, "hashes", "2^22", "`number` of hashes that a block takes at least, on average; 2^N is one too")
	flags.StringVar(&f.bits, "bits", "", "the same as compact `bits`, 8 hex digits")
	flags.StringVar(&f.message, "message", "", "`text` for the first block (default NAME and the date)")
	flags.StringVar(&f.at, "time", "", "`time` of the first block, as 2026-11-20T12:00:00Z (default now)")
	flags.StringVarP(&f.output, "output", "o", "", "`file` to write, where there is none yet (default NAME.network.json)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// plan turns the flags into a network and a genesis block to be mined.
func (f *networkNewFlags) plan(name string, now time.Time) (*chain.Params, *chain.Block, error) {
	const help = "jbc network new --help says what the flags take"
	if builtIn, err := chain.ByName(name); err == nil {
		return nil, nil, usageError(fmt.Errorf("network %s is built in", builtIn.Name), "choose another name")
	}
	limit, err := f.limit()
	if err != nil {
		return nil, nil, err
	}
	subsidy, err := chain.ParseCoins(f.reward)
	if err != nil {
		return nil, nil, usageError(err, "--reward takes coins, for example 50 or 0.5")
	}
	made, err := f.made(now)
	if err != nil {
		return nil, nil, err
	}
	prefix, err := f.addressPrefix(name)
	if err != nil {
		return nil, nil, err
	}
	if f.maxWeight == 0 { // in Params that is the default
		return nil, nil, usageError(errors.New("a block weight of 0"), help)
	}
	p := &chain.Params{
		Name: name, PowLimit: limit, Schedule: chain.ScheduleASERT, Spacing: f.spacing, HalfLife: f.halfLife,
		InitialSubsidy: subsidy, HalvingInterval: f.halving, Maturity: f.maturity, MaxWeight: f.maxWeight, VersionRolling: true,
		Address: &chaincfg.Params{
			Name: name, Bech32HRPSegwit: prefix,
			PubKeyHashAddrID: ownPubKeyHash, ScriptHashAddrID: ownScriptHash, PrivateKeyID: ownPrivateKey,
		},
	}
	switch {
	case !f.givenHalfLife:
		p.HalfLife = max(40*f.spacing, 2*time.Minute)
	case f.halfLife == 0:
		p.Schedule = chain.ScheduleNone
	}
	message := f.message
	if message == "" {
		message = fmt.Sprintf("JBC %s %s", name, made.Format(time.DateOnly))
	}
	var tag [8]byte
	rand.Read(tag[:]) // never fails
	genesis, err := chain.NewGenesis(p, message, tag, uint32(made.Unix()))
	if err != nil {
		return nil, nil, usageError(err, help)
	}
	return p, genesis, nil
}

// limit returns the easiest bits.
func (f *networkNewFlags) limit() (hashing.Bits, error) {
	if f.givenBits && f.givenHashes {
		return 0, usageError(errors.New("--bits and --hashes are both given"), "both say what a block takes at least: give one of them")
	}
	if f.givenBits {
		var bits hashing.Bits
		if err := bits.UnmarshalText([]byte(f.bits)); err != nil {
			return 0, usageError(err, "--bits takes 8 hex digits, for example 1e03ffff")
		}
		if _, err := bits.Target(); err != nil {
			return 0, usageError(err, "--bits takes 8 hex digits, for example 1e03ffff")
		}
		return bits, nil
	}
	hashes, err := parseHashes(f.hashes)
	if err != nil {
		return 0, usageError(err, "--hashes takes a number such as 4194304 or 2^22")
	}
	return hashing.TargetForHashes(hashes).Bits(), nil
}

// maxExponent bounds 2^N hashes: what everybody mines Bitcoin with takes half a
// minute for as many.
const maxExponent = 75

// parseHashes reads a whole number from 2 to 2^75, or a power of two as 2^22.
func parseHashes(text string) (float64, error) {
	if exponent, power := strings.CutPrefix(text, "2^"); power {
		if n, err := strconv.ParseUint(exponent, 10, 8); err == nil && n >= 1 && n <= maxExponent {
			return math.Ldexp(1, int(n)), nil
		}
	} else if n, err := strconv.ParseUint(text, 10, 64); err == nil && n >= 2 {
		return float64(n), nil
	}
	return 0, fmt.Errorf("%.40q hashes: want 2 to 2^%d", text, maxExponent)
}

// made returns the time of the first block, to the second. In the future it would
// keep everybody from mining until then.
func (f *networkNewFlags) made(now time.Time) (time.Time, error) {
	if f.at == "" {
		return now.UTC().Truncate(time.Second), nil
	}
	made, err := time.Parse(time.RFC3339, f.at)
	if err != nil {
		return time.Time{}, usageError(fmt.Errorf("time %.40q", f.at), "--time takes one such as 2026-11-20T12:00:00Z")
	}
	if made.Unix() < 0 || made.After(now) || made.Unix() > math.MaxUint32 {
		return time.Time{}, usageError(fmt.Errorf("time %s is before 1970 or in the future", made.UTC().Format(time.RFC3339)), "leave --time out for now")
	}
	return made.UTC(), nil
}

// addressPrefix returns what addresses start with: what is given, or what of the
// name can be.
func (f *networkNewFlags) addressPrefix(name string) (string, error) {
	prefix := f.prefix
	if !f.givenPrefix {
		prefix = strings.TrimLeft(strings.NewReplacer("-", "", "1", "").Replace(name), "0123456789")
		prefix = prefix[:min(len(prefix), 16)]
	}
	for _, p := range chain.Networks() {
		if prefix == p.Address.Bech32HRPSegwit {
			return "", usageError(fmt.Errorf("addresses of network %s start with %s1 too", p.Name, prefix), "choose another prefix with --prefix")
		}
	}
	if prefix == "" {
		return "", usageError(fmt.Errorf("no prefix for addresses in the name %.80q", name), "give one with --prefix")
	}
	return prefix, nil
}

// path returns the file to write. The error says that there is one.
func (f *networkNewFlags) path(name string) (string, error) {
	path := f.output
	if path == "" {
		path = name + ".network.json"
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s is there already", path)
		}
		return "", usageError(err, "choose another file with --output; a network that is in use is nothing to overwrite")
	}
	return path, nil
}
