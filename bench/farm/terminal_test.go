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

// resize gives a terminal that many columns.
func resize(t *testing.T, terminal *os.File, columns uint16) {
	t.Helper()
	size := struct{ rows, columns, x, y uint16 }{24, columns, 0, 0}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
		t.Fatalf("size of a pseudo-terminal: %v", errno)
	}
}

// statusLines are all that text shows at the bottom of a terminal.
var statusLines = regexp.MustCompile(`(?:looking|joining|mining|holding|stopped|offline) #[^\r\n\x1b]*`)

// TestOnTerminal watches the first command as somebody at a terminal does: a line
// says what it mines and never wraps, Ctrl-C ends it and takes the line away.
func TestOnTerminal(t *testing.T) {
	f := newFarm(t)
	user, program := openTerminal(t)
	resize(t, user, 80)
	cmd := f.command("coordinator", "--mine", "--listen", f.host)
	cmd.Stdin = program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	shown := &journal{}
	p := startOn(t, "coordinator", cmd, program, shown)
	program.Close()
	go io.Copy(shown, user) // ends with an error when the program does

	progress := regexp.MustCompile(`mining #[1-9]\d*  [\d.]+ [kMGT]?H/s \(10s\).*  [1-9]\d* blocks`)
	eventually(t, luck, "a line shows a rate, a height and a block", func() bool {
		return progress.MatchString(shown.text() + shown.rest())
	})
	for _, line := range statusLines.FindAllString(shown.text()+shown.rest(), -1) {
		if len(line) > 79 {
			t.Errorf("%q has %d columns on a terminal of 80", line, len(line))
		}
	}
	resize(t, user, 40)
	eventually(t, patience, "the line is cut off where the terminal ends", func() bool {
		all := statusLines.FindAllString(shown.text()+shown.rest(), -1)
		return len(all[len(all)-1]) == 39
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
