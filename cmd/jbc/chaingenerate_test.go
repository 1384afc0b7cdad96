package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cancelWhenThere returns a context that is cancelled, as by Ctrl-C, once a file is
// there.
func cancelWhenThere(t *testing.T, path string) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := os.Stat(path); err == nil {
				return
			}
			<-tick.C
		}
	}()
	return ctx
}

// TestCtrlCEndsGenerate ends a run that would take half an hour. What was taken in
// is kept, and said.
func TestCtrlCEndsGenerate(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "data")
	var out, errs bytes.Buffer
	args := []string{"chain", "generate", "10000000", "--network", "regtest", "--data-dir", dir}
	if status := run(cancelWhenThere(t, filepath.Join(dir, "payout.key")), args, &out, &errs); status != exitInterrupted {
		t.Errorf("exit status %d, want %d", status, exitInterrupted)
	}
	var blocks, height int
	if _, err := fmt.Sscanf(errs.String(), "jbc: interrupted after %d blocks: the tip is at height %d\n", &blocks, &height); err != nil || blocks != height || strings.Count(errs.String(), "\n") != 1 {
		t.Fatalf("standard error: %q, want one line", errs.String())
	}
	if status := run(t.Context(), []string{"chain", "show", fmt.Sprint(height), "--network", "regtest", "--data-dir", dir}, &out, &errs); status != exitOK {
		t.Errorf("no block at height %d: %s", height, errs.String())
	}
	if status := run(t.Context(), []string{"chain", "show", fmt.Sprint(height + 1), "--network", "regtest", "--data-dir", dir}, &out, &errs); status != exitFailure {
		t.Errorf("a block at height %d, too", height+1)
	}
}

func TestCtrlCLeavesNoBlockFile(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "blocks.dat")
	var out, errs bytes.Buffer
	status := run(cancelWhenThere(t, filepath.Join(dir, ".blocks.dat.new")), []string{
		"chain", "generate", "10000000", "--network", "regtest", "--data-dir", filepath.Join(dir, "data"),
		"--address", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "--blocks", file,
	}, &out, &errs)
	if want := "jbc: interrupted: nothing was written to " + file + "\n"; status != exitInterrupted || errs.String() != want {
		t.Errorf("exit status %d, standard error %q; want %d, %q", status, errs.String(), exitInterrupted, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
