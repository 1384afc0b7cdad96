package coordinator

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// script reads the arguments of a history's command: NAME or KEY=VALUE.
type script struct {
	t *testing.T
	d *datadriven.TestData
}

// word returns the i-th argument.
func (s script) word(i int) string {
	s.t.Helper()
	if i >= len(s.d.CmdArgs) {
		s.t.Fatalf("%s: %s needs argument %d", s.d.Pos, s.d.Cmd, i+1)
	}
	return s.d.CmdArgs[i].Key
}

// text returns the value of key, or otherwise where the command has none.
func (s script) text(key, otherwise string) string {
	if arg, ok := s.d.Arg(key); ok && len(arg.Vals) == 1 {
		return arg.Vals[0]
	}
	return otherwise
}

// has says whether the command has the argument key.
func (s script) has(key string) bool {
	_, ok := s.d.Arg(key)
	return ok
}

func (s script) number(key string, otherwise uint64) uint64 {
	s.t.Helper()
	text := s.text(key, "")
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %s=%s: %v", s.d.Pos, key, text, err)
	}
	return n
}

func (s script) rate(key string, otherwise float64) float64 {
	s.t.Helper()
	text := s.text(key, "")
	if text == "" {
		return otherwise
	}
	hs, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatalf("%s: %s=%s: %v", s.d.Pos, key, text, err)
	}
	return hs
}

func (s script) duration(text string) time.Duration {
	s.t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatalf("%s: %v", s.d.Pos, err)
	}
	return d
}

// lines joins what a command says, or says that it is nothing.
func lines(out []string) string {
	if len(out) == 0 {
		return "nothing\n"
	}
	return strings.Join(out, "\n") + "\n"
}

func line(format string, args ...any) string { return fmt.Sprintf(format+"\n", args...) }
