package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	cache                                                 size
	indexes                                               chain.IndexSet
	mine, secure, lan                                     bool
	advertise                                             []string
	nats                                                  natsFlags
	place                                                 placeFlags
	mesh                                                  meshFlags
	gpus                                                  gpuFlags
	threadsGiven                                          bool
}

func newCoordinator(s *shell) *cobra.Command {
	var f coordinatorFlags
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Keep a chain and lease its work out",
		Long: "Keep a chain and lease its work out to the workers that join over NATS. The NATS\n" +
			"server is embedded and listens on loopback, unless --nats names another. With\n" +
			"--mine this process mines too: one command runs everything.\n\n" +
			"With --listen beyond loopback other machines can join. The server then speaks TLS\n" +
			"with a certificate of its own and lets in only who joined; the first start prints\n" +
			"the line to run on another machine, jbc token new makes more of them.",
		Example: "  jbc coordinator --mine\n  jbc coordinator --listen 0.0.0.0:4222\n  jbc coordinator --network main --nats nats://10.0.0.1:4222",
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
			f.threadsGiven = cmd.Flags().Changed("threads")
			f.place.own = cmd.Flags().Changed("listen") || cmd.Flags().Changed("port") || f.secure
			return f.run(cmd.Context(), s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "dev", "network to keep the chain of: "+networkUsage)
	flags.StringVar(&f.dataDir, "data-dir", "", "`directory` of the chain and the keys (default $XDG_DATA_HOME/jbc/NETWORK)")
	f.cache = chain.DefaultCacheBytes
	flags.Var(&f.cache, "cache", cacheUsage)
	flags.Var((*indexFlag)(&f.indexes), "index", "keep indexes: tx, address or both with a comma; built beside the work where they lag")
	flags.StringVar(&f.listen, "listen", defaultListen, "`host:port` of the embedded NATS server; beyond loopback with TLS and credentials")
	flags.StringArrayVar(&f.advertise, "advertise", nil, "`host[:port]` under which other machines reach --listen, put first in tokens (may be repeated)")
	flags.BoolVar(&f.secure, "secure", false, "TLS and credentials on loopback too")
	flags.BoolVar(&f.lan, "lan", false, "tell the local network of this coordinator (mDNS), for jbc worker --lan")
	flags.IntVarP(&f.port, "port", "p", 4222, "short for --listen 127.0.0.1:PORT")
	flags.StringVar(&f.name, "name", "", "this coordinator's `name` on the network (default the host name)")
	flags.StringVar(&f.address, "address", "", "`address` that blocks pay to (default a key made in the data directory)")
	flags.StringVar(&f.data, "data", "", "`text` for the coinbase of every block, at most 32 bytes")
	flags.BoolVarP(&f.mine, "mine", "m", false, "mine in this process too")
	flags.IntVar(&f.threads, "threads", 0, threadsUsage)
	flags.StringVar(&f.kernel, "kernel", "", "kernel to mine with (default the fastest; jbc kernels lists them)")
	f.gpus.add(flags)
	f.nats.add(cmd, "default the embedded server")
	flags.StringVar(&f.place.join, "join", "", "`file` that jbc join made of a coordinator's token: with --listen be a node of that coordinator's mesh, without it a guest on its server")
	f.mesh.add(cmd)
	return cmd
}

func (f *coordinatorFlags) run(ctx context.Context, s *shell) (err error) {
	params, err := networkByName(f.network)
	if err != nil {
		return err
	}
	if isNetworkFile(f.network) {
		f.network = params.ID()
	}
	mining, err := newMining(f.threads, f.kernel)
	if err != nil {
		return err
	}
	if err := f.gpus.check(); err != nil {
		return err
	}
	if err := f.place.take(s, f); err != nil {
		return err
	}
	if f.name == "" {
		f.name = hostName()
	}
	if err := protocol.CheckName(f.name); err != nil {
		return usageError(err, "choose another with --name")
	}
	if err := errors.Join(f.checkLAN(), f.checkMesh()); err != nil {
		return err
	}
	if f.dataDir == "" {
		if f.dataDir, err = s.dataPath(networkDir(params)); err != nil {
			return err
		}
	}
	dir, err := openDataDir(f.dataDir, params, chain.Options{Logger: s.log, CacheBytes: max(1, int64(f.cache)), Indexes: f.indexes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	farm, err := f.connect(s, params, dir)
	if err != nil {
		return err
	}
	defer farm.close()

	c, err := f.newCoordinator(s, params, dir, farm)
	if err != nil {
		return err
	}
	s.log.Info("coordinator", "name", f.name, "network", params.ID(), "height", dir.chain.Tip().Height,
		"nats", redact(farm.url), "data", f.dataDir, "version", buildVersion())
	if farm.access != nil {
		inviting, stop := context.WithCancel(ctx)
		var invitation sync.WaitGroup
		invitation.Go(func() { invite(inviting, s, c, farm.access) })
		if f.lan {
			invitation.Go(func() { f.tellLAN(inviting, s, c, farm.broker) })
		}
		defer invitation.Wait()
		defer stop()
	}
	if f.indexes != 0 {
		building, stop := context.WithCancel(ctx)
		var build sync.WaitGroup
		build.Go(func() { buildIndexes(building, dir.chain, s.log) })
		defer build.Wait()
		defer stop()
	}
	if !f.mine {
		return explainRun(c.Run(ctx))
	}
	return explainRun(f.runBoth(ctx, s, c, mining, farm))
}

func (f *coordinatorFlags) newCoordinator(s *shell, params *chain.Params, dir *dataDir, farm *farmConn) (*coordinator.Coordinator, error) {
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
	cfg := coordinator.Config{
		Params: params, Name: f.name, Chain: dir.chain, Store: dir.store, JobsDir: filepath.Join(dir.path, "jobs"), Conn: farm.conn, Key: key,
		Access:    farm.access,
		Machines:  f.place.member != nil,
		Node:      farm.node,
		PayScript: script, Data: f.data, Version: buildVersion(), Log: s.log,
	}
	if farm.broker != nil {
		cfg.Refuse = farm.broker.Refuse
	}
	return coordinator.New(cfg)
}

// farmConn is the coordinator's way to its workers.
type farmConn struct {
	broker *coordinator.Broker // nil with an external server
	url    string
	access *coordinator.Access     // nil where nobody can join
	node   *coordinator.NodeConfig // nil where the server meets no others
	conn   *nats.Conn
	dial   func(role protocol.Role, name string) (*nats.Conn, error)
}

// connect starts the embedded server, or goes to the one that is named.
func (f *coordinatorFlags) connect(s *shell, params *chain.Params, dir *dataDir) (farm *farmConn, err error) {
	switch {
	case f.place.isGuest():
		farm, err = f.place.connect(s), dir.disown()
	case f.nats.url != "":
		farm, err = f.connectExternal(s, dir)
	default:
		farm, err = f.startServer(s, params, dir)
	}
	if err != nil {
		return nil, err
	}
	if farm.conn, err = farm.dial(protocol.RoleCoordinator, f.name); err != nil {
		farm.close()
		return nil, err
	}
	return farm, nil
}

// connectExternal goes to a server that somebody else runs, who lets machines in.
func (f *coordinatorFlags) connectExternal(s *shell, dir *dataDir) (*farmConn, error) {
	opts, err := f.nats.options(s)
	if err != nil {
		return nil, err
	}
	return &farmConn{url: f.nats.url, dial: func(_ protocol.Role, name string) (*nats.Conn, error) {
		return dial(f.nats.url, name, s.log, slices.Concat(opts, patient()))
	}}, dir.disown()
}

// startServer starts the embedded server, whose own clients need no socket.
func (f *coordinatorFlags) startServer(s *shell, params *chain.Params, dir *dataDir) (*farmConn, error) {
	if _, err := f.nats.options(s); err != nil {
		return nil, err
	}
	farm := &farmConn{}
	var err error
	if f.listensToOthers() {
		farm.broker, farm.access, err = f.startSecure(s, params, dir)
	} else {
		farm.broker, err = f.startOpen(s, params, dir)
	}
	if err != nil {
		return nil, err
	}
	if err := f.join(farm, dir); err != nil {
		farm.close()
		return nil, err
	}
	farm.url = farm.broker.URL()
	farm.dial = func(role protocol.Role, name string) (*nats.Conn, error) {
		opts, err := farm.broker.Options(role, name)
		if err != nil {
			return nil, err
		}
		return dial("nats://"+defaultListen, name, s.log, opts)
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
	devices, err := f.gpus.find(ctx, s.log)
	if err != nil {
		return err
	}
	m.useDevices(s, &f.gpus, devices, f.threadsGiven)
	m.choose(s.log)
	m.leaveRoom()
	conn, err := farm.dial(protocol.RoleWorker, f.minerName())
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := worker.New(worker.Config{
		Conn: conn, Network: c.Network(), Coordinator: f.name, Key: c.PublicKey(),
		Name: f.minerName(), Kernel: m.kernel, Threads: m.threads, Devices: m.devices,
		Version: buildVersion(), Host: hostName(), Log: troubles(s.log),
		Stay: true, // they live and die together
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

// minerName is the name of the worker in this process.
func (f *coordinatorFlags) minerName() string { return protocol.MakeName(f.name + "-miner") }

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
	if errors.Is(err, syscall.EADDRINUSE) {
		return withHint(err, "another coordinator or NATS server has that port: choose another with --listen HOST:PORT (or --mesh, where nodes meet), or use that server with --nats URL")
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
