package protocol

import (
	"strings"
	"testing"
)

func TestSubjects(t *testing.T) {
	s := NewSubjects("dev-1a2b3c4d")
	for _, tt := range []struct{ name, got, want string }{
		{"Job", s.Job("alpha"), "jbc.v1.dev-1a2b3c4d.job.alpha"},
		{"Ask", s.Ask("alpha", "w1"), "jbc.v1.dev-1a2b3c4d.ask.alpha.w1"},
		{"AskAny", s.AskAny("alpha"), "jbc.v1.dev-1a2b3c4d.ask.alpha.*"},
		{"Solved", s.Solved("w1"), "jbc.v1.dev-1a2b3c4d.solved.w1"},
		{"SolvedAny", s.SolvedAny(), "jbc.v1.dev-1a2b3c4d.solved.*"},
		{"Block", s.Block("alpha"), "jbc.v1.dev-1a2b3c4d.block.alpha"},
		{"Get", s.Get("alpha"), "jbc.v1.dev-1a2b3c4d.get.alpha"},
		{"Sync", s.Sync("alpha"), "jbc.v1.dev-1a2b3c4d.sync.alpha"},
		{"LastToken of an ask", LastToken(s.Ask("alpha", "w1")), "w1"},
		{"LastToken of a solution", LastToken(s.Solved("w2")), "w2"},
		{"LastToken without a dot", LastToken("w3"), "w3"},
		{"LastToken of nothing", LastToken(""), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestCheckName(t *testing.T) {
	long := strings.Repeat("x", 32)
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"a", true}, {"rig-1_B", true}, {"0", true}, {"-", true}, {long, true},
		{"", false}, {long + "x", false}, {"a.b", false}, {"*", false}, {">", false}, {"a b", false},
		{"a\n", false}, {"a\x00", false}, {"käse", false}, {"<script>", false}, {"\xff", false}, {"a/b", false},
	} {
		if err := CheckName(tt.name); (err == nil) != tt.ok {
			t.Errorf("CheckName(%q) = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestMakeName(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rig-1", "rig-1"},
		{"rig 1.example.com", "rig-1-example-com"},
		{"käse", "k-se"},
		{"*>", "--"},
		{"\xff\x00", "--"},
		{"", "jbc"},
		{strings.Repeat("ab", 20), strings.Repeat("ab", 16)},
	} {
		got := MakeName(tt.text)
		if got != tt.want {
			t.Errorf("MakeName(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if err := CheckName(got); err != nil {
			t.Errorf("MakeName(%q): %v", tt.text, err)
		}
	}
}

func TestFoundOn(t *testing.T) {
	for _, tt := range []struct {
		id, network string
		want        bool
	}{
		{"dev-1a2b3c4d", "", true},
		{"dev-1a2b3c4d", "dev", true},
		{"dev-1a2b3c4d", "dev-1a2b3c4d", true},
		{"dev-1a2b3c4d", "dev-", false},
		{"dev-1a2b3c4d", "de", false},
		{"dev-1a2b3c4d", "dev-00000000", false},
		{"my-own-net-1a2b3c4d", "my-own-net", true},
		{"my-own-net-1a2b3c4d", "my-own-net-1a2b3c4d", true},
		{"my-own-net-1a2b3c4d", "my", false},
		{"my-own-net-1a2b3c4d", "my-own", false},
		{"", "dev", false}, // nobody, as a zero Found
	} {
		if got := (Found{Network: tt.id}).On(tt.network); got != tt.want {
			t.Errorf("Found on %q: On(%q) = %v, want %v", tt.id, tt.network, got, tt.want)
		}
	}
}
