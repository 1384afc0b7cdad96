package main

import (
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestStatusIsHarmless prints nothing that a worker made up for the terminal.
func TestStatusIsHarmless(t *testing.T) {
	var out strings.Builder
	s := &shell{out: &out}
	st := &protocol.Status{Workers: []protocol.WorkerStatus{{Name: "w1", Kernel: "\x1b]0;x\a\ttab\nline\u009b2J\xff é"}}}
	if err := s.printStatus(st, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out.String(), "\n\n")
	if !strings.Contains(table, "?]0;x??tab?line?2J\ufffd é") || strings.Count(table, "\n") != 2 {
		t.Errorf("%q", table)
	}
}
