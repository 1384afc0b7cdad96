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

// TestStatusShowsDevices has a line for each, and none where there are none.
func TestStatusShowsDevices(t *testing.T) {
	var out strings.Builder
	s := &shell{out: &out}
	st := &protocol.Status{Workers: []protocol.WorkerStatus{{Name: "w1", Threads: 2}, {Name: "w2", Devices: []protocol.Device{
		{Name: "NVIDIA H200", State: "mining", RateHS: 7.25e9, Shares: 12}, {Name: "gfx\x1b[2J", State: "failed\n"},
	}}}}
	if err := s.printStatus(st, time.Now()); err != nil {
		t.Fatal(err)
	}
	const want = "\n" +
		"DEVICE       WORKER  STATE    RATE       SHARES\n" +
		"NVIDIA H200  w2      mining   7.25 GH/s  12\n" +
		"gfx?[2J      w2      failed?  0 H/s      0\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("no %q in:\n%s", want, out.String())
	}
	out.Reset()
	st.Workers = st.Workers[:1]
	if err := s.printStatus(st, time.Now()); err != nil || strings.Contains(out.String(), "DEVICE") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

// TestStatusShowsTheRace tells what became of the blocks and who else there is, in
// words that no coordinator chose.
func TestStatusShowsTheRace(t *testing.T) {
	var out strings.Builder
	s := &shell{out: &out}
	now := time.Unix(1_700_000_000, 0)
	st := &protocol.Status{
		Blocks: 9, Stale: 1, Known: 3,
		Race: protocol.Race{
			Taken: 30, Reorgs: 2, DeepestReorg: 3, LostMS: 1234.5, LostHashes: 2.5e6,
			Followed: protocol.FollowedMS{Count: 30, Median: 4.25, P99: 19.5},
		},
		Others: []protocol.OtherStatus{
			{Name: "beta", Height: 40, Chainwork: strings.Repeat("0", 62) + "2a", HeardMS: 1500, Score: 0.5},
			{
				Name: "liar\x1b", Height: 7, Chainwork: "\u009b", HeardMS: 60_000, UntilMS: now.Add(time.Minute).UnixMilli(),
				Times: 1, Faults: map[string]uint64{"silent\n": 2, "bad headers": 1},
			},
		},
	}
	if err := s.printStatus(st, now); err != nil {
		t.Fatal(err)
	}
	until := now.Add(time.Minute).Format(time.DateTime)
	for _, want := range []string{
		"\nblocks       9 since the start, 1 stale (10.0 %), 30 of others\n",
		"\nreorgs       2, the deepest took out 3 blocks\n",
		"\nlost         1.235s of hashing in vain, 2.5 Mhashes\n",
		"\nfollowed     30 solutions of others, half within 4.2 ms, 99 % within 19.5 ms\n",
		"\nbeta         40      0x2a  1.5s   0.5    -                                 -\n",
		"\nliar?        7       0x?   60.0s  0.0    until " + until + " (1m0s)  1 bad headers, 2 silent?\n",
		"\nand 1 more\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
