package script

import (
	"github.com/btcsuite/btcd/txscript/v2"
)

// SighashType says which parts of a transaction a signature commits to.
type SighashType = txscript.SigHashType

// Of the types, one of the first four, with AnyoneCanPay or without it.
const (
	SighashDefault      = txscript.SigHashDefault // all, and no byte after the signature: taproot only
	SighashAll          = txscript.SigHashAll
	SighashNone         = txscript.SigHashNone
	SighashSingle       = txscript.SigHashSingle
	SighashAnyoneCanPay = txscript.SigHashAnyOneCanPay
)

// LegacySighash returns what an ECDSA signature of an input without a witness
// signs. code is the script that checks the signature: that of the spent output, or
// the one whose hash it pays to. [SighashSingle] for an input that has no output
// of its number signs the number one, as it ever did: never sign that.
func (s *Spend) LegacySighash(input int, code []byte, kind SighashType) ([32]byte, error) {
	if err := s.check(input); err != nil {
		return [32]byte{}, err
	}
	return digest(txscript.CalcSignatureHash(code, kind, s.tx, input))
}

// WitnessSighash returns what an ECDSA signature of an input that spends a witness
// program of version 0 signs (BIP143). code is the witness script, or for a key
// hash the program itself or the script that it stands for.
func (s *Spend) WitnessSighash(input int, code []byte, kind SighashType) ([32]byte, error) {
	if err := s.check(input); err != nil {
		return [32]byte{}, err
	}
	return digest(txscript.CalcWitnessSigHash(code, s.midstates(), kind, s.tx, input, s.spent[input].Value))
}

// TaprootSighash returns what a Schnorr signature by the output key of an input
// signs (BIP341), where the witness has no annex.
func (s *Spend) TaprootSighash(input int, kind SighashType) ([32]byte, error) {
	if err := s.check(input); err != nil {
		return [32]byte{}, err
	}
	return digest(txscript.CalcTaprootSignatureHash(s.midstates(), kind, s.tx, input, s.prevouts(input)))
}

// TapscriptSighash returns what a Schnorr signature in a script of the tree signs
// (BIP342), where the witness has no annex and the script ran no OP_CODESEPARATOR.
func (s *Spend) TapscriptSighash(input int, leaf []byte, kind SighashType) ([32]byte, error) {
	if err := s.check(input); err != nil {
		return [32]byte{}, err
	}
	return digest(txscript.CalcTapscriptSignaturehash(s.midstates(), kind, s.tx, input, s.prevouts(input),
		txscript.NewBaseTapLeaf(leaf)))
}

func digest(sum []byte, err error) (d [32]byte, _ error) {
	copy(d[:], sum)
	return d, err
}
