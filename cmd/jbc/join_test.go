package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestPasted reads what people paste: the word, the line, either broken by a
// terminal.
func TestPasted(t *testing.T) {
	s := &shell{out: t.Output(), err: t.Output()}
	for _, tt := range []struct{ pasted, want string }{
		{"jbc1-abc", "jbc1-abc"},
		{"jbc1-abc\n", "jbc1-abc"},
		{"  jbc join jbc1-abc\r\n", "jbc1-abc"},
		{"jbc join jbc1-a\nbc\n", "jbc1-a bc"},
		{"", ""},
	} {
		got, err := s.readToken(strings.NewReader(tt.pasted))
		if err != nil || got != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.pasted, got, err, tt.want)
		}
	}
	if got, err := s.readToken(strings.NewReader(strings.Repeat("x", 1<<20))); err != nil || len(got) != maxPasted {
		t.Errorf("a flood: %d characters, %v, want %d", len(got), err, maxPasted)
	}
}

func TestMergeAddresses(t *testing.T) {
	many := strings.Fields("a b c d e f g h i j")
	for _, tt := range []struct {
		answered string
		lists    [][]string
		want     string
	}{
		{"a", nil, "a"},
		{"b", [][]string{{"a", "b", "c"}, {"c", "d"}}, "b a c d"},
		{"z", [][]string{many}, "z a b c d e f g"},
	} {
		if got := strings.Join(mergeAddresses(tt.answered, tt.lists...), " "); got != tt.want {
			t.Errorf("%s, %v: %s, want %s", tt.answered, tt.lists, got, tt.want)
		}
	}
}

// TestUnreached says the most telling of what was tried.
func TestUnreached(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	dead := attempt{"10.0.0.1:1", nats.ErrTimeout}
	for _, tt := range []struct {
		name    string
		tried   []attempt
		expires time.Time
		says    []string
	}{
		{"nobody", []attempt{dead, {"10.0.0.2:1", nats.ErrNoServers}, {"10.0.0.3:1", refused}}, now.Add(time.Hour),
			[]string{"the coordinator farm is at none of: 10.0.0.1:1 (no answer), 10.0.0.2:1 (connection refused), 10.0.0.3:1 (connect: connection refused)"}},
		{"nobody, and it ran out", []attempt{dead}, now, []string{"none of: 10.0.0.1:1 (no answer); it ran out at ", " by this machine's clock"}},
		{"something else", []attempt{dead, {"10.0.0.2:1", fmt.Errorf("%w: %w", nats.ErrTLS, access.ErrNotPinned)}}, now.Add(time.Hour),
			[]string{"something else answers at 10.0.0.2:1: no certificate of the pinned CA"}},
		{"unknown", []attempt{{"10.0.0.2:1", fmt.Errorf("%w: %w", nats.ErrTLS, access.ErrNotPinned)}, {"10.0.0.3:1", nats.ErrAuthorization}}, now.Add(time.Hour),
			[]string{"the coordinator farm at 10.0.0.3:1 does not know this token"}},
	} {
		e := &enrolment{token: &protocol.Token{Coordinator: "farm", Expires: tt.expires}}
		err := e.unreached(tt.tried, now)
		for _, want := range tt.says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", tt.name, err, want)
			}
		}
		if !slices.ContainsFunc(tt.tried, func(a attempt) bool { return strings.Contains(err.Error(), a.address) }) {
			t.Errorf("%s: %v names no address", tt.name, err)
		}
		var hinted *commandError
		if !errors.As(err, &hinted) || hinted.hint == "" {
			t.Errorf("%s: %v has no hint", tt.name, err)
		}
	}
}
