package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWorkerOfAnotherNetwork starts processes: a coordinator of one network, and
// workers of two others, one of which has its name. They are told what is there
// and stay away.
func TestWorkerOfAnotherNetwork(t *testing.T) {
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	start := func(args ...string) (stop func() string, says func(text string)) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, "jbc", args...)
		cmd.Dir, cmd.Env = dir, env
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var seen strings.Builder
		lines := bufio.NewScanner(pipe)
		next := func() bool {
			ok := lines.Scan()
			seen.WriteString(lines.Text() + "\n")
			return ok
		}
		says = func(text string) {
			t.Helper()
			for next() {
				if strings.Contains(lines.Text(), text) {
					return
				}
			}
			t.Fatalf("jbc %s does not say %q: %s", strings.Join(args, " "), text, seen.String())
		}
		stop = func() string {
			defer cancel()
			_ = cmd.Process.Signal(os.Interrupt)
			for next() {
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("jbc %s: %v", strings.Join(args, " "), err)
			}
			return seen.String()
		}
		return stop, says
	}
	made := func(file string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "jbc", "network", "new", "farm", "--hashes", "256", "--output", file)
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	made("ours.json")
	made("theirs.json")
	ours, err := readNetwork(filepath.Join(dir, "ours.json"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := readNetwork(filepath.Join(dir, "theirs.json"))
	if err != nil {
		t.Fatal(err)
	}
	if ours.Name != theirs.Name || ours.ID() == theirs.ID() {
		t.Fatalf("networks %s and %s, want two of one name", ours.ID(), theirs.ID())
	}

	port := freePort(t)
	stopCoordinator, coordinatorSays := start("coordinator", "--network", "ours.json", "--name", "one", "--port", port)
	coordinatorSays("network=" + ours.ID())
	for _, network := range []string{"dev", "theirs.json"} {
		stop, says := start("worker", "--network", network, "--nats", "127.0.0.1:"+port, "--threads", "1", "--name", "stranger")
		says("none of the coordinators that answer is the one asked for: one of " + ours.ID())
		if log := stop(); strings.Contains(log, "coordinator found") {
			t.Errorf("worker of %s found a coordinator: %s", network, log)
		}
	}
	stop, says := start("worker", "--network", "ours.json", "--nats", "127.0.0.1:"+port, "--threads", "1", "--name", "friend")
	says("coordinator found")
	stop()
	if log := stopCoordinator(); strings.Contains(log, "stranger") {
		t.Errorf("the coordinator took a worker of another network: %s", log)
	}
}

// TestCtrlCEndsNetworkNew cancels, as Ctrl-C does, a search that would take years.
func TestCtrlCEndsNetworkNew(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	errs := &watcher{text: "mining the first block: ", then: cancel}
	var out bytes.Buffer
	status := run(ctx, []string{"network", "new", "farm", "--hashes", "2^70", "--output", filepath.Join(dir, "farm.json")}, &out, errs)
	if status != exitInterrupted || out.Len() > 0 {
		t.Errorf("exit status %d, want %d; standard output: %s", status, exitInterrupted, out.String())
	}
	said := strings.Split(strings.TrimSpace(string(errs.seen)), "\n") // progress, a line or more
	if last := said[len(said)-1]; len(said) < 2 || !strings.HasPrefix(last, "jbc: interrupted: no first block after ") {
		t.Errorf("standard error: %s", errs.seen)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// TestNetworkDir keeps networks of one name apart, whatever the name.
func TestNetworkDir(t *testing.T) {
	dev, err := networkByName("dev")
	if err != nil {
		t.Fatal(err)
	}
	other := *dev
	genesis := *dev.Genesis
	genesis.Header.SetNonce(1)
	other.Genesis = &genesis
	if got := networkDir(dev); got != "dev" {
		t.Errorf("dev is kept in %s", got)
	}
	if got := networkDir(&other); got != other.ID() || got == "dev" || got == dev.ID() {
		t.Errorf("another network called dev is kept in %s, want %s", got, other.ID())
	}
}

func TestOnNetwork(t *testing.T) {
	tests := []struct {
		dir, network string
		want         bool
	}{
		{"dev", "", true},
		{"dev", "dev", true},
		{"dev", "dev-ee6c34cc", true},
		{"dev", "main", false},
		{"farm-0ac3209b", "farm", true},
		{"farm-0ac3209b", "farm-0ac3209b", true},
		{"farm-0ac3209b", "farm-00000000", false},
		{"farm-0ac3209b", "dev", false},
		{"my-farm", "my", false},
	}
	for _, tt := range tests {
		if got := onNetwork(tt.dir, tt.network); got != tt.want {
			t.Errorf("directory %s, network %q: %v, want %v", tt.dir, tt.network, got, tt.want)
		}
	}
}

func TestIsNetworkFile(t *testing.T) {
	tests := map[string]bool{"dev": false, "farm-0ac3209b": false, "": false, "farm.json": true, "./farm": true, "/etc/farm": true, "json": false}
	for text, want := range tests {
		if got := isNetworkFile(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestParseHashes(t *testing.T) {
	tests := []struct {
		text string
		want float64
	}{
		{"2", 2}, {"4194304", 1 << 22}, {"2^22", 1 << 22}, {"2^1", 2}, {"2^75", 1 << 75},
		{"1", 0}, {"0", 0}, {"-5", 0}, {"2^0", 0}, {"2^76", 0}, {"2^", 0}, {"3^2", 0}, {"1e6", 0}, {"", 0}, {"2^-1", 0},
	}
	for _, tt := range tests {
		if got, err := parseHashes(tt.text); got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%q: %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestDescribeGenesis(t *testing.T) {
	got := describeGenesis(3<<30, 1<<36, 100*time.Second)
	if want := "mining the first block: 3.2e+09 of about 6.9e+10 hashes  32.2 MH/s  usually 35m33s in all"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
