package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// networkInfo is a network as programs read it.
type networkInfo struct {
	ID            string                  `json:"id"`
	Name          string                  `json:"name"`
	Genesis       hashing.Hash            `json:"genesis"`
	Made          uint32                  `json:"made"` // seconds since 1970
	Message       string                  `json:"message,omitempty"`
	Spacing       float64                 `json:"spacing_s"`
	Difficulty    string                  `json:"difficulty"`
	HalfLife      float64                 `json:"half_life_s,omitempty"`
	MaxFuture     float64                 `json:"max_future_s"`
	PowLimit      hashing.Bits            `json:"pow_limit"`
	Hashes        float64                 `json:"hashes"` // that a block takes at least, on average
	Reward        string                  `json:"reward"`
	Halving       uint32                  `json:"halving_blocks"`
	Maturity      uint32                  `json:"maturity_blocks"`
	MaxWeight     int                     `json:"max_weight"`
	Address       addressInfo             `json:"address"`
	Forks         map[string]uint32       `json:"forks,omitempty"` // heights above 1 alone
	Checkpoints   map[uint32]hashing.Hash `json:"checkpoints,omitempty"`
	MinimumWork   chain.Work              `json:"minimum_work,omitzero"`
	FinalityDepth uint32                  `json:"finality_depth,omitempty"`
}

type addressInfo struct {
	Bech32     string `json:"bech32"`
	PubKeyHash byte   `json:"pubkey_hash"`
	ScriptHash byte   `json:"script_hash"`
	PrivateKey byte   `json:"private_key"`
}

func newNetworkShow(s *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show FILE|NAME",
		Short:   "Show the parameters of a network",
		Example: "  jbc network show main\n  jbc network show farm.network.json --json",
		Args:    exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			params, err := networkByName(args[0])
			if err != nil {
				return err
			}
			return s.printNetwork(params, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func describeNetwork(p *chain.Params) networkInfo {
	info := networkInfo{
		ID: p.ID(), Name: p.Name, Genesis: p.Genesis.Hash(), Made: p.Genesis.Header.Time(), Message: chain.GenesisMessage(p.Genesis),
		Spacing: p.Spacing.Seconds(), HalfLife: p.HalfLife.Seconds(), MaxFuture: p.MaxFuture().Seconds(),
		Difficulty: map[chain.Schedule]string{chain.ScheduleASERT: "asert", chain.ScheduleBitcoin: "bitcoin", chain.ScheduleNone: "none"}[p.Schedule],
		PowLimit:   p.PowLimit,
		Reward:     chain.FormatCoins(p.InitialSubsidy), Halving: p.HalvingInterval, Maturity: p.Maturity, MaxWeight: p.BlockWeight(),
		Address: addressInfo{
			Bech32: p.Address.Bech32HRPSegwit, PubKeyHash: p.Address.PubKeyHashAddrID,
			ScriptHash: p.Address.ScriptHashAddrID, PrivateKey: p.Address.PrivateKeyID,
		},
		Forks:       map[string]uint32{},
		Checkpoints: p.Checkpoints, MinimumWork: p.MinimumWork, FinalityDepth: p.FinalityDepth,
	}
	if limit, err := p.PowLimit.Target(); err == nil {
		info.Hashes = limit.Hashes()
	}
	for name, height := range map[string]uint32{
		"bip16": p.Forks.BIP16, "bip34": p.Forks.BIP34, "bip65": p.Forks.BIP65, "bip66": p.Forks.BIP66,
		"csv": p.Forks.CSV, "segwit": p.Forks.SegWit, "taproot": p.Forks.Taproot,
	} {
		if height > 1 {
			info.Forks[name] = height
		}
	}
	return info
}

func (s *shell) printNetwork(p *chain.Params, asJSON bool) error {
	info := describeNetwork(p)
	if asJSON {
		return printJSON(s.out, info)
	}
	return table(s.out, func(line func(string, ...any)) {
		line("network\t%s", info.ID)
		line("genesis\t%s", info.Genesis)
		line("made\t%s", time.Unix(int64(info.Made), 0).UTC().Format(time.RFC3339))
		if info.Message != "" {
			line("message\t%s", info.Message)
		}
		line("a block every\t%v", p.Spacing)
		if p.HalfLife > 0 {
			line("difficulty\t%s, half-life %v", info.Difficulty, p.HalfLife)
		} else {
			line("difficulty\t%s", info.Difficulty)
		}
		line("future limit\t%v", p.MaxFuture())
		line("at least\t%.0f hashes a block (%s)", info.Hashes, info.PowLimit)
		line("reward\t%s coins, %s", info.Reward, halvings(info.Halving))
		line("spent after\t%d blocks", info.Maturity)
		line("block weight\tat most %d", info.MaxWeight)
		line("addresses\t%s1..., base58 %d and %d, keys %d", info.Address.Bech32, info.Address.PubKeyHash, info.Address.ScriptHash, info.Address.PrivateKey)
		line("soft forks\t%s", forkHeights(info.Forks))
		for _, height := range slices.Sorted(maps.Keys(info.Checkpoints)) {
			line("checkpoint\t%d  %s", height, info.Checkpoints[height])
		}
		if info.MinimumWork != (chain.Work{}) {
			line("chainwork\tat least %s", info.MinimumWork)
		}
		if info.FinalityDepth > 0 {
			line("final\t%d blocks below the tip", info.FinalityDepth)
		}
	})
}

func halvings(blocks uint32) string {
	if blocks == 0 {
		return "for ever"
	}
	return fmt.Sprintf("halved every %d blocks", blocks)
}

// forkHeights lists soft forks in the order of their heights.
func forkHeights(heights map[string]uint32) string {
	if len(heights) == 0 {
		return "all from block 1"
	}
	names := slices.SortedFunc(maps.Keys(heights), func(a, b string) int {
		return cmp.Or(cmp.Compare(heights[a], heights[b]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, heights[name])
	}
	return "from " + strings.Join(names, ", ")
}
