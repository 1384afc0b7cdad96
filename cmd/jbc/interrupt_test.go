package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCtrlCEndsAScan cancels, as Ctrl-C does, at the first winner of an easy
// search that would take minutes.
func TestCtrlCEndsAScan(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var stopped time.Time
	out := &watcher{text: "nonce", then: func() { stopped = time.Now(); cancel() }}
	var errs bytes.Buffer
	status := run(ctx, []string{"scan", scriptHeaders(t)["EASY"], "--kernel", "plain"}, out, &errs)
	if status != exitInterrupted {
		t.Errorf("exit status %d, want %d", status, exitInterrupted)
	}
	if took := time.Since(stopped); took > time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if got := errs.String(); !strings.HasPrefix(got, "jbc: interrupted after ") || strings.Count(got, "\n") != 1 {
		t.Errorf("standard error: %q, want one line", got)
	}
}

func TestCtrlCEndsABench(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	status := run(ctx, []string{"bench", "--time", "1h"}, &out, &errs)
	if status != exitInterrupted || errs.String() != "jbc: interrupted\n" {
		t.Errorf("exit status %d, want %d; standard error: %s", status, exitInterrupted, errs.String())
	}
}

// TestWorkerWaitsForItsServer starts a worker whose NATS server is away. It says
// so and stays, until Ctrl-C, which is a clean end.
func TestWorkerWaitsForItsServer(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	errs := &watcher{text: "no connection to NATS", then: cancel}
	status := run(ctx, []string{"worker", "--nats", "nats://127.0.0.1:" + freePort(t), "--threads", "1"}, t.Output(), errs)
	if status != exitOK {
		t.Errorf("exit status %d, want %d; standard error: %s", status, exitOK, errs.seen)
	}
	if n := bytes.Count(errs.seen, []byte(errs.text)); n != 1 {
		t.Errorf("it said %d times that there is no connection: %s", n, errs.seen)
	}
}

// watcher keeps what is written and calls then when it first holds text.
type watcher struct {
	text string
	then func()

	mu   sync.Mutex
	once sync.Once
	seen []byte
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, p...)
	if bytes.Contains(w.seen, []byte(w.text)) {
		w.once.Do(w.then)
	}
	return len(p), nil
}

func TestDescribeSweep(t *testing.T) {
	got := describeSweep(3<<30, 1<<32, 100*time.Second)
	if want := " 75.0 %  32.2 MH/s  33s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
