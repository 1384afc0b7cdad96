package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestRosterHistories replays the histories in testdata/roster. Run with -rewrite
// to write what happens now, and review it as a diff.
func TestRosterHistories(t *testing.T) {
	datadriven.Walk(t, "testdata/roster", func(t *testing.T, path string) {
		h := &rosterHistory{now: time.Unix(1_000_000, 0)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return h.run(script{t, d})
		})
	})
}

type rosterHistory struct {
	now    time.Time
	roster *roster
}

func (h *rosterHistory) run(s script) string {
	switch s.d.Cmd {
	case "roster": // roster limit=N
		h.roster = newRoster(int(s.number("limit", maxSlots)), nil)
		return line("room for %d", h.roster.limit)
	case "join": // join WORKER
		got, err := h.roster.Join(h.now, protocol.Join{Name: s.word(0)}, secretOf(s.word(0)), protocol.Terms{})
		if err != nil {
			return line("%v", err)
		}
		return line("slot %d", got.number)
	case "heard": // heard WORKER slot=N
		if _, err := h.roster.Heard(h.now, uint32(s.number("slot", 0)), sending(s)); err != nil {
			return line("%v", err)
		}
		return line("ok")
	case "leave": // leave slot=N
		h.roster.Leave(uint32(s.number("slot", 0)))
		return ""
	case "pass": // pass DURATION
		h.now = h.now.Add(s.duration(s.word(0)))
		var out []string
		for _, gone := range h.roster.Silent(h.now) {
			out = append(out, fmt.Sprintf("silent: slot %d %s", gone.number, gone.worker.Name))
		}
		return lines(out)
	case "live":
		var out []string
		for _, live := range h.roster.Live(h.now) {
			out = append(out, fmt.Sprintf("slot %d %s", live.number, live.worker.Name))
		}
		return lines(out)
	}
	s.t.Fatalf("%s: no command %q", s.d.Pos, s.d.Cmd)
	return ""
}
