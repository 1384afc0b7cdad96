//go:build linux

package farm

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// What a fleet of 10,000 has to be served in. Memory is for coordinator and
// clients together.
const (
	fleetRatio  = 1.3
	shareTime   = 2 * time.Second
	fleetMemory = 1500 << 20
	stalled     = 20
	stalledCost = 32 << 20
	fleetRounds = 9
)

// TestFleet starts a coordinator and a fleet of workers that join it, each on a
// connection of its own. A new job comes to every one of them once, nearly as fast
// as NATS alone carries a message of that size to as many listeners in the same
// minutes; a share of each is judged at once; and listeners that never read cost
// next to nothing. Short, it wants the counts; long, ten thousand and the times.
func TestFleet(t *testing.T) {
	workers := count(300, 10_000)
	f := newFarm(t)
	o := f.observeNothing(t, chain.Regtest())
	c := f.coordinator(t, "--network", "regtest")
	o.connected(t)
	o.discovered(t)
	finder := f.hand(t, o, chain.Regtest().ID(), "finder")
	finder.stay()
	empty := c.usage(t)

	raw := newFarm(t)
	server := raw.broker(t)
	publisher, err := nats.Connect(raw.url)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	bare := server.usage(t)
	listeners := startFleet(t, "listeners", fleetConfig{Host: raw.host, Clients: workers, Listen: "jbc.raw.job"})

	began := time.Now()
	fleet := startFleet(t, "fleet", fleetConfig{
		Host: f.host, Clients: workers, Network: chain.Regtest().ID(), Coordinator: coordinatorName, Key: finder.key,
	})
	t.Logf("%d workers have joined after %v", workers, time.Since(began).Round(time.Millisecond))
	quiet := measureIdle(t, c, fleet)

	times := &fanOut{t: t, finder: finder, fleet: fleet, listeners: listeners, publisher: publisher}
	times.run(fleetRounds)
	before := times.report(workers, cores())

	var shares []time.Duration
	for range 3 {
		e := fleet.tell("share", "shared")
		if e.Count != workers || e.Codes[protocol.OK.String()] != workers || len(e.Codes) != 1 || e.Twice != 0 {
			t.Fatalf("of %d shares: %+v", workers, e)
		}
		shares = append(shares, e.Took)
	}
	slices.Sort(shares)
	t.Logf("%d shares, one each: all verdicts are back after %v", workers, shares)

	inUse, clients := c.usage(t), fleet.usage(t)
	t.Logf("coordinator %s (peak %s, without workers %s): %d bytes a worker; clients %s; NATS alone %s, without listeners %s",
		mib(inUse.rss), mib(inUse.peak), mib(empty.rss), (inUse.rss-empty.rss)/int64(workers), mib(clients.rss), mib(server.usage(t).rss), mib(bare.rss))
	checkFleetStatus(t, f, fleet, workers, len(shares))

	subjects := protocol.NewSubjects(chain.Regtest().ID())
	cost := f.stall(t, c, times, subjects.Job(coordinatorName), subjects.SolvedAny())
	after := times.report(workers, cores())
	t.Logf("%d stalled workers: coordinator grew by %s", stalled, mib(cost))
	// Whoever listens to everything, which no worker with credentials may, is sent
	// all that ten thousand others say.
	worst := f.stall(t, c, times, ">")
	times.report(workers, cores())
	t.Logf("%d stalled listeners to everything: coordinator grew by %s", stalled, mib(worst))

	if !soaking() {
		return
	}
	t.Logf("idle: coordinator %.2f cores, clients %.2f", quiet.coordinator, quiet.clients)
	if before.ratio > fleetRatio {
		t.Errorf("a new job takes %.2f times as long as NATS alone, want at most %.2f", before.ratio, fleetRatio)
	}
	if slowest := shares[len(shares)-1]; slowest > shareTime {
		t.Errorf("a share each takes %v, want at most %v", slowest, shareTime)
	}
	if sum := inUse.peak + clients.peak; sum > fleetMemory {
		t.Errorf("coordinator and clients take %s, want at most %s", mib(sum), mib(fleetMemory))
	}
	if cost > stalledCost {
		t.Errorf("%d stalled workers cost %s, want at most %s", stalled, mib(cost), mib(stalledCost))
	}
	if after.ratio > fleetRatio {
		t.Errorf("beside stalled workers a new job takes %.2f times as long as NATS alone, want at most %.2f", after.ratio, fleetRatio)
	}
}

// observeNothing is an observer without subscriptions, which would cost the
// coordinator more than a hundred workers do.
func (f *farm) observeNothing(t *testing.T, network *chain.Params) *observer {
	t.Helper()
	o := f.observer(t, network)
	t.Cleanup(o.conn.Close)
	return o
}

func (f *farm) observer(t *testing.T, network *chain.Params) *observer {
	t.Helper()
	conn, err := nats.Connect(f.url, protocol.ConnectOptions("observer")...)
	if err != nil {
		t.Fatal(err)
	}
	return &observer{conn: conn, subjects: protocol.NewSubjects(network.ID()), coordinator: coordinatorName, asked: map[string]ask{}, next: 1}
}

// broker starts a coordinator's NATS server without one.
func (f *farm) broker(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerEnv+"="+f.host)
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process
		t.Fatal(err)
	}
	p := start(t, "nats alone", cmd)
	p.says(t, patience, "ready")
	return p
}

// idle is how many cores a fleet keeps busy that nothing happens to.
type idle struct{ coordinator, clients float64 }

// measureIdle watches for some seconds, when soaking.
func measureIdle(t *testing.T, c *process, fleet *fleetProcess) idle {
	t.Helper()
	span := time.Duration(count(0, 5)) * time.Second
	if span == 0 {
		return idle{}
	}
	before, clients := c.usage(t), fleet.usage(t)
	time.Sleep(span) // what is measured
	return idle{
		coordinator: (c.usage(t).cpu - before.cpu).Seconds() / span.Seconds(),
		clients:     (fleet.usage(t).cpu - clients.cpu).Seconds() / span.Seconds(),
	}
}

// fanOut measures by turns how long a new job takes to all workers, from a solution
// on, and a message of its size to all listeners, from its publishing on.
type fanOut struct {
	t                *testing.T
	finder           *hand
	fleet, listeners *fleetProcess
	publisher        *nats.Conn

	jobs, raws, half []time.Duration
}

func (m *fanOut) run(rounds int) {
	m.t.Helper()
	m.jobs, m.raws, m.half = nil, nil, nil
	for range rounds {
		m.job()
		m.raw()
	}
}

func (m *fanOut) job() {
	m.t.Helper()
	job := m.finder.current()
	m.fleet.tell("expect", "expecting")
	runtime.GC() // ours should not fall into it
	sent, err := m.finder.solve(job)
	if err != nil {
		m.t.Fatal(err)
	}
	e := m.fleet.tell("await", "had")
	m.wantOnce(e)
	m.finder.after(job.JobID)
	m.jobs = append(m.jobs, time.Duration(e.Last-sent.UnixNano()))
	m.half = append(m.half, time.Duration(e.Median-sent.UnixNano()))
}

func (m *fanOut) wantOnce(e fleetEvent) {
	m.t.Helper()
	if e.Twice != 0 {
		m.t.Fatalf("%d deliveries beside one each", e.Twice)
	}
}

func (m *fanOut) raw() {
	m.t.Helper()
	job := m.finder.current()
	msg := &nats.Msg{Subject: "jbc.raw.job", Data: protocol.Encode(job), Header: nats.Header{}}
	msg.Header.Set(protocol.SignatureHeader, strings.Repeat("s", 86)) // as long as one
	m.listeners.tell("expect", "expecting")
	sent := time.Now()
	if err := m.publisher.PublishMsg(msg); err != nil {
		m.t.Fatal(err)
	}
	if err := m.publisher.FlushTimeout(patience); err != nil {
		m.t.Fatal(err)
	}
	e := m.listeners.tell("await", "had")
	m.wantOnce(e)
	m.raws = append(m.raws, time.Duration(e.Last-sent.UnixNano()))
}

// fanOutTimes are medians.
type fanOutTimes struct {
	job, raw time.Duration
	ratio    float64
}

func (m *fanOut) report(workers, cores int) fanOutTimes {
	m.t.Helper()
	at := fanOutTimes{job: median(m.jobs), raw: median(m.raws)}
	at.ratio = float64(at.job) / float64(at.raw)
	m.t.Logf("%d workers, %d cores: a new job to the last in %v (to half of them in %v), NATS alone %v: %.2f times; jobs %v, NATS %v",
		workers, cores, at.job, median(m.half), at.raw, at.ratio, rounded(m.jobs), rounded(m.raws))
	return at
}

func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }

func rounded(of []time.Duration) (out []time.Duration) {
	for _, d := range of {
		out = append(out, d.Round(time.Millisecond))
	}
	return out
}

// checkFleetStatus wants every worker in the status once, with the shares that it
// sent, and nothing refused.
func checkFleetStatus(t *testing.T, f *farm, fleet *fleetProcess, workers, shares int) {
	t.Helper()
	began := time.Now()
	st := showStatus(t, f)
	t.Logf("jbc status lists %d workers in %v", len(st.Workers), time.Since(began).Round(time.Millisecond))
	names := map[string]int{}
	for _, w := range st.Workers {
		names[w.Name]++
		if w.Name != "finder" && (w.Shares != uint64(shares) || w.Refused != 0 || w.Blocks != 0) {
			t.Fatalf("%+v, want %d shares", w, shares)
		}
	}
	if len(names) != workers+1 || len(st.Workers) != workers+1 {
		t.Errorf("%d workers of %d names in the status, want %d", len(st.Workers), len(names), workers+1)
	}
	if late := st.Refused[protocol.Busy]; late > 0 && soaking() {
		t.Logf("%d requests came too late to be answered: the machine was too busy when all joined", late)
		delete(st.Refused, protocol.Busy)
	}
	if len(st.Refused) != 0 || len(st.Dropped) != 0 {
		t.Errorf("refused %v, dropped %v, want nothing", st.Refused, st.Dropped)
	}
	if e := fleet.tell("stat", "stat"); e.Count != workers || e.Reports == 0 {
		t.Errorf("%d of %d clients are connected, %d reports answered", e.Count, workers, e.Reports)
	} else if e.Again > 0 {
		t.Logf("%d slots were lost and taken anew: the machine was too busy", e.Again)
	}
}

// stall has listeners to subjects come that never read, and come again when they are
// cut off, while jobs are measured anew, and returns what the coordinator grew by.
func (f *farm) stall(t *testing.T, c *process, times *fanOut, subjects ...string) int64 {
	t.Helper()
	before := c.usage(t).rss
	stop := make(chan struct{})
	ended := make(chan struct{})
	var conns []net.Conn
	connect := func() (net.Conn, error) {
		conn, err := net.Dial("tcp", f.host)
		if err != nil {
			return nil, err
		}
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			return nil, err
		}
		var hello strings.Builder
		hello.WriteString("CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1,\"name\":\"jbc stalled\"}\r\n")
		for i, subject := range subjects {
			fmt.Fprintf(&hello, "SUB %s %d\r\n", subject, i+1)
		}
		_, err = io.WriteString(conn, hello.String())
		return conn, err
	}
	for range stalled {
		conn, err := connect()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	go func() { // a stalled worker that is cut off is started again
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for i, conn := range conns {
					if _, err := conn.Write([]byte("PING\r\n")); err != nil {
						conn.Close()
						if again, err := connect(); err == nil {
							conns[i] = again
						}
					}
				}
			}
		}
	}()
	times.run(fleetRounds)
	grown := c.usage(t).rss - before
	close(stop)
	<-ended
	for _, conn := range conns {
		conn.Close()
	}
	return grown
}
