package main

import (
	"fmt"
	"strings"
)

const avx2Lanes = 8

var avx2Mnemonics = map[Kind]string{Add: "VPADDD", Xor: "VPXOR", And: "VPAND", Shr: "VPSRLD", Shl: "VPSLLD"}

// avx2 writes an operation.
func (e *narrow) avx2(o *Op, sources []string, dying []*Op) error {
	e.regs.release(dying)
	switch o.Kind {
	case Store:
		e.ins("VMOVDQU", sources[0], e.operand(o.To))
		return nil
	case Test:
		// Only the test reads the word, so its register may be overwritten.
		e.ins("VPAND", sources[1], sources[0], sources[0])
		e.ins("VPCMPEQD", e.operand(known(0)), sources[0], sources[0])
		e.ins("VMOVMSKPS", sources[0], yRegTable1)
		return nil
	}
	n, err := e.regs.take(o)
	if err != nil {
		return err
	}
	switch dst := e.register(n); o.Kind {
	case Load:
		if u, ok := o.Args[0].(*Uniform); ok && u.perVersion {
			e.ins("VPBROADCASTD", sources[0], dst)
		} else {
			e.ins("VMOVDQU", sources[0], dst)
		}
	case Shr, Shl:
		e.ins(avx2Mnemonics[o.Kind], imm(o.Imm), sources[0], dst)
	case Add, Xor, And:
		if isHigh(sources[1]) && !isHigh(sources[0]) {
			sources[0], sources[1] = sources[1], sources[0]
		}
		e.ins(avx2Mnemonics[o.Kind], sources[1], sources[0], dst)
	default:
		panic(fmt.Sprintf("AVX2 has no operation of kind %d", o.Kind))
	}
	return nil
}

// isHigh says whether operand is one of the registers that make an instruction a
// byte longer where it is the first operand.
func isHigh(operand string) bool {
	return strings.HasPrefix(operand, "Y") && (len(operand) > 2 || operand[1] >= '8')
}

// advanceAVX2 moves the nonces on by a vector's lanes and leaves them as SHA-256
// reads them.
func (e *narrow) advanceAVX2(natural, swapped, shuffle string) {
	e.ins("VMOVDQU", natural, "Y0")
	e.ins("VPADDD", e.operand(known(avx2Lanes)), "Y0", "Y0")
	e.ins("VMOVDQU", "Y0", natural)
	e.ins("VPSHUFB", shuffle, "Y0", "Y0")
	e.ins("VMOVDQU", "Y0", swapped)
}
