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
	nats                                    natsFlags
}

func newWorker(s *shell) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:     "worker",
		Short:   "Mine for a coordinator with this machine's cores",
		Long:    "Mine for a coordinator with this machine's cores. The worker finds it through the\nNATS server, waits for it as long as it takes, and comes back to it by itself.",
		Example: "  jbc worker --threads 8\n  jbc worker --nats nats://10.0.0.1:4222",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.threads, "threads", 0, "threads to mine with (0: one for every CPU)")
	flags.StringVar(&f.kernel, "kernel", "", "kernel to mine with (default the fastest; jbc kernels lists them)")
	flags.StringVar(&f.name, "name", "", "this worker's `name` (default the host name and four random digits)")
	flags.StringVar(&f.network, "network", "", "name or `id` of the network to mine on (default the one that is there)")
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` of the coordinator to mine for (default the first found)")
	flags.StringVar(&f.key, "key", "", "the coordinator's public `nkey` (default that of the first met)")
	f.nats.add(cmd, "default nats://"+defaultListen)
	return cmd
}

func (f *workerFlags) run(ctx context.Context, s *shell) error {
	m, err := newMining(f.threads, f.kernel)
	if err != nil {
		return err
	}
	if f.name == "" {
		f.name = protocol.MakeName(hostName() + "-" + randomDigits())
	}
	if err := protocol.CheckName(f.name); err != nil {
		return usageError(err, "choose another with --name")
	}
	opts, err := f.nats.options(s)
	if err != nil {
		return err
	}
	url := f.nats.serverURL()
	conn, err := dial(url, f.name, s.log, opts)
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := worker.New(worker.Config{
		Conn: conn, Network: f.network, Coordinator: f.coordinator, Key: f.key, Name: f.name,
		Kernel: m.kernel, Threads: m.threads, Version: buildVersion(), Host: hostName(), Log: s.log,
	})
	if err != nil {
		return usageError(err, "jbc worker --help says what the flags take")
	}
	s.log.Info("worker", "name", f.name, "threads", m.threads, "kernel", m.kernel.Name, "nats", redact(url), "version", buildVersion())
	m.leaveRoom()
	mining, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var tasks sync.WaitGroup
	tasks.Go(func() { stop(w.Run(mining)) })
	tasks.Go(func() { s.showProgress(mining, w) })
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
