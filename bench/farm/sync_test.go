//go:build linux

package farm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// noHelp is what a coordinator logs of one whose fault it found.
const noHelp = "another coordinator is no help"

// TestSyncs has a new coordinator take a chain from two others, one of which is killed
// half-way, beside a third that lies in one way or another: it gets there all the same,
// and knows who lied.
func TestSyncs(t *testing.T) {
	n := count(4000, 20_000)
	params := chain.Regtest()
	made := newSmithy(t, params)
	tip := made.grow(params.Genesis.Hash(), n, time.Second)
	source, blocks := t.TempDir(), made.write(tip)
	for _, tt := range []struct {
		name  string
		long  bool // only in the long form
		lie   func(*testing.T, *liar)
		fault string // what is logged of the liar, empty for nothing
		// within is less than it takes when somebody is waited for again and again.
		within time.Duration
	}{
		{"nobody is killed", false, nil, "", 9 * time.Second},
		{"nobody lies", true, nil, "", 9 * time.Second},
		{"changed blocks", false, func(_ *testing.T, l *liar) {
			l.claims(made)
			l.block = func(hash hashing.Hash) []byte {
				raw, _ := made.RawBlock(hash)
				raw = slices.Clone(raw)
				raw[len(raw)-1] ^= 1 // the header is right
				return raw
			}
		}, "bad block", 9 * time.Second},
		{"other blocks", true, func(_ *testing.T, l *liar) {
			l.claims(made)
			other, _ := made.RawBlock(tip)
			l.block = func(hashing.Hash) []byte { return other }
		}, "bad block", 9 * time.Second},
		{"withheld blocks", false, func(t *testing.T, l *liar) {
			more := newSmithy(t, params)
			more.made = 1 << 32 // another chain, from the first block on
			more.grow(params.Genesis.Hash(), n+100, time.Second)
			l.claims(more)
			l.block = func(hashing.Hash) []byte { return nil }
		}, "nobody gives the blocks", 9 * time.Second},
		{"more work than it has", true, func(_ *testing.T, l *liar) {
			l.claims(made)
			l.tip, l.work = hashing.Hash{1}, mostWork
			l.headers = func([]hashing.Hash) (uint32, []hashing.Header) { return 1, nil }
		}, "claims more work than it has", 9 * time.Second},
		{"endless headers, no blocks", true, func(_ *testing.T, l *liar) { l.endless(params, 1_000_000, time.Second) }, "nobody gives the blocks", 20 * time.Second},
		{"headers of tomorrow", false, func(t *testing.T, l *liar) {
			tomorrow := newSmithy(t, params)
			tomorrow.next(params.Genesis.Hash(), time.Now().Add(24*time.Hour))
			l.claims(tomorrow)
			l.work = mostWork
		}, "", 9 * time.Second},
	} {
		if tt.long && !soaking() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			kill := tt.name != "nobody is killed"
			f := newFarm(t)
			f.natsServer(t)
			dirs := map[string]string{}
			for _, name := range []string{"alpha", "beta", "gamma", "offline"} {
				dirs[name] = filepath.Join(f.home, name)
			}
			if _, err := os.Stat(filepath.Join(source, "chain")); err != nil {
				f.imported(t, "regtest", source, blocks)
			}
			for _, name := range []string{"alpha", "beta"} {
				if err := os.CopyFS(filepath.Join(dirs[name], "chain"), os.DirFS(filepath.Join(source, "chain"))); err != nil {
					t.Fatal(err)
				}
			}
			offline, said := f.imported(t, "regtest", dirs["offline"], blocks)

			alpha, beta := f.joined(t, "alpha", dirs["alpha"]), f.joined(t, "beta", dirs["beta"])
			for _, name := range []string{"alpha", "beta"} {
				eventually(t, patience, name+" answers", func() bool { return f.statusOf(t, name) != nil })
			}
			l := &liar{}
			if tt.lie != nil {
				tt.lie(t, l)
				l.start(t, f, params)
			}
			w := f.watchSync(t, params, "gamma")
			if kill {
				w.at(uint32(n/2), func() { beta.signal(syscall.SIGKILL) })
			} else {
				w.at(uint32(n/2), func() {})
			}
			gamma := f.joined(t, "gamma", dirs["gamma"])
			eventually(t, time.Minute, "gamma has the chain", func() bool { return w.height() >= uint32(n) })
			took := w.took()
			if took > tt.within {
				t.Errorf("gamma took %v, want at most %v", took, tt.within)
			}
			peak := gamma.usage(t).peak
			if tt.fault != "" {
				gamma.says(t, patience, noHelp, liarName, tt.fault)
			} else if wrong := gamma.out.with(noHelp, liarName); len(wrong) > 0 {
				t.Errorf("of one who did nothing wrong: %v", wrong)
			}
			if tt.lie != nil && l.times(protocol.KindHeaders)+l.times(protocol.KindBlocks) == 0 {
				t.Error("the liar was never asked")
			}
			if w.passed(n/2) == 0 || w.times("alpha") == 0 || w.times("beta") == 0 {
				t.Errorf("height %d half-way; alpha was asked %d times, beta %d times", w.passed(n/2), w.times("alpha"), w.times("beta"))
			}
			if kill {
				beta.wait(t, -1)
			}
			t.Logf("%d blocks in %v, %.0f blocks/s, %v after gamma was started, peak memory %s; half-way at height %d; offline %v with its process, %s",
				n, took.Round(time.Millisecond), float64(n)/took.Seconds(), w.end().Sub(gamma.started).Round(time.Millisecond), mib(peak), w.passed(n/2), offline.Round(time.Millisecond), said)
			gamma.interrupt(t)
			alpha.interrupt(t)
			if got := f.sameUnspent(t, "regtest", dirs["alpha"], dirs["gamma"]); got.Tip != tip {
				t.Errorf("gamma ends at %s, want %s", got.Tip, tip)
			}
		})
	}
}

// syncWatch sees one coordinator fetch a chain: what it asks for, and what it
// announces.
type syncWatch struct {
	conn      *nats.Conn
	questions *nats.Subscription

	mu      sync.Mutex
	asked   map[string]int // questions for blocks, by who was asked
	first   time.Time      // of the first of them
	heights []uint32       // announced
	last    time.Time      // of the last of these
	limit   uint32
	reached func()
}

func (f *farm) watchSync(t *testing.T, params *chain.Params, name string) *syncWatch {
	t.Helper()
	conn, err := nats.Connect(f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w, subjects := &syncWatch{conn: conn, asked: map[string]int{}}, protocol.NewSubjects(params.ID())
	if w.questions, err = conn.Subscribe(subjects.Sync("*"), w.question); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Subscribe(subjects.Block(name), w.announcement); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *syncWatch) question(m *nats.Msg) {
	if kind, err := protocol.KindOf(m.Data); err != nil || kind != protocol.KindBlocks {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 {
		w.first = time.Now()
	}
	w.asked[protocol.LastToken(m.Subject)]++
}

func (w *syncWatch) announcement(m *nats.Msg) {
	var said protocol.BlockAnnounced
	if json.Unmarshal(m.Data, &said) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heights, w.last = append(w.heights, said.Height), time.Now()
	if w.reached != nil && said.Height >= w.limit {
		// Who listens to questions is there to answer them, by what the server knows: the
		// others would not be told that a coordinator is gone.
		_ = w.questions.Unsubscribe()
		_ = w.conn.Flush()
		w.reached()
		w.reached = nil
	}
}

// at has f called when a height is announced that is at least limit. Questions are not
// listened to any more then.
func (w *syncWatch) at(limit uint32, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.reached = limit, f
}

func (w *syncWatch) height() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.heights) == 0 {
		return 0
	}
	return w.heights[len(w.heights)-1]
}

// passed returns the first height that was announced of those at least so high, below
// the last: zero if there is none.
func (w *syncWatch) passed(limit int) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.heights[:max(1, len(w.heights))-1] {
		if h >= uint32(limit) {
			return h
		}
	}
	return 0
}

// took is from the first question for blocks to the last announcement.
func (w *syncWatch) took() time.Duration { return w.end().Sub(w.began()) }

func (w *syncWatch) began() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

func (w *syncWatch) end() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *syncWatch) times(to string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[to]
}
