//go:build linux

package farm

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// healTime is how long tips may differ when clocks are right: some blocks.
const healTime = 20 * time.Second

// TestClockSkew has three coordinators mine, the clock of one wrong by three hours, set
// right, wrong again, and right. The other two go on together all the while; when the
// clock is right all have one tip; and nothing was held against a block, or a
// coordinator, for its time. The clock is all that is not real: a machine has but one.
func TestClockSkew(t *testing.T) {
	for _, tt := range []struct {
		name string
		skew time.Duration
	}{{"ahead", 3 * time.Hour}, {"behind", -3 * time.Hour}} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			f.natsServer(t)
			yesterday := time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
			_, params := f.network(t, "skew", "--spacing", "1s", "--half-life", "60s", "--hashes", "2^22", "--time", yesterday)
			told := f.hearBlocks(t, params)
			alpha, beta, wrong := f.clocked(t, params, "alpha"), f.clocked(t, params, "beta"), f.clocked(t, params, "wrong")
			all := []*clocked{alpha, beta, wrong}
			wrong.skew.Store(int64(tt.skew))
			for _, n := range all {
				n.run(t)
				f.worker(t, "w-"+n.name, 1, "--coordinator", n.name, "--kernel", "stdlib")
			}
			for _, when := range []string{"from the start", "later"} {
				wrong.skew.Store(int64(tt.skew))
				began := alpha.chain.Tip().Height
				if when == "later" { // its chain has seen the right time
					eventually(t, time.Minute, "the clock is felt", func() bool { return wrong.apart(alpha) })
				}
				eventually(t, 5*time.Minute, "the others mine on", func() bool {
					return alpha.chain.Tip().Height >= began+uint32(count(4, 60)) && beta.chain.Tip() == alpha.chain.Tip()
				})
				differ := told.lackedBy(alpha, "wrong")
				mined, apart := alpha.chain.Tip().Height-began, wrong.apart(alpha)
				wrong.skew.Store(0)
				set := time.Now()
				eventually(t, healTime, "all have one tip", func() bool { return alpha.chain.Tip() == beta.chain.Tip() && beta.chain.Tip() == wrong.chain.Tip() })
				t.Logf("%s %s: the others mined %d blocks together, lacked %d of its; apart at the end: %v; one tip %v after the clock was set right",
					tt.name, when, mined, differ, apart, time.Since(set).Round(time.Millisecond))
			}
			for _, n := range all {
				n.stop()
			}
			told.check(t, all)
		})
	}
}

// clocked is a coordinator in this process, with a clock that can be wrong.
type clocked struct {
	*coordinator.Coordinator
	name  string
	chain *chain.Chain
	skew  atomic.Int64 // what its wall clock is ahead
	out   *journal
	stop  func()
}

func (f *farm) clocked(t *testing.T, params *chain.Params, name string) *clocked {
	t.Helper()
	n := &clocked{name: name, out: &journal{}}
	dir := filepath.Join(f.home, name)
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "chain"), Network: params.ID()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if n.chain, err = chain.Open(st, params, chain.Options{}); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(f.url, protocol.ConnectOptions(name)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	n.Coordinator, err = coordinator.New(coordinator.Config{
		Params: params, Name: name, Chain: n.chain, Store: st, JobsDir: filepath.Join(dir, "jobs"), Conn: conn, Key: key,
		PayScript: []byte{0x51}, Version: "test", Log: slog.New(slog.NewTextHandler(n.out, nil)), Clock: n.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run starts the coordinator, until the test ends or stop is called.
func (n *clocked) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("coordinator %s: %v", n.name, err)
		}
	})
	n.stop = func() { cancel(); running.Wait() }
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("%s, last lines:\n%s", n.name, n.out.tail(logTail))
		}
	})
}

// now is the time as a clock shows it that was set: the wall clock's reading moves, the
// monotonic one's stays. A time keeps its seconds in the first word, above 30 bits of
// nanoseconds, when it has both readings.
func (n *clocked) now() time.Time {
	at := time.Now()
	*(*uint64)(unsafe.Pointer(&at)) += uint64(n.skew.Load()/int64(time.Second)) << 30
	return at
}

// apart says whether the tip is no block of the other's main chain, or lies behind it.
func (n *clocked) apart(other *clocked) bool {
	tip := n.chain.Tip()
	return !other.chain.IsMain(tip.Hash) || other.chain.Tip().Height > tip.Height+2
}

// told are the blocks that coordinators announced.
type told struct {
	mu     sync.Mutex
	blocks map[string][]hashing.Hash // by coordinator
}

func (f *farm) hearBlocks(t *testing.T, params *chain.Params) *told {
	t.Helper()
	conn, err := nats.Connect(f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	h := &told{blocks: map[string][]hashing.Hash{}}
	if _, err := conn.Subscribe(protocol.NewSubjects(params.ID()).Block("*"), h.hear); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *told) hear(m *nats.Msg) {
	var said protocol.BlockAnnounced
	if json.Unmarshal(m.Data, &said) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blocks[said.Coordinator] = append(h.blocks[said.Coordinator], said.Hash)
}

// lackedBy returns how many blocks that one coordinator announced another does not have.
func (h *told) lackedBy(n *clocked, by string) (lacked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hash := range h.blocks[by] {
		if _, known := n.chain.Lookup(hash); !known {
			lacked++
		}
	}
	return lacked
}

// check wants no block that anybody announced to be invalid to anybody, at a time when
// none is early any more, and nothing held against a coordinator. All of them ended.
func (h *told) check(t *testing.T, all []*clocked) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range all {
		if wrong := n.out.with(noHelp); len(wrong) > 0 {
			t.Errorf("%s says %q", n.name, wrong[0].text)
		}
		for _, from := range all {
			if len(h.blocks[from.name]) == 0 {
				t.Errorf("%s announced no block", from.name)
			}
			for _, hash := range h.blocks[from.name] {
				b, err := from.chain.BlockByHash(hash)
				if err != nil {
					t.Fatalf("%s announced block %s: %v", from.name, hash, err)
				}
				if _, err := n.chain.Accept(b, time.Now().Add(24*time.Hour)); err != nil {
					t.Errorf("block %s of %s at %s: %v", hash, from.name, n.name, err)
				}
			}
		}
	}
}
