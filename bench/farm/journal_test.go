//go:build linux

package farm

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// journal keeps what a process writes, line by line, with when it came.
type journal struct {
	mu      sync.Mutex
	partial []byte
	lines   []line
}

type line struct {
	at   time.Time
	text string
}

// Write implements io.Writer for both outputs of a process at once.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.partial = append(j.partial, p...)
	for {
		text, rest, whole := bytes.Cut(j.partial, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		j.lines = append(j.lines, line{now, string(text)})
		j.partial = rest
	}
}

// all returns every line so far.
func (j *journal) all() []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[:len(j.lines):len(j.lines)]
}

// with returns the lines that contain all of parts.
func (j *journal) with(parts ...string) []line {
	var found []line
	for _, l := range j.all() {
		if l.has(parts...) {
			found = append(found, l)
		}
	}
	return found
}

func (l line) has(parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(l.text, part) {
			return false
		}
	}
	return true
}

// text returns everything, for messages and for searching.
func (j *journal) text() string {
	var b strings.Builder
	for _, l := range j.all() {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}

// rest returns the line that is not ended yet.
func (j *journal) rest() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.partial)
}

// tail returns the last n lines with their times.
func (j *journal) tail(n int) string {
	all := j.all()
	var b strings.Builder
	for _, l := range all[max(0, len(all)-n):] {
		b.WriteString(l.at.Format("05.000 "))
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}
