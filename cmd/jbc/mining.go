package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/ports"
	"github.com/jbcnet/jbc/worker"
)

// mining is what a process mines with.
type mining struct {
	kernel  hashing.Kernel
	asked   int // threads, 0 for as many as fit
	threads int
	devices []worker.DeviceSource
}

// newMining checks the flags: no threads means one for every CPU, no kernel the one
// that choose finds.
func newMining(threads int, kernel string) (*mining, error) {
	if err := checkThreads(threads); err != nil {
		return nil, err
	}
	m := &mining{asked: threads, threads: threads}
	if m.threads == 0 {
		m.threads = runtime.NumCPU()
	}
	if kernel == "" {
		return m, nil
	}
	var err error
	if m.kernel, err = hashing.KernelByName(kernel); err != nil {
		return nil, usageError(fmt.Errorf("%w", err), "jbc kernels lists them")
	}
	return m, nil
}

// threadsUsage is for those who mine with devices too.
const threadsUsage = "threads to mine with (default, and 0 where there are no devices: one for every CPU that feeds none; 0 beside devices: none)"

// usualVersions is how many header versions jobs have, as a rule.
const usualVersions = 16

// choose takes the kernel that is fastest here, unless one was asked for, and sees
// to it that it can be. It measures for some 50 ms.
func (m *mining) choose(log *slog.Logger) {
	if m.threads == 0 {
		return
	}
	if m.kernel.Scan == nil {
		m.kernel = hashing.FastestKernel(usualVersions)
	}
	m.place(log)
}

// place sees to it that the kernel's code does not lie where it runs at a fraction
// of its rate, and says what it did. It takes some 10 ms.
func (m *mining) place(log *slog.Logger) {
	share := ports.Share(m.kernel, usualVersions)
	if share == 0 || share >= ports.Poor {
		return
	}
	was := share
	err := m.kernel.Replace()
	if err == nil {
		share = ports.Share(m.kernel, usualVersions)
	}
	level := slog.LevelDebug
	if share < ports.Poor {
		level = slog.LevelInfo // a busy machine, as a rule
	}
	log.Log(context.Background(), level, "the kernel is slow for this core: moved its code to other memory",
		"kernel", m.kernel.Name, "of_limit", fmt.Sprintf("%.0f%%", 100*was), "now", fmt.Sprintf("%.0f%%", 100*share), "err", err)
}

// networkRoom is how many goroutines may run beside the hashing threads.
const networkRoom = 2

// leaveRoom lets the scheduler run the network beside the hashing threads. With
// as many processors as hashing threads a message waits 12 to 77 ms for one of
// them to look up; with more it does not wait.
func (m *mining) leaveRoom() {
	if want := m.threads + len(m.devices) + networkRoom; runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}
