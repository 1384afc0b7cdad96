package main

import (
	"fmt"
	"strings"
)

// table gives the uniform words of a kernel their places: those of the search in
// one table, those of a version in another.
type table struct {
	common, version []*Uniform
	index           map[string]int
}

func newTable() *table { return &table{index: map[string]int{}} }

// place returns where u is in its table.
func (t *table) place(u *Uniform) int {
	list := &t.common
	if u.perVersion {
		list = &t.version
	}
	key := u.String()
	i, ok := t.index[key]
	if !ok {
		i = len(*list)
		t.index[key] = i
		*list = append(*list, u)
	}
	return i
}

// constants returns a Go table of the words that are known.
func (t *table) constants(name, every string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n// %sCommon holds the words that are the same for every %s, in their places.\n", name, every)
	fmt.Fprintf(&b, "var %sCommon = [...]uint32{", name)
	for i, u := range t.common {
		if i%8 == 0 {
			b.WriteString("\n\t")
		} else {
			b.WriteString(" ")
		}
		w := uint32(0)
		if u.known {
			w = u.word
		}
		fmt.Fprintf(&b, "0x%08x,", w)
	}
	b.WriteString("\n}\n")
	return b.String()
}

// setters returns Go functions that fill in the others.
func (t *table) setters(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n// %sSearch sets the words that a search's tail and target decide.\n", name)
	fmt.Fprintf(&b, "func %sSearch(c []uint32, w *[3]uint32, mask uint32) {\n", name)
	for i, u := range t.common {
		if !u.known {
			fmt.Fprintf(&b, "\tc[%d] = %s\n", i, u)
		}
	}
	b.WriteString("}\n")

	fmt.Fprintf(&b, "\n// %sVersion sets the words of a version: mid is its midstate, st the state after\n// the three rounds of the second block that no nonce reaches.\n", name)
	fmt.Fprintf(&b, "func %sVersion(v []uint32, mid, st *Midstate) {\n", name)
	for i, u := range t.version {
		fmt.Fprintf(&b, "\tv[%d] = %s\n", i, u)
	}
	b.WriteString("}\n")
	return b.String()
}
