package chain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
	"github.com/btcsuite/btcd/txscript/v2"
)

// ErrAddress says that a string is no address of the network asked for.
var ErrAddress = errors.New("not an address of this network")

// ParseAddress returns the output script that pays an address: P2PKH or P2SH in
// base58, any witness version in bech32 (BIP173, BIP350). The error is
// [ErrAddress], and says which network was wanted.
//
// Package address knows bech32 prefixes only of networks registered with package
// chaincfg, which is state of the process; so bech32 is read here, with the codec
// of that package.
func ParseAddress(p *Params, s string) (script []byte, err error) {
	prefix, data, version, err := bech32.DecodeGeneric(s)
	if err == nil {
		if prefix != p.Address.Bech32HRPSegwit {
			return nil, addressError(p, s, "it starts with %q", prefix+"1")
		}
		return witnessScript(p, s, data, version)
	}
	if strings.HasPrefix(strings.ToLower(s), p.Address.Bech32HRPSegwit+"1") {
		return nil, addressError(p, s, "%v", err)
	}
	return base58Script(p, s)
}

func base58Script(p *Params, s string) ([]byte, error) {
	hash, kind, err := base58.CheckDecode(s)
	if err != nil {
		return nil, addressError(p, s, "%v", err)
	}
	if len(hash) != 20 {
		return nil, addressError(p, s, "%d bytes, want 20", len(hash))
	}
	b := txscript.NewScriptBuilder()
	switch kind {
	case p.Address.PubKeyHashAddrID:
		b.AddOp(txscript.OP_DUP).AddOp(txscript.OP_HASH160).AddData(hash).AddOp(txscript.OP_EQUALVERIFY).AddOp(txscript.OP_CHECKSIG)
	case p.Address.ScriptHashAddrID:
		b.AddOp(txscript.OP_HASH160).AddData(hash).AddOp(txscript.OP_EQUAL)
	default:
		return nil, addressError(p, s, "version %d, want %d or %d", kind, p.Address.PubKeyHashAddrID, p.Address.ScriptHashAddrID)
	}
	return b.Script()
}

// witnessScript checks a decoded bech32 string by BIP173 and BIP350.
func witnessScript(p *Params, s string, data []byte, encoding bech32.Version) ([]byte, error) {
	if len(data) == 0 || data[0] > 16 {
		return nil, addressError(p, s, "no witness version")
	}
	version := data[0]
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil {
		return nil, addressError(p, s, "%v", err)
	}
	if n := len(program); n < 2 || n > 40 || version == 0 && n != 20 && n != 32 {
		return nil, addressError(p, s, "witness program of %d bytes in version %d", n, version)
	}
	want := bech32.VersionM
	if version == 0 {
		want = bech32.Version0
	}
	if encoding != want {
		return nil, addressError(p, s, "the checksum is of another witness version")
	}
	op := byte(txscript.OP_0)
	if version > 0 {
		op = txscript.OP_1 + version - 1
	}
	return append([]byte{op, byte(len(program))}, program...), nil
}

func addressError(p *Params, s, format string, args ...any) error {
	return fmt.Errorf("address %q: %w: want network %s, as in %s1...: %s",
		s, ErrAddress, p.Name, p.Address.Bech32HRPSegwit, fmt.Sprintf(format, args...))
}

// AddressOf returns the address that an output script pays, and whether it pays one.
func AddressOf(p *Params, script []byte) (string, bool) {
	if version, program, err := txscript.ExtractWitnessProgramInfo(script); err == nil {
		return witnessAddress(p, version, program)
	}
	class, addrs, _, err := txscript.ExtractPkScriptAddrs(script, p.Address)
	if err != nil || len(addrs) != 1 || class != txscript.PubKeyHashTy && class != txscript.ScriptHashTy {
		return "", false
	}
	return addrs[0].EncodeAddress(), true
}

func witnessAddress(p *Params, version int, program []byte) (string, bool) {
	if version == 0 && len(program) != 20 && len(program) != 32 {
		return "", false
	}
	groups, err := bech32.ConvertBits(program, 8, 5, true)
	if err != nil {
		return "", false
	}
	encode := bech32.EncodeM
	if version == 0 {
		encode = bech32.Encode
	}
	s, err := encode(p.Address.Bech32HRPSegwit, append([]byte{byte(version)}, groups...))
	return s, err == nil
}
