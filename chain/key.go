package chain

import (
	"fmt"
	"io"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
)

// Key is a private key and the address that it can spend from. Whoever has WIF
// has the coins: it belongs in no log and on no command line.
type Key struct {
	WIF     string // wallet import format, compressed, with the network's prefix
	Address string // P2WPKH
}

// String returns the address, so that a printed Key tells no secret.
func (k Key) String() string { return k.Address }

// GoString returns the address too.
func (k Key) GoString() string { return k.Address }

// NewKey makes a key for a network from 32 bytes of rand, which must be
// crypto/rand.Reader for a key that is to hold anything.
func NewKey(p *Params, rand io.Reader) (Key, error) {
	for {
		var secret [32]byte
		if _, err := io.ReadFull(rand, secret[:]); err != nil {
			return Key{}, fmt.Errorf("new key: %w", err)
		}
		var scalar btcec.ModNScalar
		if overflow := scalar.SetBytes(&secret); overflow != 0 || scalar.IsZero() {
			continue // not below the group's order: one in 2^127
		}
		private, public := btcec.PrivKeyFromBytes(secret[:])
		wif, err := btcutil.NewWIF(private, p.Address, true)
		if err != nil {
			return Key{}, fmt.Errorf("new key: %w", err)
		}
		paid, _ := witnessAddress(p, 0, address.Hash160(public.SerializeCompressed()))
		return Key{WIF: wif.String(), Address: paid}, nil
	}
}

// ParseKey reads the WIF of a key of this network. The error does not repeat it.
func ParseKey(p *Params, wif string) (Key, error) {
	parsed, err := btcutil.DecodeWIF(wif)
	if err != nil {
		return Key{}, fmt.Errorf("private key: %w", err)
	}
	if !parsed.IsForNet(p.Address) || !parsed.CompressPubKey {
		return Key{}, fmt.Errorf("private key: not a compressed key of network %s", p.Name)
	}
	paid, _ := witnessAddress(p, 0, address.Hash160(parsed.SerializePubKey()))
	return Key{WIF: wif, Address: paid}, nil
}
