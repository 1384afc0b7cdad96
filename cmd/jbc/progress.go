package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

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
		for _, d := range st.Devices {
			s.log.Info("device", "name", d.Name, "state", string(d.State), "rate_10s", worker.Rate(d.Rate10s), "shares", d.Shares)
		}
		timer.Reset(reportEvery)
	}
}

// describeStats is the status line. It fits into 79 columns up to a height of 99999
// and 9999 shares and blocks: a rate's unit is said once where the others share it.
// Beyond, a narrow terminal loses its end.
func describeStats(st *worker.Stats) string {
	now := worker.Rate(st.Rate10s).String()
	_, unit, _ := strings.Cut(now, " ")
	short := func(rate float64) string { return strings.TrimSuffix(worker.Rate(rate).String(), " "+unit) }
	return fmt.Sprintf("%s #%d  %s (10s) %s (60s) %s (15m)  %d shares  %d blocks",
		st.State, st.Height, now, short(st.Rate60s), short(st.Rate15m), st.SharesAccepted, st.BlocksAccepted)
}

// statusLine writes to a terminal and keeps one line at its bottom, below
// everything that is written. It is safe for concurrent use.
type statusLine struct {
	w    io.Writer
	size func(fd int) (width, height int, err error) // of the terminal

	mu   sync.Mutex
	line string
}

func newStatusLine(w io.Writer) *statusLine { return &statusLine{w: w, size: term.GetSize} }

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
		_, err = io.WriteString(l.w, l.fitting())
	}
	return n, err
}

// Show replaces the line.
func (l *statusLine) Show(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = line
	_, _ = io.WriteString(l.w, clearLine+l.fitting())
}

// fitting is as much of the line as the terminal shows without wrapping, whatever
// its width is now: of a line that wrapped, only the last row could be cleared. One
// column stays free, since some terminals wrap when the last one is filled.
func (l *statusLine) fitting() string {
	width, _, err := l.size(int(l.Fd()))
	if err != nil || width < 1 {
		return l.line // nobody knows
	}
	if runes := []rune(l.line); len(runes) >= width {
		return string(runes[:width-1])
	}
	return l.line
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
