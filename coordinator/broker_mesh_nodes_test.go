package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestRedial waits longer each time, up to a bound.
func TestRedial(t *testing.T) {
	lost := errors.New("connection refused")
	for _, tt := range []struct {
		attempts int
		err      error
		want     time.Duration
	}{
		{0, nil, 250 * time.Millisecond},
		{1, lost, 250 * time.Millisecond},
		{2, lost, 500 * time.Millisecond},
		{3, lost, time.Second},
		{4, lost, 2 * time.Second},
		{1 << 40, lost, 2 * time.Second},
		{1, errSelf, 10 * time.Second},
		{1, fmt.Errorf("refused: this server %w", errNetwork), 10 * time.Second},
		{1, fmt.Errorf("refused: this server %w", errNotItsOwn), 10 * time.Second},
		{1, errSameName, 10 * time.Second},
		{1, errMet, 250 * time.Millisecond},
	} {
		if got := redial(tt.attempts, tt.err); got != tt.want {
			t.Errorf("redial(%d, %v) = %v, want %v", tt.attempts, tt.err, got, tt.want)
		}
	}
}

// TestTake has one of two connections to a server stay, the same one on both sides.
func TestTake(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	long, short := now.Add(-time.Minute), now.Add(-meetTime/2)
	for _, tt := range []struct {
		name, id string // of who dialled
		before   *peer
		want     error
		leaves   bool
	}{
		{"nobody before", "n", nil, nil, false},
		{"the route of one that lost it", "n", &peer{since: long}, nil, true},
		{"the route that was dialled to one that lost it", "n", &peer{since: long, dialled: true}, nil, true},
		{"a route that has just begun", "n", &peer{since: short}, errMet, false},
		{"one that began to dial before", "n", &peer{}, nil, true},
		{"this one dials too, and has the smaller id", "n", &peer{dialled: true}, errMet, false},
		{"this one dials too, and has the greater id", "l", &peer{dialled: true}, nil, true},
	} {
		m := &mesh{id: "m", met: map[string]*peer{}}
		if tt.before != nil {
			m.met[tt.id] = tt.before
		}
		p := &peer{id: tt.id}
		before, err := m.take(now, p)
		if !errors.Is(err, tt.want) || (before != nil) != tt.leaves || (m.met[tt.id] == p) != (tt.want == nil) {
			t.Errorf("%s: %v, %v, taken %v, want %v", tt.name, before, err, m.met[tt.id] == p, tt.want)
		}
	}
	full := &mesh{id: "m", met: map[string]*peer{}}
	for i := range maxMet {
		full.met[fmt.Sprint(i)] = &peer{since: long}
	}
	if _, err := full.take(now, &peer{id: "n"}); !errors.Is(err, errFull) {
		t.Errorf("one too many: %v, want %v", err, errFull)
	}
	if _, err := full.take(now, &peer{id: "0"}); err != nil {
		t.Errorf("one of many that comes again: %v", err)
	}
}

// TestDoors bounds those who are about to be met, in all and from one host.
func TestDoors(t *testing.T) {
	d := doors{open: map[string]int{}}
	in := 0
	for host := range 2 * maxMeeting {
		for range 2 * maxMeetingOfHost {
			if d.enter(fmt.Sprint(host % 8)) {
				in++
			}
		}
	}
	if in != maxMeeting || d.open["0"] != maxMeetingOfHost || d.enter("new") {
		t.Errorf("%d are in, %d of one host, want %d and %d", in, d.open["0"], maxMeeting, maxMeetingOfHost)
	}
	d.leave("0")
	if !d.enter("new") || d.enter("newer") {
		t.Error("the place of one that left is not another's")
	}
}

// TestWarnsOnce tells of a name that is used twice once, however often it is met.
func TestWarnsOnce(t *testing.T) {
	var log logLines
	m := &mesh{name: "a", log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		m.warnOfName(&net.TCPAddr{})
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}
}

// TestReports says the same once in a while, and forgets.
func TestReports(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	r := reports{last: map[string]time.Time{}}
	for _, tt := range []struct {
		after time.Duration
		what  string
		want  bool
	}{
		{0, "a", true}, {0, "a", false}, {0, "b", true}, {reportEvery - 1, "a", false},
		{reportEvery, "a", true}, {reportEvery + 1, "a", false}, {2 * reportEvery, "c", true},
	} {
		if got := r.due(start.Add(tt.after), tt.what); got != tt.want {
			t.Errorf("%q after %v: due %v, want %v", tt.what, tt.after, got, tt.want)
		}
	}
	if len(r.last) != 1 {
		t.Errorf("%d are remembered, want 1", len(r.last))
	}
	for i := range 2 * maxReports {
		r.due(start.Add(2*reportEvery), fmt.Sprint(i))
	}
	if len(r.last) != maxReports {
		t.Errorf("%d are remembered, want %d", len(r.last), maxReports)
	}
}
