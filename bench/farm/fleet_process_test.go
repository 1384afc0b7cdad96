//go:build linux

package farm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// fleetEnv makes this test binary a fleet, and brokerEnv a coordinator's NATS
// server without the coordinator.
const (
	fleetEnv  = "JBC_FARM_FLEET"
	brokerEnv = "JBC_FARM_BROKER"
)

// serveBroker is a coordinator's NATS server, with the same options, until its
// standard input ends.
func serveBroker(listen string) (status int) {
	b, err := coordinator.StartBroker(coordinator.BrokerConfig{Listen: listen, Name: "raw", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	b.Stop()
	return 0
}

// serveFleet is a fleet that does what it is told on its standard input, a word a
// line, and answers each with a line of JSON.
func serveFleet(config string) (status int) {
	f := &fleet{}
	if err := json.Unmarshal([]byte(config), &f.cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f.subjects = protocol.NewSubjects(f.cfg.Network)
	out := json.NewEncoder(os.Stdout)
	if err := f.connect(); err != nil {
		_ = out.Encode(fleetEvent{Event: "failed", Error: err.Error()})
		return 1
	}
	_ = out.Encode(fleetEvent{Event: "connected", Count: len(f.clients), Faults: f.troubles()})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var e fleetEvent
		switch in.Text() {
		case "expect": // a message to everybody
			f.newRound(false)
			e = fleetEvent{Event: "expecting"}
		case "await": // that it has come to everybody
			e = f.await(f.round.Load())
		case "share":
			e = f.share()
		case "stat":
			e = fleetEvent{Event: "stat", Count: len(f.clients) - int(f.gone.Load()), Reports: f.reports.Load(), Again: f.again.Load()}
		}
		e.Faults = f.troubles()
		_ = out.Encode(e)
	}
	return 0
}

// fleetPatience bounds what the whole fleet does at once.
const fleetPatience = time.Minute

// connect connects all clients, and lets workers join, some dozens at a time.
func (f *fleet) connect() error {
	for i := range f.cfg.Clients {
		f.clients = append(f.clients, &leanClient{fleet: f, index: i, name: "w" + strconv.Itoa(i), asked: map[byte]protocol.Class{}})
	}
	go f.beat()
	next := make(chan *leanClient)
	var dialling sync.WaitGroup
	errs := make(chan error, 1)
	for range 32 {
		dialling.Go(func() {
			for c := range next {
				if err := c.dial(); err != nil {
					select {
					case errs <- err:
					default:
					}
					continue
				}
				go func() {
					err := c.read()
					f.gone.Add(1)
					f.failed(c, err)
				}()
				if f.worker() {
					c.join(time.Now())
				}
			}
		})
	}
	for _, c := range f.clients {
		next <- c
	}
	close(next)
	dialling.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	ready := &f.pongs
	if f.worker() {
		ready = &f.joined
	}
	for deadline := time.Now().Add(fleetPatience); ready.Load() < int64(len(f.clients)); time.Sleep(pollTime) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d are ready: %v", ready.Load(), len(f.clients), f.troubles())
		}
	}
	return nil
}

func (f *fleet) troubles() map[string]int {
	all := map[string]int{}
	f.faults.Range(func(what, n any) bool {
		all[what.(string)] = int(n.(*atomic.Int64).Load())
		return true
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rejected > 0 {
		all["not the coordinator's word"] = f.rejected
	}
	return all
}

// beat has every client ping once a second, and every worker report each two, all
// at different moments.
func (f *fleet) beat() {
	tick := time.NewTicker(5 * time.Millisecond)
	n := len(f.clients)
	began, pinged, reported := time.Now(), 0, 0
	for now := range tick.C {
		since := now.Sub(began).Seconds()
		for ; pinged < int(since*float64(n)); pinged++ {
			f.clients[pinged%n].write([]byte("PING\r\n")) // nothing, to one that has no connection yet
		}
		for ; f.worker() && reported < int(since/2*float64(n)); reported++ {
			c := f.clients[reported%n]
			c.report()
			c.join(now)
		}
	}
}

// await waits until everybody has the message of a round.
func (f *fleet) await(r *round) fleetEvent {
	e := fleetEvent{Event: "had"}
	select {
	case <-r.done:
	case <-time.After(fleetPatience):
		e.Error = fmt.Sprintf("%d of %d", r.got.Load(), len(r.at))
		return e
	}
	f.round.Store(nil)
	e.Count, e.Twice = int(r.got.Load()), int(r.more.Load())
	at := r.times()
	e.Median, e.Last = at[len(at)/2], at[len(at)-1]
	return e
}

func (r *round) times() (at []int64) {
	for i := range r.at {
		at = append(at, r.at[i].Load())
	}
	slices.Sort(at)
	return at
}

// share has every worker find a share and send it, all at once.
func (f *fleet) share() fleetEvent {
	requests := make([][]byte, len(f.clients))
	for i, c := range f.clients {
		requests[i] = c.find()
	}
	r := f.newRound(true)
	began := time.Now()
	for i, c := range f.clients {
		c.write(requests[i])
	}
	e := f.await(r)
	if e.Error != "" {
		return e
	}
	e.Event, e.Took, e.Codes = "shared", time.Duration(e.Last-began.UnixNano()), map[string]int{}
	for _, c := range f.clients {
		c.mu.Lock()
		v := c.verdict
		c.mu.Unlock()
		e.Codes[v.check(f.cfg.Key)]++
	}
	return e
}

// fleetProcess is a fleet in a process of its own.
type fleetProcess struct {
	*process
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func startFleet(t *testing.T, name string, cfg fleetConfig) *fleetProcess {
	t.Helper()
	p, in, out := startItself(t, name, fleetEnv, cfg)
	f := &fleetProcess{process: p, t: t, in: in, out: bufio.NewReader(out)}
	f.answer("connected")
	return f
}

// tell has the fleet do something and returns what it answers.
func (f *fleetProcess) tell(what, want string) fleetEvent {
	f.t.Helper()
	if _, err := fmt.Fprintln(f.in, what); err != nil {
		f.t.Fatal(err)
	}
	return f.answer(want)
}

func (f *fleetProcess) answer(want string) fleetEvent {
	f.t.Helper()
	e, err := readFleetEvent(f.out)
	if err != nil || e.Event != want || e.Error != "" {
		f.t.Fatalf("%s: %+v, %v; want %s", f.name, e, err, want)
	}
	if len(e.Faults) > 0 {
		f.t.Fatalf("%s: %v", f.name, e.Faults)
	}
	return e
}

// usage is what a process took so far.
type usage struct {
	rss  int64 // bytes
	peak int64
	cpu  time.Duration
}

// usage reads it from /proc.
func (p *process) usage(t *testing.T) (u usage) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines(string(status)) {
		key, value, _ := strings.Cut(l, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			u.rss = kib << 10
		case "VmHWM":
			u.peak = kib << 10
		}
	}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	for _, ticks := range fields[11:13] { // user and system, in hundredths of a second
		n, _ := strconv.ParseInt(ticks, 10, 64)
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	return u
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// cores is how many there are to share.
func cores() int { return runtime.NumCPU() }
