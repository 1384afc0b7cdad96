//go:build !nogpu && !android && (amd64 || arm64)

package gpu

import (
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// signals is what this process does on each signal, as it was at one moment.
//
// Drivers bring compilers, and these take over SIGINT, SIGTERM or SIGSEGV as if the
// process were theirs: Ctrl-C would kill it at once, and a nil pointer would no longer be a
// panic. So what was there before is put back.
type signals [maxSignal + 1]sigaction

const maxSignal = 64

// sigaction is the kernel's struct, the same on amd64 and arm64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// guardEvery is how often signals are put right while a driver is at work: compiling a
// program takes it seconds.
const guardEvery = 10 * time.Millisecond

func readSignals() *signals {
	s := &signals{}
	for i := range s {
		s[i] = readSignal(i)
	}
	return s
}

// guard runs f, during and after which signals do what they did.
func (s *signals) guard(f func()) {
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(guardEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.restore()
			}
		}
	})
	defer func() {
		close(done)
		watcher.Wait()
		s.restore()
	}()
	f()
}

// restore puts back what differs. What Go itself has changed meanwhile, by os/signal,
// stays: SIGURG is always Go's, so its handler tells which that is.
func (s *signals) restore() {
	ours := s[syscall.SIGURG].handler
	for i := range s {
		if !ownable(i) {
			continue
		}
		if now := readSignal(i); now != s[i] && now.handler != ours {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(i), uintptr(unsafe.Pointer(&s[i])), 0, unsafe.Sizeof(now.mask), 0, 0)
		}
	}
}

// ownable says whether signal i has a handler of which anybody may dispose: there is
// no signal 0, KILL and STOP have none, and 32 to 34 are the C library's own.
func ownable(i int) bool {
	return i != 0 && i != int(syscall.SIGKILL) && i != int(syscall.SIGSTOP) && (i < 32 || i > 34)
}

func readSignal(i int) (now sigaction) {
	if ownable(i) {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(i), 0, uintptr(unsafe.Pointer(&now)), unsafe.Sizeof(now.mask), 0, 0)
	}
	return now
}
