package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Loops that measure what a core starts in a cycle: each runs one instruction, or
// a mix, on registers that nothing else waits for. Package ports times them and
// sets the kernels' limits by them.

// loopBody is how many instructions a turn of a loop has.
const loopBody = 480

// writeInstructions writes a loop for every instruction that limits one of the
// kernels, and one for the clock.
func writeInstructions(dir string, all []*kernel) error {
	names := map[string]bool{}
	for _, k := range all {
		if k.arch != "amd64" {
			continue
		}
		for _, counts := range []map[string]int{k.work.perBatch, k.work.perVector} {
			for name := range counts {
				names[name] = true
			}
		}
	}
	var s, g, table strings.Builder
	s.WriteString(generated + "\n//go:build amd64 && !purego\n\n#include \"textflag.h\"\n")
	g.WriteString(generated + "\n//go:build amd64 && !purego\n\npackage ports\n\n")
	fmt.Fprintf(&g, "// loopBody is how many instructions a turn of these loops has, and chainBody how\n// many cycles a turn of chainLoop takes.\nconst (\n\tloopBody = %d\n\tchainBody = %d\n)\n\n", loopBody, loopBody)
	writeLoop(&s, &g, "chain", "adds one after the other: a cycle each", func(i int) string { return "ADDQ AX, BX" }, false)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		loop := "loop" + strings.ReplaceAll(name, " ", "")
		writeLoop(&s, &g, loop, name, func(i int) string { return independent(name, i) }, strings.HasPrefix(name, "V"))
		fmt.Fprintf(&table, "\t{%q, %s},\n", name, loop)
	}
	g.WriteString("var chainLoop = chain\n\n")
	fmt.Fprintf(&g, "var loops = []loop{\n%s}\n", table.String())
	base := filepath.Join(dir, "instructions_amd64")
	if err := os.WriteFile(base+".s", []byte(s.String()), 0o644); err != nil {
		return err
	}
	return writeGo(base+".go", g.String())
}

// independent returns the i-th of a series of instructions that don't wait for
// each other: results go to registers 0 to 11, sources are 12 to 15.
func independent(name string, i int) string {
	mnemonic, class, _ := strings.Cut(name, " ")
	dst, a, b := fmt.Sprint(class, i%12), fmt.Sprint(class, 12+i%4), fmt.Sprint(class, 12+(i+1)%4)
	switch mnemonic {
	case "VPRORD", "VPSRLD", "VPSLLD":
		return fmt.Sprintf("%s $7, %s, %s", mnemonic, a, dst)
	case "VPSHUFD":
		return fmt.Sprintf("%s $0x0e, %s, %s", mnemonic, a, dst)
	case "VPTERNLOGD", "VPALIGNR", "VSHUFPS", "VPBLENDD", "VPBLENDW":
		return fmt.Sprintf("%s $4, %s, %s, %s", mnemonic, a, b, dst)
	case "VPTESTNMD":
		return fmt.Sprintf("%s %s, %s, K%d", mnemonic, a, b, 1+i%4)
	case "PADDL", "PXOR", "PAND", "PCMPEQL":
		return fmt.Sprintf("%s %s, %s", mnemonic, a, dst)
	case "PSRLL", "PSLLL":
		return fmt.Sprintf("%s $7, %s", mnemonic, dst)
	case "PSHUFL":
		return fmt.Sprintf("%s $0, %s, %s", mnemonic, a, dst)
	case "VMOVMSKPS", "MOVMSKPS":
		return fmt.Sprintf("%s %s, AX", mnemonic, a)
	case "SHA256RNDS2":
		return fmt.Sprintf("%s X0, %s, X%d", mnemonic, a, 1+i%11)
	case "SHA256MSG1", "SHA256MSG2":
		return fmt.Sprintf("%s %s, %s", mnemonic, a, dst)
	}
	return fmt.Sprintf("%s %s, %s, %s", mnemonic, a, b, dst)
}

func writeLoop(s, g *strings.Builder, name, about string, line func(i int) string, vector bool) {
	fmt.Fprintf(g, "// %s runs %s, turns times %d.\nfunc %s(turns int)\n\n", name, about, loopBody, name)
	fmt.Fprintf(s, "\n// %s: %s.\n//\n// func %s(turns int)\nTEXT ·%s(SB), NOSPLIT, $0-8\n\tMOVQ turns+0(FP), CX\n\tPCALIGN $64\nturn:\n", name, about, name, name)
	for i := range loopBody {
		fmt.Fprintf(s, "\t%s\n", line(i))
	}
	s.WriteString("\tDECQ CX\n\tJNE turn\n")
	if vector {
		s.WriteString("\tVZEROUPPER\n")
	}
	s.WriteString("\tRET\n")
}
