package coordinator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestLedgerHistories replays the histories in testdata/ledger. A slot is written
// w1, w2, ...; an interval [first,end). Run with -rewrite to write what happens now,
// and review it as a diff.
func TestLedgerHistories(t *testing.T) {
	datadriven.Walk(t, "testdata/ledger", func(t *testing.T, path string) {
		h := &ledgerHistory{now: time.Unix(1_000_000, 0)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return h.run(t, d)
		})
	})
}

type ledgerHistory struct {
	now    time.Time
	ledger *ledger
}

func (h *ledgerHistory) run(t *testing.T, d *datadriven.TestData) string {
	number := func(i int) (n uint64) {
		if _, err := fmt.Sscanf(d.CmdArgs[i].Key, "%d", &n); err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		return n
	}
	slotOf := func(i int) (n uint32) {
		if _, err := fmt.Sscanf(d.CmdArgs[i].Key, "w%d", &n); err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		return n
	}
	switch d.Cmd {
	case "line": // line HOME SIZE
		h.ledger = newLedger(number(0), number(1))
		return ""
	case "book": // book wN FIRST POINTS
		h.ledger.Book(slotOf(0), interval{number(1), number(2)}, h.now.Add(leaseTime))
		return h.list("lease", h.ledger.LeasesOf(slotOf(0)))
	case "lease": // lease wN POINTS
		return h.list("lease", h.ledger.Lease(slotOf(0), number(1), maxPieces, h.now.Add(leaseTime)))
	case "progress": // progress wN LEASE DONE
		if err := h.ledger.Progress(slotOf(0), number(1), number(2), h.now.Add(leaseTime)); err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("searched %d\n", h.ledger.searched)
	case "pass": // pass DURATION
		d, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		h.now = h.now.Add(d)
		return h.list("expired lease", h.ledger.Expire(h.now))
	case "release": // release wN
		return h.list("released lease", h.ledger.Release(slotOf(0)))
	case "held": // held wN POINT
		return fmt.Sprintln(h.ledger.MayFind(slotOf(0), protocol.Point(number(1))))
	}
	t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
	return ""
}

func (h *ledgerHistory) list(what string, leases []*lease) string {
	var out strings.Builder
	for _, l := range leases {
		rest := l.rest()
		fmt.Fprintf(&out, "%s %d w%d [%d,%d)\n", what, l.id, l.slot, rest.first, rest.end())
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}
