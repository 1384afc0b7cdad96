package chain

import (
	"fmt"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/jbcnet/jbc/hashing"
)

// Networks returns the built-in networks, the default first.
func Networks() []*Params { return []*Params{Dev(), Main(), Regtest(), Bitcoin()} }

// ByName returns the built-in network of that name. The error lists those there are.
func ByName(name string) (*Params, error) {
	var known []string
	for _, p := range Networks() {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return nil, fmt.Errorf("no network %q; there are %s", name, strings.Join(known, ", "))
}

// Dev is the network to try things on: a block every 2 s, at least about 2^22
// hashes each, difficulty that follows within minutes.
func Dev() *Params {
	return &Params{
		Name:            "dev",
		Genesis:         genesis(devGenesis),
		PowLimit:        0x1e03ffff,
		Schedule:        ScheduleASERT,
		Spacing:         2 * time.Second,
		HalfLife:        2 * time.Minute,
		InitialSubsidy:  50 * Coin,
		HalvingInterval: 210_000,
		Maturity:        100,
		VersionRolling:  true,
		Address: &chaincfg.Params{
			Name: "dev", Bech32HRPSegwit: "jbcd",
			PubKeyHashAddrID: 90, ScriptHashAddrID: 91, PrivateKeyID: 218,
		},
	}
}

// Main is the network for a farm: a block every 30 s, at least about 2^28 hashes
// each. Its subsidy halves after 2,102,400 blocks, two years.
func Main() *Params {
	return &Params{
		Name:            "main",
		Genesis:         genesis(mainGenesis),
		PowLimit:        0x1d0fffff,
		Schedule:        ScheduleASERT,
		Spacing:         30 * time.Second,
		HalfLife:        20 * time.Minute,
		InitialSubsidy:  50 * Coin,
		HalvingInterval: 2_102_400,
		Maturity:        100,
		VersionRolling:  true,
		Address: &chaincfg.Params{
			Name: "main", Bech32HRPSegwit: "jbc",
			PubKeyHashAddrID: 43, ScriptHashAddrID: 45, PrivateKeyID: 171,
		},
	}
}

// Regtest has the parameters and genesis of Bitcoin's regression test: every
// second hash makes a block, and the difficulty never changes.
func Regtest() *Params {
	return &Params{
		Name:            "regtest",
		Genesis:         regtestGenesis(),
		PowLimit:        0x207fffff,
		Schedule:        ScheduleNone,
		Spacing:         10 * time.Minute,
		InitialSubsidy:  50 * Coin,
		HalvingInterval: 150,
		Maturity:        100,
		VersionRolling:  true,
		Address:         &chaincfg.RegressionNetParams,
	}
}

// builtinHash reads a hash that is written here.
func builtinHash(digits string) hashing.Hash {
	h, err := hashing.ParseHash(digits)
	if err != nil {
		panic("chain: built-in hash: " + err.Error())
	}
	return h
}

// Bitcoin has the parameters of Bitcoin's main network, for replaying its blocks.
func Bitcoin() *Params {
	return &Params{
		Name:            "bitcoin",
		Genesis:         genesis(bitcoinGenesis),
		PowLimit:        0x1d00ffff,
		Schedule:        ScheduleBitcoin,
		Spacing:         10 * time.Minute,
		InitialSubsidy:  50 * Coin,
		HalvingInterval: 210_000,
		Maturity:        100,
		Forks: Forks{
			BIP16: 173_805, BIP34: 227_931, BIP66: 363_725, BIP65: 388_381, CSV: 419_328, SegWit: 481_824, Taproot: 709_632,
			BIP30Exceptions: map[uint32]hashing.Hash{
				91_842: builtinHash("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),
				91_880: builtinHash("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),
			},
		},
		VersionRolling: true,
		Address:        &chaincfg.MainNetParams,
	}
}
