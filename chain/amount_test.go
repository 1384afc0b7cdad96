package chain

import "testing"

func TestCoins(t *testing.T) {
	tests := []struct {
		text  string
		units int64
		again string // what it is written as; empty: as it was
	}{
		{"0", 0, ""},
		{"50", 5_000_000_000, ""},
		{"0.00000001", 1, ""},
		{"12.5", 1_250_000_000, ""},
		{"12.50", 1_250_000_000, "12.5"},
		{"7.00000000", 700_000_000, "7"},
		{"21000000", 2_100_000_000_000_000, ""},
	}
	for _, tt := range tests {
		got, err := ParseCoins(tt.text)
		if err != nil || got != tt.units {
			t.Errorf("ParseCoins(%q): %d, %v, want %d", tt.text, got, err, tt.units)
		}
		want := tt.again
		if want == "" {
			want = tt.text
		}
		if got := FormatCoins(tt.units); got != want {
			t.Errorf("FormatCoins(%d): %s, want %s", tt.units, got, want)
		}
	}
	if got := FormatCoins(-150_000_000); got != "-1.5" {
		t.Errorf("a debt of 1.5 coins is written %s", got)
	}
}

func TestNoCoins(t *testing.T) {
	const form = ": want coins, with at most 8 decimal places"
	tests := []struct{ text, want string }{
		{"", `amount ""` + form},
		{"-1", `amount "-1"` + form},
		{"+1", `amount "+1"` + form},
		{"1.", `amount "1."` + form},
		{".5", `amount ".5"` + form},
		{"1e3", `amount "1e3"` + form},
		{"007", `amount "007"` + form},
		{"1.123456789", `amount "1.123456789"` + form},
		{"1 ", `amount "1 "` + form},
		{"99999999999999999999", `amount "99999999999999999999"` + form},
		{"21000000.00000001", `amount "21000000.00000001": want at most 21000000 coins`},
	}
	for _, tt := range tests {
		if got, err := ParseCoins(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("ParseCoins(%q): %d, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}
