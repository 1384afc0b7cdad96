package main

import (
	"encoding/json"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/jbcnet/jbc/chain"
)

// TestTransactionJSON describes a transaction whose inputs are known, and one whose
// inputs are not.
func TestTransactionJSON(t *testing.T) {
	p := chain.Regtest()
	script, err := chain.ParseAddress(p, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
	if err != nil {
		t.Fatal(err)
	}
	tx := &wire.MsgTx{
		TxIn:  []*wire.TxIn{{PreviousOutPoint: wire.OutPoint{Hash: [32]byte{1}, Index: 7}}, {PreviousOutPoint: wire.OutPoint{Hash: [32]byte{2}}}},
		TxOut: []*wire.TxOut{{Value: 60, PkScript: script}, {Value: 0, PkScript: []byte{0x6a}}},
	}
	spent := []chain.UTXO{{Value: 50, PkScript: script}, {Value: 25, PkScript: []byte{0x51}}}
	const (
		one     = `"0000000000000000000000000000000000000000000000000000000000000001","output":7`
		two     = `"0000000000000000000000000000000000000000000000000000000000000002","output":0`
		address = `"address":"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"`
		outputs = `"outputs":[{"value":60,"script":"0014751e76e8199196d454941c45d1b3a323f1433bd6",` + address + `},{"value":0,"script":"6a"}]`
	)
	for _, tt := range []struct {
		spent []chain.UTXO
		want  string
	}{
		{spent, `"inputs":[{"id":` + one + `,"value":50,` + address + `},{"id":` + two + `,"value":25}],` + outputs + `,"fee":15}`},
		{nil, `"inputs":[{"id":` + one + `},{"id":` + two + `}],` + outputs + `}`},
	} {
		got, err := json.Marshal(transactionJSON(p, tx, false, tt.spent))
		if want := `{"id":"` + tx.TxHash().String() + `",` + tt.want; err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
