package main

import (
	"bufio"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestNoGPUIsStatic builds the program without devices: it needs no other file, not
// even where there is none.
func TestNoGPUIsStatic(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	if runtime.GOOS != "linux" {
		t.Skip("no other system's C library can be left out")
	}
	root := t.TempDir()
	build := exec.Command("go", "build", "-tags", "nogpu", "-o", filepath.Join(root, "jbc"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := elf.Open(filepath.Join(root, "jbc"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %s", p.Type)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root may make a directory the root")
	}
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/jbc", args...)
		cmd.Dir, cmd.Env = "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		return cmd
	}
	if out, err := inside("devices").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "this build of jbc can't use devices") {
		t.Errorf("in an empty root: %v: %s", err, out)
	}

	// A worker starts there, looks for its server in vain, and ends when told.
	worker := inside("worker", "--gpu", "all", "--threads", "1", "--nats", "nats://"+net.JoinHostPort("127.0.0.1", freePort(t)))
	said, err := worker.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer worker.Process.Kill() // nothing to do where it has ended
	var log []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		log = append(log, lines.Text())
		if strings.Contains(lines.Text(), "msg=measured") {
			_ = worker.Process.Signal(syscall.SIGINT)
		}
	}
	err = worker.Wait()
	if all := strings.Join(log, "\n"); err != nil || !strings.Contains(all, "msg=measured") || !strings.Contains(all, "no device to mine with") {
		t.Errorf("a worker in an empty root: %v:\n%s", err, all)
	}
}
