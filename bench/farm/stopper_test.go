//go:build linux

package farm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
	jbcworker "github.com/jbcnet/jbc/worker"
)

// stopperEnv makes this test binary a worker that says when it was stopped.
const stopperEnv = "JBC_FARM_STOPPER"

// stopperConfig is what it works on.
type stopperConfig struct {
	URL, Network, Coordinator, Name string
	Threads                         int
}

// stopOrder tells it what to do, and stopAnswer is what came of it.
type (
	stopOrder struct {
		// Do is one of: mine, which has the worker work, control, which has bare threads
		// hash instead, arm, which waits until they do, and stopped.
		Do     string
		Height uint32 // of the job to be on, for arm
	}
	stopAnswer struct {
		At    int64 // when the last thread stopped, ns since 1970; 0 if none did
		Error string
	}
)

// stopped is what hashes until a message stops it.
type stopped interface {
	arm(height uint32) error
	stopped() (at time.Time)
	end() error
}

// serveStopper does what it is told on its standard input, an order a line, and answers
// each on its standard output.
func serveStopper(config string) (status int) {
	var cfg stopperConfig
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	runtime.GOMAXPROCS(cfg.Threads + 2) // as jbc worker does
	var (
		now stopped
		err error
	)
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		var order stopOrder
		var answer stopAnswer
		if err := json.Unmarshal(in.Bytes(), &order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		switch order.Do {
		case "mine", "control":
			if now != nil {
				err = now.end()
			}
			if err == nil && order.Do == "mine" {
				now, err = startMining(&cfg)
			} else if err == nil {
				now, err = startControl(&cfg)
			}
		case "arm":
			err = now.arm(order.Height)
		case "stopped":
			if at := now.stopped(); !at.IsZero() {
				answer.At = at.UnixNano()
			}
		}
		if err != nil {
			answer.Error = err.Error()
		}
		_ = out.Encode(answer)
	}
	return 0
}

func (c *stopperConfig) dial() (*nats.Conn, error) {
	return nats.Connect(c.URL, protocol.ConnectOptions(c.Name)...)
}

// mining is a worker as it ships, but for its kernel, which never finds anything and
// costs what one does that may.
type mining struct {
	*jbcworker.Worker
	conn   *nats.Conn
	cancel func()
	ended  chan error
	before uint64 // stops, when it was armed
	height uint32 // then
}

func startMining(cfg *stopperConfig) (stopped, error) {
	conn, err := cfg.dial()
	if err != nil {
		return nil, err
	}
	k := hashing.FastestKernel(16)
	scan := k.Scan
	k.Scan = func(s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int) {
		unmeetable := *s
		unmeetable.Target = hashing.Target{}
		return scan(&unmeetable, first, n, hits)
	}
	m := &mining{conn: conn, ended: make(chan error, 1)}
	m.Worker, err = jbcworker.New(jbcworker.Config{
		Conn: conn, Network: cfg.Network, Coordinator: cfg.Coordinator, Stay: true, Name: cfg.Name,
		Kernel: k, Threads: cfg.Threads, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() { m.ended <- m.Run(ctx) }()
	return m, nil
}

func (m *mining) arm(height uint32) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(pollTime) {
		st := m.Stats()
		if st.State == jbcworker.Mining && st.Height == height {
			m.before, m.height = st.LastStop.Count, height
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s on height %d, want %s on %d", st.State, st.Height, jbcworker.Mining, height)
		}
	}
}

// stopped waits for the end of the stop, and returns zero when the next job was there
// before the solution had been judged.
func (m *mining) stopped() time.Time {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollTime) {
		switch st := m.Stats(); {
		case st.LastStop.Count == m.before && st.Height > m.height:
			return time.Time{}
		case st.LastStop.Count > m.before && !st.LastStop.Parked.IsZero():
			return st.LastStop.Parked
		}
	}
	return time.Time{}
}

func (m *mining) end() error {
	m.cancel()
	err := <-m.ended
	m.conn.Close()
	return err
}

// control is threads that do a worker's hashing and look at a flag between scans, and
// a handler that sets it for any message: the least that a miner on NATS could take.
type control struct {
	conn    *nats.Conn
	kernel  hashing.Kernel
	search  *hashing.Search
	nonces  int // a scan
	halt    atomic.Bool
	hashing sync.WaitGroup
	ends    []time.Time
}

func startControl(cfg *stopperConfig) (stopped, error) {
	conn, err := cfg.dial()
	if err != nil {
		return nil, err
	}
	c := &control{conn: conn, kernel: hashing.FastestKernel(16), search: emptySearch(), ends: make([]time.Time, cfg.Threads)}
	c.nonces = c.kernel.Calibrate(c.search, hashing.ScanBudget)
	_, err = conn.Subscribe(protocol.NewSubjects(cfg.Network).SolvedAny(), func(*nats.Msg) { c.halt.Store(true) })
	if err == nil {
		err = conn.FlushTimeout(patience)
	}
	return c, err
}

func (c *control) arm(uint32) error {
	c.halt.Store(false)
	for i := range c.ends {
		c.hashing.Go(func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			hits := make([]hashing.Hit, len(c.search.Midstates))
			for !c.halt.Load() {
				c.kernel.Scan(c.search, 0, c.nonces, hits)
			}
			c.ends[i] = time.Now()
		})
	}
	return nil
}

func (c *control) stopped() time.Time {
	c.hashing.Wait()
	return slices.MaxFunc(c.ends, time.Time.Compare)
}

func (c *control) end() error {
	c.conn.Close()
	return nil
}

// stopper is such a process, seen from the test.
type stopper struct {
	*process
	coordinator string
	in          *json.Encoder
	out         *json.Decoder
}

func startStopper(t *testing.T, cfg stopperConfig) *stopper {
	t.Helper()
	p, in, out := startItself(t, cfg.Name, stopperEnv, cfg)
	return &stopper{process: p, coordinator: cfg.Coordinator, in: json.NewEncoder(in), out: json.NewDecoder(out)}
}

// order tells the process what to do. What came of it is to be read with answer.
func (s *stopper) order(t *testing.T, o stopOrder) {
	t.Helper()
	if err := s.in.Encode(o); err != nil {
		t.Fatal(err)
	}
}

func (s *stopper) answer(t *testing.T) (a stopAnswer) {
	t.Helper()
	if err := s.out.Decode(&a); err != nil || a.Error != "" {
		t.Fatalf("%s: %v%s", s.name, err, a.Error)
	}
	return a
}
