//go:build linux

package farm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// raced is what jbc race --json prints, as far as it is looked at.
type raced struct {
	From   uint32       `json:"from_height"`
	Height uint32       `json:"height"`
	Tip    hashing.Hash `json:"tip"`
	Agreed bool         `json:"agreed"`
	Blocks int          `json:"blocks"`
	Nodes  []struct {
		Name   string       `json:"name"`
		Blocks int          `json:"blocks"`
		Share  float64      `json:"share"`
		Tip    hashing.Hash `json:"tip"`
		protocol.Race
	} `json:"nodes"`
}

// TestRace has two coordinators race, and compares what the table says with the blocks
// of their chains.
func TestRace(t *testing.T) {
	f := newFarm(t)
	dir := filepath.Join(f.home, "race")
	cmd := f.command("race", "--nodes", "2", "--for", "1h", "--data-dir", dir, "--json")
	var printed bytes.Buffer
	cmd.Stdout = &printed
	told := &journal{}
	p := startApart(t, cmd, told)
	eventually(t, time.Minute, "ten blocks are won", func() bool { return len(told.with("msg=won ")) >= 10 || !p.running() })
	p.signal(syscall.SIGINT) // which ends it early, with the table
	p.wait(t, 0)
	if left := processesOf(dir); len(left) != 0 {
		t.Errorf("after the race there still run %q", left)
	}
	var r raced
	if err := json.Unmarshal(printed.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, printed.String())
	}
	wins := map[string]int{}
	at := r.Tip.String()
	for height := r.Height; height > r.From; height-- {
		var b protocol.BlockInfo
		f.runJSON(t, &b, "chain", "show", at, "--offline", "--json", "--data-dir", filepath.Join(dir, "node2"))
		if b.Height != height {
			t.Fatalf("block %s has height %d, want %d", at, b.Height, height)
		}
		wins[b.Miner]++
		at = b.Prev.String()
	}
	if r.Blocks != int(r.Height-r.From) || r.Blocks == 0 || len(r.Nodes) != 2 || !r.Agreed {
		t.Errorf("%d blocks from %d to %d, %d nodes, agreed %v", r.Blocks, r.From, r.Height, len(r.Nodes), r.Agreed)
	}
	total, share := 0, 0.0
	for i, n := range r.Nodes {
		if want := fmt.Sprintf("node%d", i+1); n.Name != want || n.Blocks != wins[want] {
			t.Errorf("%s has won %d, the chain says %s won %d", n.Name, n.Blocks, want, wins[want])
		}
		total, share = total+n.Blocks, share+n.Share
		if n.LostMS <= 0 || n.LostHashes <= 0 || n.Tip != r.Tip {
			t.Errorf("%s: %+v", n.Name, n)
		}
	}
	if total != r.Blocks || share < 0.999 || share > 1.001 {
		t.Errorf("%d of %d blocks are somebody's, %v of all", total, r.Blocks, share)
	}
	last := told.with("msg=won ")
	if line := last[len(last)-1].text; !wonLine.MatchString(line) {
		t.Errorf("the line of a block is %q", line)
	}
	t.Logf("%s", printed.String())
}

var wonLine = regexp.MustCompile(` height=\d+ winner=node[12] after=[0-9.]+[mµ]?s( instead_of=\d+)? standings="(node1 \d+)?(, )?(node2 \d+)?"$`)

// TestRaceIsKilled kills the race, which it can't be told: its nodes end all the same.
func TestRaceIsKilled(t *testing.T) {
	f := newFarm(t)
	f.env = append(f.env, "TMPDIR="+f.home)
	told := &journal{}
	p := startApart(t, f.command("race", "--nodes", "3", "--for", "1h"), told)
	p.out = told
	p.says(t, time.Minute, "msg=racing ")
	dirs, err := filepath.Glob(filepath.Join(f.home, "jbc-race-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	if nodes := processesOf(dirs[0]); len(nodes) != 3 {
		t.Fatalf("the nodes are %q", nodes)
	}
	p.kill()
	eventually(t, patience, "its nodes are gone", func() bool { return len(processesOf(dirs[0])) == 0 })
}

// TestRaceLeavesNothing ends by itself and removes the directory that it made.
func TestRaceLeavesNothing(t *testing.T) {
	f := newFarm(t)
	f.env = append(f.env, "TMPDIR="+f.home)
	out, _, status := f.run(t, "race", "--nodes", "2", "--for", "1s")
	if status != 0 || !strings.Contains(out, "NODE ") || !strings.Contains(out, "\nnode2 ") {
		t.Errorf("status %d: %s", status, out)
	}
	if left, err := filepath.Glob(filepath.Join(f.home, "jbc-race-*")); len(left) != 0 || err != nil {
		t.Errorf("it left %q, %v", left, err)
	}
	if left := processesOf(f.home); len(left) != 0 {
		t.Errorf("there still run %q", left)
	}
}

// startApart starts a program whose standard output, if it is set, goes elsewhere than
// the rest.
func startApart(t *testing.T, cmd *exec.Cmd, told *journal) *process {
	t.Helper()
	stdout := cmd.Stdout
	if stdout == nil {
		stdout = told
	}
	p := &process{name: "race", cmd: cmd, out: told, started: time.Now(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = stdout, told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		p.endedAt = time.Now()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s", told.tail(logTail))
		}
	})
	return p
}

// processesOf returns the command lines that name a directory.
func processesOf(dir string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file)
		if args := strings.ReplaceAll(string(line), "\x00", " "); err == nil && strings.Contains(args, " coordinator ") && strings.Contains(args, dir) {
			found = append(found, args)
		}
	}
	return found
}
