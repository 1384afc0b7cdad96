package main

import "fmt"

// The pieces of one-shot hashing with AVX-512: messages enter as vectors of words,
// are mixed into states, and leave as digests.

// oneShot ends a piece.
func (e *avx512) oneShot(name, file, args string, about ...string) *kernel {
	e.ins("VZEROUPPER")
	e.ins("RET")
	return &kernel{
		name: "avx512" + name, file: "sum_avx512_" + file, arch: "amd64", asm: e.text, words: e.words, oneShot: true,
		about: about, decl: fmt.Sprintf("func avx512%s(%s)", name, args),
	}
}

// mixMessages mixes 32 blocks into states.
func mixMessages(p plan, t tuning) (*kernel, error) {
	g := mixBlocks(ternary{}, p)
	order, cycles, err := g.schedule(zen5, t)
	if err != nil {
		return nil, err
	}
	e := &avx512{words: newTable()}
	e.ins("MOVQ", "common+0(FP)", regCommon)
	e.ins("ADDQ", imm(4*commonBias), regCommon)
	e.ins("MOVQ", "slots+8(FP)", regSlots)
	e.ins("ADDQ", imm(vectorBytes*slotBias), regSlots)
	e.ins("MOVQ", "left+16(FP)", regTable)
	e.ins("ADDQ", imm(vectorBytes*(tableFrom+tableBias)), regTable)
	e.ins("MOVQ", "right+24(FP)", regTable1)
	e.ins("ADDQ", imm(vectorBytes*(tableFrom+tableBias)), regTable1)
	if err := e.body(g, order); err != nil {
		return nil, err
	}
	k := e.oneShot("Mix", "mix", "common *uint32, slots, left, right *byte",
		"avx512Mix mixes the words of 32 blocks, 16 left and 16 right, into the states that lie first in slots.",
		fmt.Sprintf("It costs %d vector operations, %d of them shifts: on four ports at least %d cycles.", g.arithmetic(), g.shifts(), g.arithmetic()/4),
		fmt.Sprintf("The model that ordered them needs %d. Registers: %d. Copies: %d.", cycles, e.regs.most, e.moves),
	)
	k.consts = [][2]string{{"avx512MixSlots", fmt.Sprint(len(g.slots))}}
	return k, nil
}

// Registers of the pieces that bring messages in and digests out.
const (
	regRow     = "SI" // row i begins i strides further
	regStride  = "AX"
	regStride3 = "BX"
	regColumns = "CX"
	swapWords  = "Z31" // the shuffle that swaps the bytes of words
)

// loadSwap loads the shuffle.
func (e *avx512) loadSwap() {
	e.words = newTable()
	for _, w := range []uint32{0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f} {
		e.words.place(known(w))
	}
	e.ins("MOVQ", "common+0(FP)", regCommon)
	e.ins("VBROADCASTI32X4", mem(0, regCommon), swapWords)
}

// enterMessages turns 16 messages to vectors of words, four words at a time: each
// quarter of a register is four words of one message.
func enterMessages() (*kernel, error) {
	e := &avx512{}
	e.loadSwap()
	e.ins("MOVQ", "words+8(FP)", "DX")
	e.ins("MOVQ", "messages+16(FP)", regRow)
	e.ins("MOVQ", "size+24(FP)", regStride)
	e.ins("MOVQ", regStride, regColumns)
	e.ins("SHRQ", imm(4), regColumns)
	rows := []string{regRow, "R9", "R10", "R11"}
	for i, row := range rows[1:] {
		e.ins("LEAQ", "("+rows[i]+")("+regStride+"*1)", row)
	}
	e.ins("SHLQ", imm(2), regStride)
	e.ins("LEAQ", "("+regStride+")("+regStride+"*2)", regStride3)
	e.label("column")
	for i, row := range rows {
		e.ins("VMOVDQU", "("+row+")", fmt.Sprintf("X%d", i))
		for quarter, from := range []string{regStride + "*1", regStride + "*2", regStride3 + "*1"} {
			e.ins("VINSERTI32X4", imm(quarter+1), "("+row+")("+from+")", zmm(i), zmm(i))
		}
		e.ins("VPSHUFB", swapWords, zmm(i), zmm(i))
		e.ins("ADDQ", imm(16), row)
	}
	e.transpose(0)
	for i := range 4 {
		e.ins("VMOVDQU32", zmm(i), mem(vectorBytes*i, "DX"))
	}
	e.ins("ADDQ", imm(4*vectorBytes), "DX")
	e.ins("DECQ", regColumns)
	e.ins("JNE", "column")
	return e.oneShot("Enter", "enter", "common *uint32, words, messages *byte, size int",
		"avx512Enter turns 16 messages to vectors of words. A size is a multiple of 16 bytes."), nil
}

const digestBytes = 32

// leaveDigests turns vectors of words to 16 digests, half of each at a time.
func leaveDigests() (*kernel, error) {
	e := &avx512{}
	e.loadSwap()
	e.ins("MOVQ", "words+8(FP)", "SI")
	e.ins("MOVQ", "digests+16(FP)", "DX")
	for column := range digestBytes / 16 {
		first := 8 * column
		for i := range 4 {
			e.ins("VMOVDQU32", mem(vectorBytes*(4*column+i), "SI"), zmm(first+i))
		}
		e.transpose(first)
		for row := range 4 {
			z := zmm(first + row)
			e.ins("VPSHUFB", swapWords, z, z)
			for quarter := range 4 {
				to := mem(16*column+digestBytes*(4*quarter+row), "DX")
				if quarter == 0 {
					e.ins("VMOVDQU", fmt.Sprintf("X%d", first+row), to)
				} else {
					e.ins("VEXTRACTI32X4", imm(quarter), z, to)
				}
			}
		}
	}
	return e.oneShot("Leave", "leave", "common *uint32, words, digests *byte",
		"avx512Leave turns vectors of words to 16 digests."), nil
}

// transpose exchanges rows and columns of the 4x4 words that four registers, from
// the first on, have in each quarter. It uses the next four on the way.
func (e *avx512) transpose(first int) {
	var z [8]string
	for i := range z {
		z[i] = zmm(first + i)
	}
	e.ins("VPUNPCKLDQ", z[1], z[0], z[4])
	e.ins("VPUNPCKHDQ", z[1], z[0], z[5])
	e.ins("VPUNPCKLDQ", z[3], z[2], z[6])
	e.ins("VPUNPCKHDQ", z[3], z[2], z[7])
	e.ins("VPUNPCKLQDQ", z[6], z[4], z[0])
	e.ins("VPUNPCKHQDQ", z[6], z[4], z[1])
	e.ins("VPUNPCKLQDQ", z[7], z[5], z[2])
	e.ins("VPUNPCKHQDQ", z[7], z[5], z[3])
}
