package coordinator

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestHearBlock notes of announcements when a block was heard of where its coordinator
// signed that, or the work in it proves it, and of nothing else.
func TestHearBlock(t *testing.T) {
	alpha := openNode(t, nodeConfig{url: startBroker(t).URL(), name: "alpha"})
	genesis := chain.Regtest().Genesis.Header
	bits, _ := alpha.chain.NextBits(genesis.Hash())
	target, err := bits.Target()
	if err != nil {
		t.Fatal(err)
	}
	made := func(prev hashing.Hash, bits hashing.Bits, solves bool) (h hashing.Header) {
		h.SetPrev(prev)
		h.SetBits(bits)
		for target.MetBy(h.Hash()) != solves {
			h.SetNonce(h.Nonce() + 1)
		}
		return h
	}
	met, stranger := newKey(t), newKey(t)
	alpha.others.with(func(table *peers.Table) {
		table.Heard(time.Now(), "beta", publicKey(t, met), peers.Tip{})
	})
	for _, tt := range []struct {
		name   string
		who    string
		signer nkeys.KeyPair
		header hashing.Header
		noted  bool
	}{
		{"signed", "beta", met, made(hashing.Hash{1}, bits, false), true},
		{"signed by another", "beta", stranger, made(hashing.Hash{2}, bits, false), false},
		{"not signed", "beta", nil, made(hashing.Hash{3}, bits, false), false},
		{"of one that was not met", "gamma", stranger, made(hashing.Hash{4}, bits, false), false},
		{"on the tip, without work", "gamma", nil, made(genesis.Hash(), bits, false), false},
		{"with work, elsewhere", "gamma", nil, made(hashing.Hash{5}, bits, true), false},
		{"of other work", "gamma", nil, made(genesis.Hash(), bits-1, true), false},
		{"on the tip, with work", "gamma", nil, made(genesis.Hash(), bits, true), true},
	} {
		said := &protocol.BlockAnnounced{Kind: protocol.KindAnnounced, Coordinator: tt.who, Height: 1, Hash: tt.header.Hash(), Header: tt.header}
		said.Chainwork = chain.Work{}.String()
		msg := &nats.Msg{Subject: alpha.subjects.Block(tt.who), Data: protocol.Encode(said), Header: nats.Header{}}
		if tt.signer != nil {
			signer, err := protocol.NewSigner(tt.signer)
			if err != nil {
				t.Fatal(err)
			}
			msg.Header.Set(protocol.SignatureHeader, signer.Sign(protocol.ToAll, msg.Data))
		}
		if err := alpha.hearBlock(msg); err != nil {
			t.Fatal(err)
		}
		noted := slices.ContainsFunc(alpha.races.heard, func(h heard) bool { return h.hash == said.Hash && !h.solved })
		if noted != tt.noted {
			t.Errorf("%s: noted %v, want %v", tt.name, noted, tt.noted)
		}
	}
}
