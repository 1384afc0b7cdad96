package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// text collects the lines of an assembly file, and what the CPU has to have for
// them.
type text struct {
	lines    []string
	features map[string]bool
	work     map[string]int // instructions on the ports that limit a kernel
}

// ins writes an instruction in Go's order of operands: sources first.
func (x *text) ins(mnemonic string, operands ...string) {
	if f := feature(mnemonic, operands); f != "" {
		if x.features == nil {
			x.features = map[string]bool{}
		}
		x.features[f] = true
	}
	if name, ok := limiting(mnemonic, operands); ok {
		if x.work == nil {
			x.work = map[string]int{}
		}
		x.work[name]++
	}
	x.lines = append(x.lines, "\t"+strings.TrimRight(mnemonic+" "+strings.Join(operands, ", "), " "))
}

func (x *text) label(name string) { x.lines = append(x.lines, name+":") }

func (x *text) comment(format string, args ...any) {
	x.lines = append(x.lines, "\t// "+fmt.Sprintf(format, args...))
}

// requires lists the features, sorted.
func (x *text) requires() string {
	return strings.Join(slices.Sorted(maps.Keys(x.features)), ", ")
}

func imm(n int) string { return fmt.Sprintf("$%d", n) }

func hexImm(n int) string { return fmt.Sprintf("$0x%02x", n) }

func mem(offset int, base string) string { return fmt.Sprintf("%d(%s)", offset, base) }
