package main

import "testing"

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64
		back string
	}{
		{"0", 0, "0B"},
		{"64MiB", 64 << 20, "64MiB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"1.5 gib", 3 << 29, "1536MiB"},
		{"1024", 1024, "1KiB"},
		{"1000", 1000, "1000B"},
		{"1000B", 1000, "1000B"},
		{"2TiB", 2 << 40, "2TiB"},
		{"3KiB", 3 << 10, "3KiB"},
	} {
		var s size
		if err := s.Set(tt.text); err != nil || int64(s) != tt.want || s.String() != tt.back {
			t.Errorf("%q: %d as %s, %v, want %d as %s", tt.text, int64(s), s.String(), err, tt.want, tt.back)
		}
	}
	for _, text := range []string{"", "MiB", "much", "-1", "1e9", "0x10", "64MB", "64M", "64 M i B", "NaN", "Inf", "9999999TiB", "1_000"} {
		var s size = 7
		if err := s.Set(text); err == nil || s != 7 {
			t.Errorf("%q: %d, %v, want an error", text, int64(s), err)
		}
	}
}

func TestAbout(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 10 << 20: "10.0 MiB", 123 << 20: "123 MiB", 1023 << 20: "1023 MiB", 3 << 29: "1.50 GiB",
	} {
		if got := about(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
