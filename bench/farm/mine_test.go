//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestFirstCommand is README's first command in an empty home: it mines within
// 10 s of its start, ends within 1 s of Ctrl-C, and goes on from the same tip.
func TestFirstCommand(t *testing.T) {
	f := newFarm(t)
	args := []string{"coordinator", "--mine", "--listen", f.host}
	o := f.observe(t, chain.Dev(), hooks{})

	first := start(t, "coordinator", f.command(args...))
	eventually(t, luck, "a block is announced", func() bool { return len(o.blocks()) > 0 })
	took := o.blocks()[0].at.Sub(first.started)
	eventually(t, luck, "three blocks are announced", func() bool { return len(o.blocks()) >= 3 })

	o.discovered(t)
	before := showStatus(t, f)
	if before.Tip.String() != showBlock(t, f, fmt.Sprint(before.Height)).Hash.String() {
		t.Errorf("jbc status has tip %s at height %d, jbc chain show another", before.Tip, before.Height)
	}
	ended := first.interrupt(t)
	announced := o.blocks()

	second := start(t, "coordinator again", f.command(args...))
	second.says(t, patience, "msg=coordinator ", fmt.Sprintf("height=%d ", announced[len(announced)-1].height))
	o.discovered(t)
	after := showStatus(t, f)
	if after.Height < before.Height || after.Network != before.Network || after.Key != before.Key {
		t.Errorf("started again: got height %d of %s, key %s; want %d or more of %s, key %s",
			after.Height, after.Network, after.Key, before.Height, before.Network, before.Key)
	}
	if got := showBlock(t, f, fmt.Sprint(before.Height)); got.Hash != before.Tip || !got.Main {
		t.Errorf("started again: height %d is %s, was %s", before.Height, got.Hash, before.Tip)
	}
	checkAnnounced(t, o, announced)
	eventually(t, luck, "it mines on", func() bool { return len(o.blocks()) > len(announced) })
	next := o.blocks()[len(announced)]
	if want := announced[len(announced)-1].height + 1; next.height != want {
		t.Errorf("the first new block has height %d, want %d", next.height, want)
	}
	again := second.interrupt(t)
	t.Logf("first block %v after the start, Ctrl-C to end %v and %v", took, ended, again)
}

// TestTwoWorkers runs a coordinator and two workers in processes of their own.
func TestTwoWorkers(t *testing.T) {
	f := newFarm(t)
	o := f.observe(t, chain.Dev(), hooks{})
	f.coordinator(t)
	workers := map[string]*process{"w1": f.worker(t, "w1", 8), "w2": f.worker(t, "w2", 8)}

	began := time.Now()
	eventually(t, luck, "both workers have found blocks and shares", func() bool {
		st := o.status()
		if st == nil || len(st.Workers) != 2 {
			return false
		}
		for _, w := range st.Workers {
			if w.Blocks == 0 || w.Shares == 0 {
				return false
			}
		}
		return true
	})
	st := showStatus(t, f)
	blocks := uint64(0)
	for _, w := range st.Workers {
		p := workers[w.Name]
		if p == nil {
			t.Fatalf("a worker %q in the status", w.Name)
		}
		if w.Threads != 8 || w.Kernel == "" || w.DeclaredHS <= 0 || w.MeasuredHS <= 0 {
			t.Errorf("status of %s: %+v", w.Name, w)
		}
		p.says(t, patience, `msg="block accepted"`)
		blocks += w.Blocks
	}
	if blocks > st.Blocks+st.Stale || st.Height == 0 {
		t.Errorf("the workers found %d blocks, %d were accepted, height %d", blocks, st.Blocks, st.Height)
	}
	t.Logf("both found blocks and shares after %v: %d blocks", time.Since(began), blocks)

	took := workers["w1"].interrupt(t)
	eventually(t, time.Second, "the worker that left is gone from the status", func() bool {
		st := o.status()
		return st != nil && len(st.Workers) == 1 && st.Workers[0].Name == "w2"
	})
	t.Logf("a worker's Ctrl-C to end %v", took)
}

// TestSecondInterruptKills freezes the coordinator, so that a worker that leaves
// waits for an answer, and interrupts it again.
func TestSecondInterruptKills(t *testing.T) {
	f := newFarm(t)
	c := f.coordinator(t, "--network", "bitcoin")
	w := f.worker(t, "w1", 1)
	w.says(t, patience, "msg=joined")
	c.signal(syscall.SIGSTOP)
	defer c.signal(syscall.SIGCONT)
	deadline := time.Now().Add(patience)
	for w.running() && time.Now().Before(deadline) {
		w.signal(syscall.SIGINT)
		time.Sleep(pollTime)
	}
	<-w.ended
	status, _ := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("interrupted twice while leaving, the worker ended with %v, want to be killed by the signal", w.cmd.ProcessState)
	}
}

// showStatus runs jbc status --json.
func showStatus(t *testing.T, f *farm) *protocol.Status {
	t.Helper()
	var st protocol.Status
	f.runJSON(t, &st, "status", "--json", "--nats", f.url)
	return &st
}

// showBlock runs jbc chain show --json.
func showBlock(t *testing.T, f *farm, at string) *protocol.BlockInfo {
	t.Helper()
	var b protocol.BlockInfo
	f.runJSON(t, &b, "chain", "show", at, "--json", "--nats", f.url)
	return &b
}

func (f *farm) runJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	stdout, stderr, status := f.run(t, args...)
	if status != 0 {
		t.Fatalf("jbc %q ended with %d: %s", args, status, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), v); err != nil {
		t.Fatalf("jbc %q: %v in %s", args, err, stdout)
	}
}

// checkAnnounced wants every block that was announced on the best chain, walking
// it from the highest of them down.
func checkAnnounced(t *testing.T, o *observer, announced []announcement) {
	t.Helper()
	if len(announced) == 0 {
		return
	}
	lowest, highest := announced[0].height, announced[0].height
	for _, a := range announced {
		lowest, highest = min(lowest, a.height), max(highest, a.height)
	}
	at := map[uint32]string{}
	for height := lowest; height <= highest; height++ {
		b, err := o.block(fmt.Sprint(height))
		if err != nil {
			t.Fatal(err)
		}
		if b != nil {
			at[height] = b.Hash.String()
		}
	}
	for _, a := range announced {
		if at[a.height] != a.hash.String() {
			t.Errorf("block %d %s was announced and is lost: the chain has %q there", a.height, a.hash, at[a.height])
		}
	}
}

func isRoot() bool { return os.Geteuid() == 0 }
