package main

import (
	"fmt"
	"runtime"

	"github.com/jbcnet/jbc/hashing"
)

// mining is what a process mines with.
type mining struct {
	kernel  hashing.Kernel
	threads int
}

// newMining checks the flags: no threads means one for every CPU, no kernel the
// fastest.
func newMining(threads int, kernel string) (*mining, error) {
	if err := checkThreads(threads); err != nil {
		return nil, err
	}
	m := &mining{kernel: hashing.BestKernel(), threads: threads}
	if m.threads == 0 {
		m.threads = runtime.NumCPU()
	}
	if kernel != "" {
		var err error
		if m.kernel, err = hashing.KernelByName(kernel); err != nil {
			return nil, usageError(fmt.Errorf("%w", err), "jbc kernels lists them")
		}
	}
	return m, nil
}

// networkRoom is how many goroutines may run beside the hashing threads.
const networkRoom = 2

// leaveRoom lets the scheduler run the network beside the hashing threads. With
// as many processors as hashing threads a message waits 12 to 77 ms for one of
// them to look up; with more it does not wait.
func (m *mining) leaveRoom() {
	if want := m.threads + networkRoom; runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}
