package main

import "fmt"

const sseLanes = 4

var sseMnemonics = map[Kind]string{Add: "PADDL", Xor: "PXOR", And: "PAND", Shr: "PSRLL", Shl: "PSLLL"}

// sse writes an operation. An instruction overwrites its first operand: where that
// is read later, a copy of it. What it reads from memory has to be aligned.
func (e *narrow) sse(o *Op, sources []string, dying []*Op) error {
	switch o.Kind {
	case Store:
		e.ins("MOVOU", sources[0], e.operand(o.To))
		e.regs.release(dying)
		return nil
	case Test:
		// Only the test reads the word, so its register may be overwritten.
		e.ins("PAND", sources[1], sources[0])
		e.ins("PCMPEQL", e.operand(known(0)), sources[0])
		e.ins("MOVMSKPS", sources[0], yRegTable1)
		e.regs.release(dying)
		return nil
	}
	for i, a := range o.Args {
		if from, ok := a.(*Op); ok && contains(dying, from) {
			sources[0], sources[i] = sources[i], sources[0]
			e.regs.inherit(o, from)
			e.regs.release(dying)
			e.sseOn(o, sources, sources[0])
			return nil
		}
	}
	e.regs.release(dying)
	n, err := e.regs.take(o)
	if err != nil {
		return err
	}
	dst := e.register(n)
	switch u, ok := o.Args[0].(*Uniform); {
	case o.Kind != Load:
		e.copies++
		e.ins("MOVO", sources[0], dst)
		e.sseOn(o, sources, dst)
	case ok && u.perVersion:
		e.ins("MOVSS", sources[0], dst)
		e.ins("PSHUFL", imm(0), dst, dst)
	default:
		e.ins("MOVOU", sources[0], dst)
	}
	return nil
}

// sseOn writes the instruction itself; the first source is in dst.
func (e *narrow) sseOn(o *Op, sources []string, dst string) {
	mnemonic, ok := sseMnemonics[o.Kind]
	switch {
	case !ok:
		panic(fmt.Sprintf("SSE has no operation of kind %d", o.Kind))
	case o.Kind == Shr || o.Kind == Shl:
		e.ins(mnemonic, imm(o.Imm), dst)
	default:
		e.ins(mnemonic, sources[1], dst)
	}
}

// advanceSSE moves the nonces on by a vector's lanes and leaves them as SHA-256
// reads them.
func (e *narrow) advanceSSE(natural, swapped, shuffle string) {
	e.ins("MOVOU", natural, "X0")
	e.ins("PADDL", e.operand(known(sseLanes)), "X0")
	e.ins("MOVOU", "X0", natural)
	e.ins("PSHUFB", shuffle, "X0")
	e.ins("MOVOU", "X0", swapped)
}
