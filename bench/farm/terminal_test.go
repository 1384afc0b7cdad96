//go:build linux

package farm

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	var locked, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, user.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatalf("pseudo-terminal: %v", errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return user, program
}

// TestOnTerminal watches the first command as somebody at a terminal does: a line
// says what it mines, Ctrl-C ends it and takes the line away.
func TestOnTerminal(t *testing.T) {
	f := newFarm(t)
	user, program := openTerminal(t)
	cmd := f.command("coordinator", "--mine", "--listen", f.host)
	cmd.Stdin = program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	shown := &journal{}
	p := startOn(t, "coordinator", cmd, program, shown)
	program.Close()
	go io.Copy(shown, user) // ends with an error when the program does

	progress := regexp.MustCompile(`mining  height [1-9]\d*  [\d.]+ [kMGT]?H/s \(10s\).* blocks [1-9]`)
	eventually(t, patience, "a line shows a rate, a height and a block", func() bool {
		return progress.MatchString(shown.text() + shown.rest())
	})
	began := time.Now()
	if _, err := user.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	p.wait(t, 0)
	if took := p.endedAt.Sub(began); took > time.Second {
		t.Errorf("it took %v to end after Ctrl-C, want at most 1s", took)
	}
}
