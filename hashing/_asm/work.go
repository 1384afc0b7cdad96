package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// limiting returns the name under which an instruction counts towards what the
// vector ports of a core can do, if it does: mnemonic and register class, "VPADDD
// Z". Moves, loads and stores go elsewhere.
func limiting(mnemonic string, operands []string) (name string, ok bool) {
	name, _, _ = strings.Cut(mnemonic, ".")
	if strings.HasPrefix(name, "VMOVDQ") || name == "VPBROADCASTD" || name == "MOVO" || name == "MOVOU" || name == "MOVSS" {
		return "", false
	}
	for _, class := range []string{"Z", "Y", "X"} {
		for _, o := range operands {
			if len(o) > 1 && o[:1] == class && o[1] >= '0' && o[1] <= '9' {
				return name + " " + class, true
			}
		}
	}
	return "", false
}

// work counts instructions: those of a hash, and those on top that all versions of a
// nonce share.
type work struct {
	lanes               int
	perBatch, perVector map[string]int
}

// since returns what was written after an earlier copy of x.work.
func (x *text) since(before map[string]int) map[string]int {
	diff := map[string]int{}
	for name, n := range x.work {
		if n > before[name] {
			diff[name] = n - before[name]
		}
	}
	return diff
}

func (x *text) mark() map[string]int { return maps.Clone(x.work) }

// source returns the Go table of the work.
func (w work) source(kernel string) string {
	if w.lanes == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n// %sWork is what a batch of %d nonces costs.\nvar %sWork = []Operation{\n", kernel, w.lanes, kernel)
	all := maps.Clone(w.perBatch)
	maps.Copy(all, w.perVector)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "\t{%q, %d, %d},\n", name, w.perBatch[name], w.perVector[name])
	}
	b.WriteString("}\n")
	return b.String()
}
