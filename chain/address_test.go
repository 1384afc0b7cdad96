package chain

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

func TestNewKey(t *testing.T) {
	prefixes := map[string]string{"dev": "jbcd1q", "main": "jbc1q", "regtest": "bcrt1q", "bitcoin": "bc1q"}
	for _, p := range Networks() {
		t.Run(p.Name, func(t *testing.T) {
			key, err := NewKey(p, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(key.Address, prefixes[p.Name]) {
				t.Errorf("address %s, want prefix %s", key.Address, prefixes[p.Name])
			}
			script, err := ParseAddress(p, key.Address)
			if err != nil || len(script) != 22 {
				t.Fatalf("script %x, %v, want 22 bytes", script, err)
			}
			if back, ok := AddressOf(p, script); !ok || back != key.Address {
				t.Errorf("address of the script: %q, %v, want %s", back, ok, key.Address)
			}
			if upper, err := ParseAddress(p, strings.ToUpper(key.Address)); err != nil || string(upper) != string(script) {
				t.Errorf("in capitals: %x, %v, want %x", upper, err, script)
			}
			wif, err := btcutil.DecodeWIF(key.WIF)
			if err != nil || !wif.IsForNet(p.Address) || !wif.CompressPubKey {
				t.Errorf("private key: %v, for the network %v", err, wif != nil && wif.IsForNet(p.Address))
			}
			for _, printed := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s", key, key, key, key)} {
				if strings.Contains(printed, key.WIF) {
					t.Error("printing a key shows its secret")
				}
			}
			for _, other := range Networks() {
				if other.Name == p.Name {
					continue
				}
				_, err := ParseAddress(other, key.Address)
				if !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), "want network "+other.Name) {
					t.Errorf("on %s: %v, want %v naming the network", other.Name, err, ErrAddress)
				}
			}
		})
	}
	if _, err := NewKey(Dev(), strings.NewReader("short")); err == nil {
		t.Error("a key from five bytes")
	}
}

// TestAddressesLeaveNoState: package chaincfg has not heard of our networks.
func TestAddressesLeaveNoState(t *testing.T) {
	for _, p := range []*Params{Dev(), Main()} {
		if chaincfg.IsBech32SegwitPrefix(p.Address.Bech32HRPSegwit + "1") {
			t.Errorf("prefix %s is registered", p.Address.Bech32HRPSegwit)
		}
	}
}

func TestAddressOfOtherScripts(t *testing.T) {
	for _, script := range []string{"", "\x6a", "\x51", "\x00\x14short", "\x00\x03abc"} {
		if got, ok := AddressOf(Dev(), []byte(script)); ok {
			t.Errorf("script %x: address %s, want none", script, got)
		}
	}
}
