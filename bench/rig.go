package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

// networkRoom is how many goroutines may run beside the hashing threads, as in
// jbc worker.
const networkRoom = 2

// rig is a real coordinator with its NATS server and its store on the disk, for
// measuring what needs one.
type rig struct {
	dir    string
	store  *store.Store
	broker *coordinator.Broker
	conn   *nats.Conn
	coord  *coordinator.Coordinator
	key    nkeys.KeyPair // the coordinator's
	stop   context.CancelFunc
	ended  sync.WaitGroup
	err    error // of the coordinator; read after ended
}

// newRig starts a coordinator of params in a directory of its own.
func newRig(ctx context.Context, params *chain.Params) (r *rig, err error) {
	r = &rig{stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	if r.dir, err = os.MkdirTemp("", "jbc-bench-"); err != nil {
		return r, err
	}
	if r.store, err = store.Open(store.Options{Dir: filepath.Join(r.dir, "chain"), Network: params.ID()}); err != nil {
		return r, err
	}
	ch, err := chain.Open(r.store, params, chain.Options{})
	if err != nil {
		return r, err
	}
	if r.broker, err = coordinator.StartBroker(coordinator.BrokerConfig{Listen: "127.0.0.1:0", Name: "bench", Log: quiet}); err != nil {
		return r, err
	}
	if r.key, err = nkeys.CreateUser(); err != nil {
		return r, err
	}
	return r, r.run(ctx, params, ch)
}

// run starts the coordinator on the rig's server and store.
func (r *rig) run(ctx context.Context, params *chain.Params, ch *chain.Chain) (err error) {
	if r.conn, err = r.dial("coordinator"); err != nil {
		return err
	}
	r.coord, err = coordinator.New(coordinator.Config{
		Params: params, Name: "bench", Chain: ch, Store: r.store, JobsDir: filepath.Join(r.dir, "jobs"), Conn: r.conn, Key: r.key,
		PayScript: []byte{0x51}, Log: slog.New(slog.DiscardHandler), Unlimited: true,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	r.stop = stop
	r.ended.Go(func() { r.err = r.coord.Run(running) })
	select {
	case <-r.coord.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends everything and removes the directory.
func (r *rig) close() error {
	r.stop()
	r.ended.Wait()
	err := r.err
	if r.conn != nil {
		r.conn.Close()
	}
	if r.broker != nil {
		r.broker.Stop()
	}
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// dial connects over TCP, as another process would.
func (r *rig) dial(name string) (*nats.Conn, error) {
	return nats.Connect(r.broker.URL(), protocol.ConnectOptions(name)...)
}

// mine runs a worker until the function that it returns is called. It returns
// when the worker mines.
func (r *rig) mine(ctx context.Context, k hashing.Kernel, threads int) (w *worker.Worker, stop func() error, err error) {
	conn, err := r.dial("worker")
	if err != nil {
		return nil, nil, err
	}
	w, err = worker.New(worker.Config{
		Conn: conn, Name: "worker", Kernel: k, Threads: threads, Key: r.coord.PublicKey(),
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	stop = func() error {
		cancel()
		err := <-ended
		conn.Close()
		return err
	}
	for w.Stats().State != worker.Mining {
		select {
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), stop())
		case err := <-ended:
			ended <- err
			return nil, nil, fmt.Errorf("worker ended early: %w", errors.Join(err, stop()))
		case <-time.After(pollTime):
		}
	}
	return w, stop, nil
}

// pollTime is how often a measurement looks whether something has happened whose
// time is noted elsewhere.
const pollTime = 500 * time.Microsecond

// leaveRoom sets GOMAXPROCS as a worker of that many threads does, and returns
// what sets it back.
func leaveRoom(threads int) (restore func()) {
	before := runtime.GOMAXPROCS(threads + networkRoom)
	return func() { runtime.GOMAXPROCS(before) }
}

// easyNetwork returns a network whose blocks take 2^bits hashes on average, for
// ever, and whose jobs are not refreshed meanwhile. Its genesis is mined here.
func easyNetwork(bits int) (*chain.Params, error) {
	p := chain.Regtest()
	p.Name = "bench"
	p.Spacing = time.Hour
	p.PowLimit = hashing.TargetForHashes(float64(uint64(1) << bits)).Bits()
	target, err := p.PowLimit.Target()
	if err != nil {
		return nil, err
	}
	genesis := *p.Genesis
	genesis.Header.SetBits(p.PowLimit)
	genesis.Header.SetTime(uint32(time.Now().Add(-24 * time.Hour).Unix()))
	k := hashing.BestKernel()
	s := hashing.NewSearch(genesis.Header, []uint32{genesis.Header.Version()}, target)
	hits := make([]hashing.Hit, 1)
	const batch = 1 << 16
	for i := range uint32(1 << 16) {
		if _, found := k.Scan(&s, i*batch, batch, hits); found > 0 {
			genesis.Header.SetNonce(hits[0].Nonce)
			p.Genesis = &genesis
			return p, nil
		}
	}
	return nil, fmt.Errorf("no genesis at 2^%d hashes", bits)
}
