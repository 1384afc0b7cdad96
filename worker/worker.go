package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// Config is what a worker needs.
type Config struct {
	// Conn is made with [protocol.ConnectOptions] and belongs to the caller. It
	// need not be connected yet, and should have no subscriptions that could
	// delay this worker's.
	Conn *nats.Conn
	// Network is the network to mine on, by name or by id, such as "dev" or
	// "dev-1a2b3c4d"; empty takes the one that is found, once it is the only one. With
	// its id, Coordinator and Key nothing has to be found.
	Network string
	// Coordinator is the name of the one to work for, which the worker prefers: while
	// it is silent the worker works for another of the network. Empty takes the first
	// found.
	Coordinator string
	// Key is the coordinator's public nkey; empty pins the first one met. With a key
	// the worker works for no others but those that this coordinator vouches for, or
	// one of them does while the worker works for it; without for any that answers.
	Key string
	// Stay keeps the worker from working for any other.
	Stay bool
	// Known are the nodes that were vouched for when the worker ran last. Only their
	// network, name and key are looked at.
	Known []protocol.Node
	// Nodes, if not nil, is called with all nodes that are vouched for whenever they
	// have changed: there are further servers to reconnect to and CAs to trust. It is
	// called from the goroutine that hears the coordinator and should return soon.
	Nodes func([]protocol.Node)
	// Name is the worker's own, one token of a subject, see [protocol.CheckName].
	Name string
	// Kernel is what every thread runs. GOMAXPROCS should leave room beyond
	// Threads: where it does not, a message waits for tens of milliseconds. There may be
	// no threads where there are devices.
	Kernel  hashing.Kernel
	Threads int
	// Devices are hashed with too. The coordinator is told of [protocol.MaxDevices].
	Devices []DeviceSource
	// Version is the program's and Host the machine's, for people.
	Version string
	Host    string
	Log     *slog.Logger
}

func (c *Config) check() error {
	if c.Conn == nil || c.Log == nil || c.Kernel.Scan == nil && c.Threads > 0 {
		return errors.New("worker: connection, log or kernel missing")
	}
	if c.Threads < 0 || c.Threads == 0 && len(c.Devices) == 0 {
		return fmt.Errorf("worker: %d threads", c.Threads)
	}
	if err := protocol.CheckName(c.Name); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if c.Coordinator != "" {
		if err := protocol.CheckName(c.Coordinator); err != nil {
			return fmt.Errorf("worker: coordinator: %w", err)
		}
	}
	if c.Network != "" {
		if err := protocol.CheckName(c.Network); err != nil && !protocol.IsNetworkID(c.Network) {
			return fmt.Errorf("worker: network: %w", err)
		}
	}
	if c.Key != "" && !nkeys.IsValidPublicKey(c.Key) {
		return fmt.Errorf("worker: %q is no public nkey", c.Key)
	}
	for _, n := range c.Known {
		if protocol.CheckName(n.Name) != nil || !protocol.IsNetworkID(n.Network) || !nkeys.IsValidPublicKey(n.Key) {
			return fmt.Errorf("worker: known node %.60q of network %.60q, key %.60q", n.Name, n.Network, n.Key)
		}
	}
	return nil
}

// Worker mines for a coordinator, one at a time.
type Worker struct {
	cfg       Config
	dispenser *dispenser
	finds     *finds
	devices   feeders
	started   atomic.Bool

	mu    sync.Mutex
	stats Stats
}

// New checks cfg. It starts nothing.
func New(cfg Config) (*Worker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg, dispenser: newDispenser(), finds: newFinds(), stats: Stats{State: Looking}}
	for i, source := range cfg.Devices {
		w.devices.all = append(w.devices.all, &feeder{
			source: source, by: i + 1, dispenser: w.dispenser, finds: w.finds, log: cfg.Log, state: DeviceOpening,
		})
	}
	return w, nil
}

// Run mines until ctx is cancelled, which is not an error, and returns when all
// that it started has ended, within a second: all but a device whose driver hangs,
// which nothing can end. It can run once. Losing the
// connection or the coordinator is no reason to return: it waits for them for as
// long as it takes, and so it does while several networks are there and none was
// chosen. It returns an error when the caller closes the connection.
func (w *Worker) Run(ctx context.Context) error {
	if w.started.Swap(true) {
		return errors.New("worker: ran already")
	}
	speed := calibrate(ctx, w.cfg.Kernel, w.cfg.Threads)
	s, err := newSession(w, speed.rate)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer s.close()
	if w.cfg.Threads > 0 {
		s.log.Info("measured", "kernel", w.cfg.Kernel.Name, "threads", w.cfg.Threads, "rate", Rate(speed.rate))
	}

	var threads sync.WaitGroup
	for range w.cfg.Threads {
		m := miner{device: &cpu{kernel: w.cfg.Kernel, hashes: speed.slice}, dispenser: w.dispenser, finds: w.finds}
		threads.Go(func() { mineOn(&m) })
	}
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	w.devices.start(feeding)
	err = s.run(ctx)
	stop()
	w.dispenser.close()
	threads.Wait()
	w.devices.wait(s.log)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	s.leave()
	return nil
}
