//go:build linux

package farm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// logTail is how many lines of a process are shown when a test fails.
	logTail = 80
	// patience is for what should take milliseconds and has no promise of its own.
	patience = 30 * time.Second
	// luck is for blocks to be found, which takes seconds on a quiet machine and has
	// no upper bound on any.
	luck     = 2 * time.Minute
	pollTime = 2 * time.Millisecond
)

// process is one that runs, or ran.
type process struct {
	name    string
	cmd     *exec.Cmd
	out     *journal
	started time.Time
	ended   chan struct{} // closed when it is gone
	endedAt time.Time     // set before ended is closed
}

// start starts a program. It is killed, if it still runs, when the test ends, and
// when the test's own process dies.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	out := &journal{}
	return startOn(t, name, cmd, out, out)
}

// startOn starts a program that writes to w, which ends up in out.
func startOn(t *testing.T, name string, cmd *exec.Cmd, w io.Writer, out *journal) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, out: out, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p.started = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		p.endedAt = time.Now()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s (pid %d), last lines, ended with %v:\n%s", name, cmd.Process.Pid, cmd.ProcessState, p.out.tail(logTail))
		}
	})
	return p
}

// startItself starts the test's own program as what a variable of its environment makes
// of it, see TestMain, with cfg as that variable's value. It reads what is written to in,
// and out is what it says, until it is gone.
func startItself(t *testing.T, name, variable string, cfg any) (p *process, in io.Writer, out io.Reader) {
	t.Helper()
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+string(config))
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	log := &journal{}
	p = startOn(t, name, cmd, io.MultiWriter(w, log), log)
	go func() {
		<-p.ended
		w.Close() // which ends an answer that is waited for
	}()
	return p, in, r
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal, which a process that is gone does not mind.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// interrupt is Ctrl-C. It wants the process gone with status 0 within a second and
// returns how long that took.
func (p *process) interrupt(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	p.signal(syscall.SIGINT)
	p.wait(t, 0)
	took := p.endedAt.Sub(began)
	if took > time.Second {
		t.Errorf("%s took %v to end after Ctrl-C, want at most 1s", p.name, took)
	}
	return took
}

// wait waits for the process to end by itself with a status.
func (p *process) wait(t *testing.T, status int) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s still runs after %v", p.name, patience)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("%s ended with %v, want status %d", p.name, p.cmd.ProcessState, status)
	}
}

// says waits for a line that contains all of parts, no longer than within.
func (p *process) says(t *testing.T, within time.Duration, parts ...string) line {
	t.Helper()
	var found line
	eventually(t, within, fmt.Sprintf("%s says %q", p.name, parts), func() bool {
		if lines := p.out.with(parts...); len(lines) > 0 {
			found = lines[0]
			return true
		}
		if !p.running() {
			t.Fatalf("%s ended with %v and never said %q", p.name, p.cmd.ProcessState, parts)
		}
		return false
	})
	return found
}

// eventually polls until ok, and ends the test when within has passed.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(pollTime) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// farm is where the processes of one test live: a home of their own, and a port.
type farm struct {
	home string
	url  string
	host string // of the NATS server: 127.0.0.1:port
	env  []string
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	host := freePort(t)
	return &farm{home: t.TempDir(), host: host, url: "nats://" + host}
}

// freePort returns an address on loopback that nobody listens on. It lies below the
// ports that the kernel gives to connections: among those, a client that tries a
// port again and again while nobody listens there can end up connected to itself.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		host := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_000))
		if l, err := net.Listen("tcp", host); err == nil {
			l.Close()
			return host
		}
	}
	t.Fatal("no free port")
	return ""
}

// command returns jbc with the farm's environment: nothing of the tester's.
func (f *farm) command(args ...string) *exec.Cmd {
	cmd := exec.Command(jbc, args...)
	cmd.Dir = f.home
	cmd.Env = append([]string{"HOME=" + f.home, "PATH=" + os.Getenv("PATH")}, f.env...)
	return cmd
}

// coordinatorName is that of every coordinator here unless a test says otherwise.
const coordinatorName = "c1"

// coordinator starts one that listens on the farm's port.
func (f *farm) coordinator(t *testing.T, args ...string) *process {
	t.Helper()
	all := append([]string{"coordinator", "--name", coordinatorName, "--listen", f.host}, args...)
	return start(t, "coordinator", f.command(all...))
}

func (f *farm) worker(t *testing.T, name string, threads int, args ...string) *process {
	t.Helper()
	all := append([]string{"worker", "--name", name, "--nats", f.url, "--threads", fmt.Sprint(threads)}, args...)
	return start(t, name, f.command(all...))
}

// run runs jbc to its end and returns what it wrote and its status.
func (f *farm) run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return finish(t, f.command(args...))
}

func finish(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Errorf("%v still ran after %v: killed", cmd.Args, patience)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// dataDir is where jbc keeps a network's data in this farm unless told otherwise.
func (f *farm) dataDir(network string) string {
	return filepath.Join(f.home, ".local", "share", "jbc", network)
}

// lines splits text into its lines.
func lines(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
