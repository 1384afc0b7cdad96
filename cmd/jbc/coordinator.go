package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

// defaultListen is where the embedded NATS server listens, and where clients look.
const defaultListen = "127.0.0.1:4222"

// coordinatorFlags are the flags of jbc coordinator.
type coordinatorFlags struct {
	network, dataDir, listen, name, address, data, kernel string
	port, threads                                         int
	mine                                                  bool
	nats                                                  natsFlags
}

func newCoordinator(s *shell) *cobra.Command {
	var f coordinatorFlags
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Keep a chain and lease its work out",
		Long: "Keep a chain and lease its work out to the workers that join over NATS. The NATS\n" +
			"server is embedded and listens on loopback, unless --nats names another. With\n" +
			"--mine this process mines too: one command runs everything.",
		Example: "  jbc coordinator --mine\n  jbc coordinator --network main --nats nats://10.0.0.1:4222",
		Args: func(cmd *cobra.Command, args []string) error {
			// Looked at here, where only the command line has set flags: there --port may
			// well overrule a listen of the configuration.
			if cmd.Flags().Changed("port") && cmd.Flags().Changed("listen") {
				return usageError(errors.New("--port and --listen are both given"), "--port PORT is short for --listen 127.0.0.1:PORT: give one of them")
			}
			return exactArgs(0)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("port") {
				f.listen = "127.0.0.1:" + strconv.Itoa(f.port)
			}
			return f.run(cmd.Context(), s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "dev", "network to keep the chain of: dev, main or regtest")
	flags.StringVar(&f.dataDir, "data-dir", "", "`directory` of the chain and the keys (default $XDG_DATA_HOME/jbc/NETWORK)")
	flags.StringVar(&f.listen, "listen", defaultListen, "`host:port` of the embedded NATS server, on loopback")
	flags.IntVarP(&f.port, "port", "p", 4222, "short for --listen 127.0.0.1:PORT")
	flags.StringVar(&f.name, "name", "", "this coordinator's `name` on the network (default the host name)")
	flags.StringVar(&f.address, "address", "", "`address` that blocks pay to (default a key made in the data directory)")
	flags.StringVar(&f.data, "data", "", "`text` for the coinbase of every block, at most 32 bytes")
	flags.BoolVarP(&f.mine, "mine", "m", false, "mine in this process too")
	flags.IntVar(&f.threads, "threads", 0, "threads to mine with (0: one for every CPU)")
	flags.StringVar(&f.kernel, "kernel", "", "kernel to mine with (default the fastest; jbc kernels lists them)")
	f.nats.add(cmd, "default the embedded server")
	return cmd
}

func (f *coordinatorFlags) run(ctx context.Context, s *shell) (err error) {
	params, err := networkByName(f.network)
	if err != nil {
		return err
	}
	mining, err := newMining(f.threads, f.kernel)
	if err != nil {
		return err
	}
	if f.name == "" {
		f.name = hostName()
	}
	if err := protocol.CheckName(f.name); err != nil {
		return usageError(err, "choose another with --name")
	}
	if f.dataDir == "" {
		if f.dataDir, err = s.dataPath(params.Name); err != nil {
			return err
		}
	}
	dir, err := openDataDir(f.dataDir, params, s.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	farm, err := f.connect(s)
	if err != nil {
		return err
	}
	defer farm.close()

	c, err := f.newCoordinator(s, params, dir, farm.conn)
	if err != nil {
		return err
	}
	s.log.Info("coordinator", "name", f.name, "network", params.ID(), "height", dir.chain.Tip().Height,
		"nats", redact(farm.url), "data", f.dataDir, "version", buildVersion())
	if !f.mine {
		return explainRun(c.Run(ctx))
	}
	return explainRun(f.runBoth(ctx, s, c, mining, farm))
}

func (f *coordinatorFlags) newCoordinator(s *shell, params *chain.Params, dir *dataDir, conn *nats.Conn) (*coordinator.Coordinator, error) {
	key, err := coordinator.SigningKey(dir.path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	script, address, err := dir.payScript(params, f.address)
	if err != nil {
		return nil, err
	}
	options := chain.TemplateOptions{PayScript: script, Miner: f.name, Data: f.data}
	if _, err := dir.chain.Template(time.Now(), options); err != nil && !errors.As(err, new(*chain.Hold)) {
		return nil, usageError(err, "choose another text with --data")
	}
	s.log.Info("blocks pay to", "address", address)
	return coordinator.New(coordinator.Config{
		Params: params, Name: f.name, Chain: dir.chain, Store: dir.store, JobsDir: filepath.Join(dir.path, "jobs"), Conn: conn, Key: key,
		PayScript: script, Data: f.data, Version: buildVersion(), Log: s.log,
	})
}

// farmConn is the coordinator's way to its workers.
type farmConn struct {
	broker *coordinator.Broker // nil with an external server
	url    string
	conn   *nats.Conn
	dial   func(name string) (*nats.Conn, error)
}

// connect starts the embedded server, or goes to the one that is named.
func (f *coordinatorFlags) connect(s *shell) (*farmConn, error) {
	farm := &farmConn{url: f.nats.url}
	opts, err := f.nats.options(s)
	if err != nil {
		return nil, err
	}
	if f.nats.url == "" {
		farm.broker, err = coordinator.StartBroker(coordinator.BrokerConfig{Listen: f.listen, Name: f.name, Log: s.log})
		if err != nil {
			return nil, explainListen(err)
		}
		farm.url = farm.broker.URL()
		opts = []nats.Option{farm.broker.Option()}
	}
	farm.dial = func(name string) (*nats.Conn, error) { return dial(farm.url, name, s.log, opts) }
	if farm.conn, err = farm.dial(f.name); err != nil {
		farm.close()
		return nil, err
	}
	return farm, nil
}

func (f *farmConn) close() {
	if f.conn != nil {
		f.conn.Close()
	}
	if f.broker != nil {
		f.broker.Stop()
	}
}

// runBoth runs the coordinator and a worker in one process. Either's end is the
// other's; on Ctrl-C the worker ends first, while somebody is there to take back its
// leases and what it found last.
func (f *coordinatorFlags) runBoth(ctx context.Context, s *shell, c *coordinator.Coordinator, m *mining, farm *farmConn) error {
	m.leaveRoom()
	conn, err := farm.dial(f.name + "-miner")
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := worker.New(worker.Config{
		Conn: conn, Network: c.Network(), Coordinator: f.name, Key: c.PublicKey(),
		Name: protocol.MakeName(f.name + "-miner"), Kernel: m.kernel, Threads: m.threads,
		Version: buildVersion(), Host: hostName(), Log: troubles(s.log),
	})
	if err != nil {
		return err
	}
	both, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	mining, stopMining := context.WithCancel(both)
	defer stopMining()
	defer context.AfterFunc(ctx, stopMining)()
	var tasks sync.WaitGroup
	tasks.Go(func() { stop(c.Run(both)) })
	tasks.Go(func() {
		select {
		case <-c.Ready():
			stop(w.Run(mining))
		case <-mining.Done():
			stop(nil)
		}
	})
	tasks.Go(func() { s.showProgress(both, w) })
	tasks.Wait()
	if cause := context.Cause(both); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func networkByName(name string) (*chain.Params, error) {
	params, err := chain.ByName(name)
	if err != nil {
		return nil, usageError(err, "--network takes one of those")
	}
	return params, nil
}

// hostName returns this machine's name as a token of a subject.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "jbc"
	}
	return protocol.MakeName(name)
}

func explainListen(err error) error {
	var listen *coordinator.ListenError
	if !errors.As(err, &listen) {
		return err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another coordinator or NATS server has that port: choose another with --listen HOST:PORT, or use that server with --nats URL")
	case errors.Is(err, coordinator.ErrNotLoopback):
		return usageError(err, "listen on 127.0.0.1, and use a NATS server with credentials (--nats) for workers on other machines")
	}
	return usageError(err, "--listen takes HOST:PORT, for example "+defaultListen)
}

// explainRun adds to an error that ended a coordinator what to try.
func explainRun(err error) error {
	if errors.Is(err, coordinator.ErrNameTaken) {
		return withHint(err, "choose another with --name")
	}
	return explainStore(err)
}
