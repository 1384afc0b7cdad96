package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/worker"
)

// workerFlags are the flags of jbc worker.
type workerFlags struct {
	network, coordinator, key, name, kernel string
	threads                                 int
	lan, stay                               bool
	gpus                                    gpuFlags
	route                                   routeFlags
}

func newWorker(s *shell) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Mine for a coordinator with this machine's cores and graphics cards",
		Long: "Mine for a coordinator with this machine's cores and graphics cards: for the one that this machine\n" +
			"joined (jbc join), else one on this machine, else one at the NATS server that\n" +
			"--nats names. While that one is silent the worker mines for another coordinator that\n" +
			"it vouches for, and comes back to it by itself.",
		Example: "  jbc worker --threads 8\n  jbc worker --nats nats://10.0.0.1:4222",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), s, cmd.Flags().Changed("threads"))
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.threads, "threads", 0, threadsUsage)
	flags.StringVar(&f.kernel, "kernel", "", "kernel to mine with (default the fastest; jbc kernels lists them)")
	flags.StringVar(&f.name, "name", "", "this worker's `name`, on a machine that joined behind that machine's (default with four random digits)")
	flags.StringVar(&f.network, "network", "", "name, `id` or file of the network to mine on (default the one joined, or that is there)")
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` of the coordinator to mine for (default the first found)")
	flags.StringVar(&f.key, "key", "", "the coordinator's public `nkey` (default that of the first met)")
	flags.BoolVar(&f.stay, "stay", false, "mine for that one coordinator only, also while it is silent")
	flags.BoolVar(&f.lan, "lan", false, "look on the local network too for the coordinator that this machine joined")
	f.gpus.add(flags)
	f.route.add(cmd)
	return cmd
}

func (f *workerFlags) run(ctx context.Context, s *shell, threadsGiven bool) error {
	m, err := newMining(f.threads, f.kernel)
	if err != nil {
		return err
	}
	if err := f.gpus.check(); err != nil {
		return err
	}
	if f.network, err = wantedNetwork(f.network); err != nil {
		return err
	}
	way, err := f.route.choose(s, wanted{roles: []protocol.Role{protocol.RoleWorker, protocol.RoleOwner}, network: f.network})
	if err != nil {
		return err
	}
	if f.lan && way.member == nil {
		if way.chosen != byDefault {
			return usageError(errors.New("--lan looks for the coordinator that this machine joined, and a NATS server is given"), "leave out --lan, or --nats")
		}
		return s.listLAN(ctx)
	}
	name, err := way.process(f.name, hostName())
	if err != nil {
		return err
	}
	pinned, err := way.pin(pins{f.network, f.coordinator, f.key})
	if err != nil {
		return err
	}
	opts, err := way.options(name)
	if err != nil {
		return err
	}
	servers := newPool(s.log, way)
	conn, err := dial(way.url, name, s.log, append(opts, servers.options()...))
	if err != nil {
		return err
	}
	defer conn.Close()
	servers.serve(conn)
	devices, err := f.gpus.find(ctx, s.log)
	if err != nil {
		return err
	}
	m.useDevices(s, &f.gpus, devices, threadsGiven)
	m.choose(s.log)
	w, err := worker.New(worker.Config{
		Conn: conn, Network: pinned.network, Coordinator: pinned.coordinator, Key: pinned.key, Name: name,
		Kernel: m.kernel, Threads: m.threads, Devices: m.devices, Version: buildVersion(), Host: hostName(), Log: s.log,
		Stay: f.stay, Known: servers.known(), Nodes: servers.takeNodes,
	})
	if err != nil {
		return usageError(err, "jbc worker --help says what the flags take")
	}
	s.log.Info("worker", "name", name, "threads", m.threads, "kernel", m.kernel.Name, "devices", len(m.devices), "nats", redact(way.url), "chosen", way.chosen, "version", buildVersion())
	m.leaveRoom()
	mining, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var tasks sync.WaitGroup
	tasks.Go(func() { stop(w.Run(mining)) })
	tasks.Go(func() { s.showProgress(mining, w) })
	tasks.Go(func() { servers.run(mining, name, w.Stats) })
	if f.lan {
		tasks.Go(func() { s.followOnLAN(mining, conn, way.member, servers) })
	}
	tasks.Wait()
	if cause := context.Cause(mining); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// randomDigits tells apart workers of one machine.
func randomDigits() string {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
