package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jbcnet/jbc/worker"
)

const (
	// statusEvery is how often the status line on a terminal is drawn anew.
	statusEvery = time.Second
	// reportEvery is how often a log line says the same elsewhere.
	reportEvery = time.Minute
	// firstReport comes earlier, to show that things run.
	firstReport = 10 * time.Second
)

// showProgress shows what a worker does until ctx ends: one line that stays at the
// bottom of a terminal, a log line now and then anywhere else.
func (s *shell) showProgress(ctx context.Context, w *worker.Worker) {
	line, onTerminal := s.err.(*statusLine)
	every := firstReport
	if onTerminal {
		every = statusEvery
		defer line.Clear()
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		st := w.Stats()
		if onTerminal {
			line.Show(describeStats(&st))
			timer.Reset(statusEvery)
			continue
		}
		s.log.Info("mining", "state", string(st.State), "height", st.Height,
			"rate_10s", worker.Rate(st.Rate10s), "rate_60s", worker.Rate(st.Rate60s), "rate_15m", worker.Rate(st.Rate15m),
			"shares", st.SharesAccepted, "refused", st.SharesRefused, "blocks", st.BlocksAccepted)
		timer.Reset(reportEvery)
	}
}

// describeStats is the status line.
func describeStats(st *worker.Stats) string {
	return fmt.Sprintf("%s  height %d  %s (10s) %s (60s) %s (15m)  shares %d  blocks %d",
		st.State, st.Height, worker.Rate(st.Rate10s), worker.Rate(st.Rate60s), worker.Rate(st.Rate15m),
		st.SharesAccepted, st.BlocksAccepted)
}

// statusLine writes to a terminal and keeps one line at its bottom, below
// everything that is written. It is safe for concurrent use.
type statusLine struct {
	mu   sync.Mutex
	w    io.Writer
	line string
}

const clearLine = "\r\x1b[K"

// Write writes p above the line.
func (l *statusLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.line == "" {
		return l.w.Write(p)
	}
	if _, err := io.WriteString(l.w, clearLine); err != nil {
		return 0, err
	}
	n, err := l.w.Write(p)
	if err == nil {
		_, err = io.WriteString(l.w, l.line)
	}
	return n, err
}

// Show replaces the line.
func (l *statusLine) Show(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = line
	_, _ = io.WriteString(l.w, clearLine+line)
}

// Clear takes the line away.
func (l *statusLine) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.line != "" {
		l.line = ""
		_, _ = io.WriteString(l.w, clearLine)
	}
}

// Fd lets a logger see that this is a terminal.
func (l *statusLine) Fd() uintptr {
	if f, ok := l.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
