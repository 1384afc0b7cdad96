//go:build !nogpu && !android && (amd64 || arm64)

package gpu

import (
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jbcnet/jbc/hashing"
)

// TestSignalsSurviveDrivers has a device found, built and at work, and then what Go
// does on signals must be what it was.
func TestSignalsSurviveDrivers(t *testing.T) {
	told := make(chan os.Signal, 100)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1)
	defer signal.Stop(told)
	before := readSignals()
	d, err := Open(t.Context(), anyInfo(t), Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := hashing.NewSearch(hashing.Header{}, []uint32{1}, hashing.Target{})
	if _, _, err := d.Scan(t.Context(), &s, 0, 100_000, make([]hashing.Hit, 1)); err != nil {
		t.Fatal(err)
	}
	if after := readSignals(); *after != *before {
		for i := range after {
			if after[i] != before[i] {
				t.Errorf("signal %d (%s): %+v, was %+v", i, syscall.Signal(i), after[i], before[i])
			}
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1} {
		for range 10 { // a signal may land on a thread of the driver
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-told:
				if got != sig {
					t.Errorf("got %s, want %s", got, sig)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s did not arrive", sig)
			}
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a nil pointer was no panic")
			}
		}()
		read := func(s *hashing.Search) [3]uint32 { return s.Tail }
		t.Log(read(nil))
	}()
}

// setSignal is what a driver does.
func setSignal(t *testing.T, sig syscall.Signal, action sigaction) {
	t.Helper()
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}

func TestGuardPutsSignalsBack(t *testing.T) {
	const ignore = 1
	before := readSignals()
	told := make(chan os.Signal, 1)
	defer signal.Stop(told)
	before.guard(func() {
		setSignal(t, syscall.SIGINT, sigaction{handler: ignore})
		setSignal(t, syscall.SIGSEGV, sigaction{handler: ignore})
		setSignal(t, maxSignal, sigaction{handler: ignore})
		if readSignal(int(syscall.SIGINT)) == before[syscall.SIGINT] {
			t.Error("the test changes nothing")
		}
		for begin := time.Now(); readSignal(int(syscall.SIGINT)) != before[syscall.SIGINT]; time.Sleep(guardEvery) {
			if time.Since(begin) > 10*time.Second {
				t.Fatal("not put back while the driver is at work")
			}
		}
		signal.Notify(told, syscall.SIGCONT) // which Go leaves alone until now: its own changes stay
		setSignal(t, syscall.SIGTERM, sigaction{handler: ignore})
	})
	after := readSignals()
	for i := range after {
		if after[i] != before[i] && i != int(syscall.SIGCONT) {
			t.Errorf("signal %d: %+v, was %+v", i, after[i], before[i])
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("SIGCONT did not arrive: what Go set was undone")
	}
}

// TestClosedFiles has the kernel judge: a thread that is nobody looks at a file of
// somebody else.
func TestClosedFiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "jbc-device-files-") // of t.TempDir nobody else may see the parent
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"renderD128": 0o600, "renderD129": 0o666, "card0": 0o600} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil { // whatever the umask says
			t.Fatal(err)
		}
	}
	closed := make(chan []string)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if os.Getuid() == 0 {
			const unchanged, nobody = ^uintptr(0), 65534
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, nobody, unchanged); errno != 0 {
				t.Error(errno)
			}
		} else if err := os.Chmod(filepath.Join(dir, "renderD128"), 0); err != nil {
			t.Error(err)
		}
		closed <- closedAmong([]string{dir + "/renderD*", dir + "/nvidia[0-9]*"}, access)
	}()
	if got, want := <-closed, []string{dir + "/renderD128"}; !slices.Equal(got, want) {
		t.Errorf("closed files %v, want %v", got, want)
	}
}
