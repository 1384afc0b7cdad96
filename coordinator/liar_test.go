package coordinator

import (
	"encoding/json"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// liar says that it coordinates a chain of that height with all the work in the world,
// and gives headers on genesis without end, each with the least work there can be.
type liar struct {
	t      *testing.T
	height uint32
	signer *protocol.Signer
	key    string
	conn   *nats.Conn
	chain  []hashing.Header
	asked  int
}

func startLiar(t *testing.T, url string, height uint32) *liar {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{t: t, height: height}
	if l.key, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if l.signer, err = protocol.NewSigner(key); err != nil {
		t.Fatal(err)
	}
	if l.conn, err = nats.Connect(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.conn.Close)
	subjects := protocol.NewSubjects(chain.Regtest().ID())
	for subject, answer := range map[string]nats.MsgHandler{protocol.PingSubject: l.here, subjects.Sync("liar"): l.answer} {
		if _, err := l.conn.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return l
}

// here answers discovery.
func (l *liar) here(msg *nats.Msg) {
	work := make([]byte, 64)
	for i := range work {
		work[i] = 'f'
	}
	answer, _ := json.Marshal(map[string]any{"metadata": map[string]string{
		protocol.MetaNetwork: chain.Regtest().ID(), protocol.MetaName: "liar", protocol.MetaKey: l.key,
		protocol.MetaHeight: strconv.Itoa(int(l.height)), protocol.MetaTip: hashing.Hash{1}.String(), protocol.MetaWork: string(work),
	}})
	_ = msg.Respond(answer)
}

// answer gives the next headers, made when they are asked for.
func (l *liar) answer(msg *nats.Msg) {
	first := len(l.chain)
	parent := chain.Regtest().Genesis.Header
	if first > 0 {
		parent = l.chain[first-1]
	}
	target, _ := chain.Regtest().PowLimit.Target()
	for range protocol.MaxSyncHeaders {
		var h hashing.Header
		h.SetVersion(0x20000000)
		h.SetPrev(parent.Hash())
		h.SetTime(parent.Time() + 1)
		h.SetBits(chain.Regtest().PowLimit)
		for !target.MetBy(h.Hash()) {
			h.SetNonce(h.Nonce() + 1)
		}
		l.chain = append(l.chain, h)
		parent = h
	}
	l.asked++
	reply := &nats.Msg{Subject: msg.Reply, Data: protocol.EncodeHeaders(uint32(first)+1, l.chain[first:]), Header: nats.Header{}}
	reply.Header.Set(protocol.SignatureHeader, l.signer.Sign(protocol.ReplyTo(msg), reply.Data))
	_ = l.conn.PublishMsg(reply)
}

// TestLiar: headers without end that never get to the work that was claimed cost no
// memory; who gives them is ignored, and the others go on.
func TestLiar(t *testing.T) {
	b := chaintest.NewBuilder(t, chain.Regtest())
	best := b.Branch(b.Genesis, 12_000)
	tip := best[len(best)-1].Hash()
	url := startBroker(t).URL()
	alpha := startNode(t, nodeConfig{url: url, name: "alpha", dir: filled(t, best)})
	before := heapInUse()
	l := startLiar(t, url, 10_000)
	until(t, "the liar is ignored", func() (ignored bool) {
		alpha.others.with(func(table *peers.Table) {
			for _, p := range table.All(time.Now()) {
				ignored = ignored || p.Name == "liar" && !p.Ignored.IsZero() && p.Faults[peers.Endless] > 0
			}
		})
		return ignored
	})
	if l.conn.Close(); len(l.chain) < 10_000 || len(l.chain) > 11_000 {
		t.Errorf("it was asked for %d headers, having claimed 10,000", len(l.chain))
	}
	l.chain = nil // what the liar itself held here
	grown := int64(heapInUse()) - int64(before)
	t.Logf("the heap grew by %d bytes", grown)
	if grown > 1<<20 { // keeping the headers would take nearly twice as much
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(best)
	beta := startNode(t, nodeConfig{url: url, name: "beta"})
	agreeOn(t, tip, alpha, beta)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// until polls what other goroutines do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
