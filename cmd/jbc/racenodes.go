package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// raceEndTime is how long a node may take to end once it is told to.
	raceEndTime = 5 * time.Second
	// Ports are taken from below those that the kernel gives to connections: among
	// those, a client that tries a port while nobody listens there can end up connected
	// to itself.
	lowestRacePort, racePorts = 20_000, 12_000
)

// raceNodes are the processes of a race.
type raceNodes struct {
	flags *raceFlags
	dir   string
	exe   string
	env   []string
	ports []int // where the nodes' servers listen, then where they meet each other
	all   []*raceProcess
	ended chan *raceProcess
}

type raceProcess struct {
	name string
	log  string // path
	cmd  *exec.Cmd
	gone chan struct{} // closed when it is
}

// newRaceNodes prepares n nodes whose directories lie in dir. They see nothing of this
// process's configuration: where they listen and what they are called is the race's.
func newRaceNodes(s *shell, flags *raceFlags, dir string) (*raceNodes, error) {
	r := &raceNodes{flags: flags, dir: dir, ended: make(chan *raceProcess, flags.nodes)}
	var err error
	if r.exe, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("this program's file: %w", err)
	}
	for _, setting := range s.environ {
		name, _, _ := strings.Cut(setting, "=")
		if _, nats := natsVariables[name]; !nats && !strings.HasPrefix(name, "JBC_") {
			r.env = append(r.env, setting)
		}
	}
	r.ports, err = freePorts(2 * flags.nodes)
	return r, err
}

// freePorts returns ports of loopback that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for tries := 0; len(ports) < n; tries++ {
		var l net.Listener
		port := lowestRacePort + rand.IntN(racePorts)
		if l, err = net.Listen("tcp", raceHost(port)); err == nil {
			defer l.Close()
			ports = append(ports, port)
		} else if tries > 100*n {
			return nil, fmt.Errorf("no free port on loopback: %w", err)
		}
	}
	return ports, nil
}

func raceHost(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// names are those of the nodes, in order.
func (r *raceNodes) names() (names []string) {
	for i := range r.flags.nodes {
		names = append(names, raceName(i))
	}
	return names
}

func raceName(i int) string { return "node" + strconv.Itoa(i+1) }

// args are what node i is started with.
func (r *raceNodes) args(i int) []string {
	args := []string{
		"coordinator", "--config", os.DevNull, "--name", raceName(i), "--network", r.flags.network,
		"--data-dir", filepath.Join(r.dir, raceName(i)), "--mine", "--gpu", noGPUs, "--threads", strconv.Itoa(r.flags.threads),
		"--listen", raceHost(r.ports[i]), "--mesh", raceHost(r.ports[r.flags.nodes+i]),
	}
	if i > 0 { // of whom the others hear from the first
		args = append(args, "--node", raceHost(r.ports[r.flags.nodes]))
	}
	return args
}

// url is where all nodes can be asked: at any of their servers.
func (r *raceNodes) url() string {
	var urls []string
	for i := range r.flags.nodes {
		urls = append(urls, "nats://"+raceHost(r.ports[i]))
	}
	return strings.Join(urls, ",")
}

// start starts all nodes. The caller stops them, also after an error.
func (r *raceNodes) start() error {
	for i := range r.flags.nodes {
		if err := r.startOne(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *raceNodes) startOne(i int) error {
	p := &raceProcess{name: raceName(i), log: filepath.Join(r.dir, raceName(i)+".log"), gone: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(r.exe, r.args(i)...) //nolint:gosec // this very program
	p.cmd.Args[0] = os.Args[0]
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = r.env, log, log
	tie(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	r.all = append(r.all, p)
	go func() {
		_ = p.cmd.Wait() // its log says more
		close(p.gone)
		r.ended <- p
	}()
	return nil
}

// stop ends all nodes and returns when they are gone.
func (r *raceNodes) stop() {
	for _, p := range r.all {
		if p.cmd.Process.Signal(os.Interrupt) != nil {
			_ = p.cmd.Process.Kill() // where there is no such signal
		}
	}
	late := time.NewTimer(raceEndTime)
	defer late.Stop()
	for _, p := range r.all {
		select {
		case <-p.gone:
		case <-late.C:
			for _, p := range r.all {
				_ = p.cmd.Process.Kill()
			}
			<-p.gone
		}
	}
}

// explain says why a node ended that was not told to, by the end of its log.
func (p *raceProcess) explain() error {
	text, _ := os.ReadFile(p.log)
	var last string
	for line := range bytes.Lines(text) {
		if said := strings.TrimSpace(string(line)); !strings.HasPrefix(said, "jbc: hint: ") {
			last = strings.TrimPrefix(said, "jbc: ")
		}
	}
	if last == "" {
		last = p.cmd.ProcessState.String()
	}
	return fmt.Errorf("%s ended: %w", p.name, errors.New(last))
}
