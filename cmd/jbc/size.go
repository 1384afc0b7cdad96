package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a flag's number of bytes, given as 64MiB, 1.5GiB or a plain number.
type size int64

// sizeUnits are the units that a size may have, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range sizeUnits {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, unit = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.ContainsAny(number, "xXpPnN_+eE") || n < 0 || n*float64(unit) >= 1<<62 {
		return fmt.Errorf("size %q: want a number of bytes, or of KiB, MiB or GiB as in 64MiB", text)
	}
	*s = size(n * float64(unit))
	return nil
}

// String returns the size in the largest unit that leaves no fraction.
func (s *size) String() string {
	for _, u := range sizeUnits {
		if int64(*s) >= u.bytes && int64(*s)%u.bytes == 0 {
			return strconv.FormatInt(int64(*s)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// Type implements pflag.Value.
func (*size) Type() string { return "size" }

// about is a size for people: three digits and a unit.
func about(bytes int64) string {
	for _, u := range sizeUnits {
		if bytes >= u.bytes && u.bytes > 1 {
			n := float64(bytes) / float64(u.bytes)
			return strconv.FormatFloat(n, 'f', max(0, 3-len(strconv.Itoa(int(n)))), 64) + " " + u.name
		}
	}
	return strconv.FormatInt(bytes, 10) + " B"
}
