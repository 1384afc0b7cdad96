package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// TestRaceTally hears of blocks in various orders and tells who has won which.
func TestRaceTally(t *testing.T) {
	hash := func(name string) (h hashing.Hash) { copy(h[:], name); return h }
	for _, tt := range []struct {
		name    string
		history string // each word is a block on another by a winner, of a height: child<parent=winner@height; or a move: block!
		want    string // of each move: what came, how many left, the standings
	}{
		{"one after the other", "a6<g=x@6 a6! a7<a6=y@7 a7!", "x6 -0 (x 1); y7 -0 (x 1, y 1)"},
		{"several at once", "a6<g=x@6 a7<a6=y@7 a7!", "x6 y7 -0 (x 1, y 1)"},
		{"the same again", "a6<g=x@6 a6! a6!", "x6 -0 (x 1); -0 (x 1)"},
		{"as much work came later", "a6<g=x@6 a6! b6<g=y@6 b6!", "x6 -0 (x 1); -0 (x 1)"},
		{"another chain", "a6<g=x@6 a7<a6=x@7 a7! b7<a6=y@7 b8<b7=y@8 b8!", "x6 x7 -0 (x 2); y7 y8 -1 (x 1, y 2)"},
		{"another from the start", "a6<g=x@6 a6! b6<g=y@6 b7<b6=y@7 b7!", "x6 -0 (x 1); y6 y7 -1 (y 2)"},
		{"what was won before does not count", "a5<f=x@5 a6<a5=y@6 a6!", "y6 -0 (y 1)"},
		{"a block that is missing", "a7<a6=x@7 a7?", "missing a6"},
		{"all that is missing", "a7?", "missing a7"},
		{"nothing missing below the start", "a6<g=x@6 a6?", "missing none"},
	} {
		tally := newRaceTally(5)
		var got []string
		for word := range strings.FieldsSeq(tt.history) {
			switch name := word[:2]; word[len(word)-1] {
			case '!':
				came, left := tally.Move(hash(name))
				said := ""
				for _, b := range came {
					said += fmt.Sprintf("%s%d ", b.winner, b.height)
				}
				wins := raceWins(tally.Chain(tally.tip))
				got = append(got, fmt.Sprintf("%s-%d (%s)", said, left, standings([]string{"x", "y"}, wins)))
			case '?':
				said := "missing none"
				if h, missing := tally.Missing(hash(name)); missing {
					said = "missing " + string(h[:2])
				}
				got = append(got, said)
			default:
				_, rest, _ := strings.Cut(word, "<")
				parent, rest, _ := strings.Cut(rest, "=")
				winner, height, _ := strings.Cut(rest, "@")
				b := raceBlock{prev: hash(parent), winner: winner, chainwork: height}
				if _, err := fmt.Sscan(height, &b.height); err != nil {
					t.Fatal(err)
				}
				tally.Add(hash(name), b)
			}
		}
		if got := strings.Join(got, "; "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestNewRaceNode takes what was before the race off.
func TestNewRaceNode(t *testing.T) {
	before := &protocol.Status{
		Blocks: 5, Stale: 2, Race: protocol.Race{Taken: 3, Reorgs: 1, DeepestReorg: 4, LostMS: 100, LostHashes: 1e6},
	}
	after := &protocol.Status{
		Coordinator: "node1", Height: 40, Blocks: 14, Stale: 3,
		Race: protocol.Race{
			Taken: 23, Reorgs: 1, DeepestReorg: 4, LostMS: 350, LostHashes: 3e6, Followed: protocol.FollowedMS{Count: 20, Median: 4, P99: 9},
		},
		Workers: []protocol.WorkerStatus{{MeasuredHS: 1e6, DeclaredHS: 9e6}, {MeasuredHS: 2e6}},
	}
	want := raceNode{
		Name: "node1", Height: 40, Stale: 1, StaleRate: 0.1, RateHS: 3e6,
		Race: protocol.Race{Taken: 20, LostMS: 250, LostHashes: 2e6, Followed: protocol.FollowedMS{Count: 20, Median: 4, P99: 9}},
	}
	if got := newRaceNode(before, after); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	after.Stale, after.Race.Reorgs = 1, 2
	if got := newRaceNode(before, after); got.Stale != 0 || got.StaleRate != 0 || got.Reorgs != 1 || got.DeepestReorg != 4 {
		t.Errorf("a stale block came back: %+v", got)
	}
}

// TestRaceNodes starts each where the others find it, under a name and in a directory
// of its own.
func TestRaceNodes(t *testing.T) {
	flags := &raceFlags{nodes: 3, threads: 2, network: "dev"}
	s := &shell{environ: []string{"HOME=/home", "JBC_NAME=x", "NATS_URL=y", "NATS_KEY=z", "PATH=/bin"}}
	r, err := newRaceNodes(s, flags, "/race")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.env, " "); got != "HOME=/home PATH=/bin" {
		t.Errorf("environment %q", got)
	}
	seen := map[string]bool{}
	for i, name := range r.names() {
		args := strings.Join(r.args(i), " ")
		for _, want := range []string{"coordinator ", " --name " + name + " ", " --data-dir /race/" + name + " ", " --mine ", " --threads 2 ", " --network dev "} {
			if !strings.Contains(args, want) {
				t.Errorf("%s has no %q in %q", name, want, args)
			}
		}
		if seen[args] {
			t.Errorf("two nodes with %q", args)
		}
		seen[args] = true
	}
	ports := map[int]bool{}
	for _, port := range r.ports {
		ports[port] = true
	}
	if len(ports) != 6 { // for clients and for nodes
		t.Errorf("ports %v", r.ports)
	}
}
