package main

import (
	"debug/elf"
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
	devices := exec.Command("/jbc", "devices")
	devices.Dir, devices.Env = "/", []string{}
	devices.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if out, err := devices.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "this build of jbc can't use devices") {
		t.Errorf("in an empty root: %v: %s", err, out)
	}
}
