package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/worker"
)

func TestDescribeStats(t *testing.T) {
	for _, tt := range []struct {
		name string
		st   worker.Stats
		want string
	}{
		{"one unit", worker.Stats{
			State: worker.Mining, Height: 123, Rate10s: 5.47e6, Rate60s: 5.4e6, Rate15m: 5.41e6, SharesAccepted: 2, BlocksAccepted: 5,
		}, "mining #123  5.47 MH/s (10s) 5.4 (60s) 5.41 (15m)  2 shares  5 blocks"},
		{"several units", worker.Stats{
			State: worker.Offline, Height: 1, Rate10s: 999, Rate60s: 1234, Rate15m: 2.5e9,
		}, "offline #1  999 H/s (10s) 1.23 kH/s (60s) 2.5 GH/s (15m)  0 shares  0 blocks"},
	} {
		if got := describeStats(&tt.st); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	long := worker.Stats{
		State: worker.Stopped, Height: 99_999, Rate10s: 55.5e6, Rate60s: 55.5e6, Rate15m: 55.5e6, SharesAccepted: 9999, BlocksAccepted: 9999,
	}
	if got := describeStats(&long); len(got) > 79 {
		t.Errorf("%q has %d columns, want it to fit into 79", got, len(got))
	}
}

// TestStatusLineFits draws on terminals of several widths. Every row that is drawn
// leaves a column free, also when the terminal becomes narrower between two draws.
func TestStatusLineFits(t *testing.T) {
	const line = "mining #123  5.47 MH/s – 0123456789"
	for _, tt := range []struct {
		name         string
		width, later int
		err          error
		shown, again string
	}{
		{name: "wide", width: 80, later: 80, shown: line, again: line},
		{name: "just wide enough", width: 36, later: 36, shown: line, again: line},
		{name: "as wide as the line", width: 35, later: 35, shown: line[:len(line)-1], again: line[:len(line)-1]},
		{name: "made narrower", width: 80, later: 11, shown: line, again: "mining #12"},
		{name: "made wider", width: 11, later: 80, shown: "mining #12", again: line},
		{name: "a column", width: 1, later: 1},
		{name: "no size", shown: line, again: line},
		{name: "none known", width: 5, later: 5, err: errors.New("no terminal"), shown: line, again: line},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			width := tt.width
			l := &statusLine{w: &out, size: func(int) (int, int, error) { return width, 24, tt.err }}
			l.Show(line)
			width = tt.later
			if _, err := l.Write([]byte("a log line\n")); err != nil {
				t.Fatal(err)
			}
			l.Clear()
			want := strings.Join([]string{"", tt.shown, "a log line\n" + tt.again, ""}, clearLine)
			if got := out.String(); got != want {
				t.Errorf("drawn %q, want %q", got, want)
			}
		})
	}
}
