package main

import "fmt"

// The SHA instructions of x86 hold the state of one hash in two registers and do two
// rounds of it, or half of the expansion of four message words, at a time. What limits
// them is SHA256RNDS2: a core starts one in two cycles and has its result after four,
// so that several hashes have to be in flight. They are the streams of a graph: the
// first hash of a few nonces and, a batch behind, their second hash.

// The kinds that only these instructions have.
const (
	// Rounds is two rounds: of h g d c, in whose place the result comes, of f e b a,
	// of the message, and of K unless the message has it. The result is the new
	// f e b a; the new h g d c are the old f e b a. Imm says which half of four words
	// of the message are taken.
	Rounds   Kind = 96 + iota
	Message1      // adds smallSigma0 of the next words to x; those after x start y
	Message2      // adds smallSigma1 of the words two before to x; y has those before x
	Align         // the last three words of y and the first of x
	Permute       // the words of x that Imm picks
	Shuffle       // the bytes of x that y picks
	Mix           // two words of x and two of y that Imm picks
	Blend         // the words of y where Imm has a bit, those of x elsewhere
	Raise         // moves x up by Imm bytes
)

// shani builds the graph. Each quad of words is named by its number in the message
// and lies in memory, as there are few registers; one that was just made is in a
// register too.
type shani struct {
	*Graph
	quads map[int]Value // the message of the stream that is being built
}

// halves is the state as the instructions have it, the lowest word first: f e b a and
// h g d c.
type halves struct{ abef, cdgh Value }

// plus adds word by word.
func (q Quad) plus(o Quad) Quad {
	for i := range q {
		q[i] = addWords(q[i], o[i])
	}
	return q
}

func (q Quad) isZero() bool { return q[0].isZero() && q[1].isZero() && q[2].isZero() && q[3].isZero() }

// quadFor is a quad of words that a function of their number gives.
func quadFor(word func(int) *Uniform, numbers ...int) (q Quad) {
	for i, n := range numbers {
		q[i] = word(n)
	}
	return q
}

// The orders of a state's words in the two halves.
var (
	orderABEF = []int{varF, varE, varB, varA}
	orderCDGH = []int{varH, varG, varD, varC}
)

// afterRound returns the halves after round t, the first one that depends on the
// lane, of a state that does not: abef but for the round's message word, which is to
// be added to words 1 and 3, and cdgh.
func afterRound(t int, in [8]*Uniform) (abef, cdgh Quad) {
	toA, toE := foldRound(in, t)
	return Quad{in[varE], toE, in[varA], toA}, Quad{in[varG], in[varF], in[varC], in[varB]}
}

// rounds does the four rounds from t on.
func (b *shani) rounds(s halves, t int, message Value) halves {
	k := knownQuad(roundConstants[t : t+4]...)
	for half := range 2 {
		args := []Value{s.cdgh, s.abef, message, k}
		if q, ok := message.(Quad); ok {
			args = []Value{s.cdgh, s.abef, q.plus(k)}
		}
		s = halves{abef: b.op(Rounds, half, args...), cdgh: s.abef}
	}
	return s
}

// expand returns quad n of the message in a register.
func (b *shani) expand(n int) *Op {
	before := b.load(b.quads[n-1])
	x := b.op(Align, 0, before, b.quads[n-2])
	// The padding's quad of zeros is followed by a zero, and adds nothing.
	if q, ok := b.quads[n-4].(Quad); !ok || !q.isZero() {
		x = b.op(Add, 0, b.op(Message1, 0, b.load(b.quads[n-4]), b.quads[n-3]), x)
	}
	return b.op(Message2, 0, x, before)
}

// keep makes quad n of the message v, for those that follow from it.
func (b *shani) keep(n, last int, v *Op) *Op {
	if n < last {
		b.quads[n] = b.store(v, b.slot(fmt.Sprintf("%s quad %d", b.stream, n%4)))
	}
	return v
}

// nonce returns a lane's nonce as SHA-256 reads it in the words named, and zero in the
// others.
func (b *shani) nonce(lane int, words ...int) *Op {
	const none = 0x80808080
	bytes := knownQuad(none, none, none, none)
	for _, w := range words {
		bytes[w] = known(uint32(0x00010203 + 0x04040404*lane))
	}
	return b.op(Shuffle, 0, b.load(b.slot(naturalSlot)), bytes)
}

// firstHash builds the first hash of a lane, from after the nonce's round on. Quad n
// of the message is words 4n to 4n+3.
func (b *shani) firstHash(lane int) {
	b.stream = fmt.Sprintf("first %d", lane)
	b.quads = map[int]Value{
		1: knownQuad(0x80000000, 0, 0, 0), 2: knownQuad(0, 0, 0, 0), 3: knownQuad(0, 0, 0, 640),
	}
	st := func(i int) *Uniform { return word(fmt.Sprintf("st[%d]", i)) }
	mid := func(i int) *Uniform { return word(fmt.Sprintf("mid[%d]", i)) }
	var in [8]*Uniform
	for i := range in {
		in[i] = st(i)
	}
	abef, cdgh := afterRound(firstFrom, in)
	s := halves{b.op(Add, 0, b.nonce(lane, 1, 3), abef), b.load(cdgh)}
	const last = firstTo/4 - 1
	for n := 1; n <= last; n++ {
		message := b.quads[n]
		switch {
		case n == 4:
			message = b.keep(n, last, b.fourthQuad(lane))
		case n > 4:
			message = b.keep(n, last, b.expand(n))
		}
		s = b.rounds(s, 4*n, message)
	}
	b.enterSecond(lane,
		b.op(Add, 0, s.abef, quadFor(mid, orderABEF...)),
		b.op(Add, 0, s.cdgh, quadFor(mid, orderCDGH...)))
}

// fourthQuad returns words 16 to 19 of a header's second block: words 0 to 2 are the
// tail, 3 the nonce, 4 and 15 the padding, and the others zero.
func (b *shani) fourthQuad(lane int) *Op {
	w := func(i int) *Uniform { return word(fmt.Sprintf("w[%d]", i)) }
	w16 := addWords(w(0), smallSigma0.apply(w(1)))
	w17 := addWords(w(1), smallSigma0.apply(w(2)), smallSigma1.apply(known(640)))
	w18 := addWords(w(2), smallSigma1.apply(w16))                                 // and smallSigma0 of the nonce
	w19 := addWords(smallSigma0.apply(known(0x80000000)), smallSigma1.apply(w17)) // and the nonce
	return b.op(Add, 0, b.op(Message1, 0, b.nonce(lane, 3), knownQuad(0, 0, 0, 0)), Quad{w16, w17, w18, w19})
}

// entry is where the second hash of a lane finds what it starts with.
func (b *shani) entry(lane int, what any) Slot {
	return b.slot(fmt.Sprintf("second %d: %v", lane, what))
}

// enterSecond makes what the second hash starts with out of the first hash's words
// 5 4 1 0 and 7 6 3 2. Quad n of its message is words 4n+1 to 4n+4: round 0 is all
// but done over the constant initial state.
func (b *shani) enterSecond(lane int, x, y *Op) {
	const none, word0 = 0x80808080, 0x0f0e0d0c
	abef, _ := afterRound(secondFrom, initial())
	s := b.op(Shuffle, 0, x, knownQuad(none, word0, none, word0))
	b.store(b.op(Add, 0, s, abef), b.entry(lane, "state"))

	v := b.op(Mix, picks(2, 1, 3, 2), x, y)                                      // 1 4 2 3
	b.store(b.op(Permute, picks(0, 2, 3, 1), v), b.entry(lane, 0))               // 1 2 3 4
	v = b.op(Blend, 1, b.op(Permute, picks(0, 1, 0, 0), y), x)                   // 5 6 7
	b.store(b.op(Blend, 8, v, knownQuad(0, 0, 0, 0x80000000)), b.entry(lane, 1)) // 5 6 7 and padding
	v = b.op(Permute, picks(3, 2, 0, 0), x)                                      // 0 1
	v = b.op(Message1, 0, v, knownQuad(0, 0, 0, 0))                              // 16
	b.store(b.op(Add, 0, b.op(Raise, 12, v), knownQuad(0, 0, 256, 0)), b.entry(lane, 3))
}

// secondHash builds the second hash of a lane from round 1 up to those that tail does.
func (b *shani) secondHash(lane int) {
	b.stream = fmt.Sprintf("second %d", lane)
	b.quads = map[int]Value{
		0: b.entry(lane, 0), 1: b.entry(lane, 1), 2: knownQuad(0, 0, 0, 0), 3: b.entry(lane, 3),
	}
	_, cdgh := afterRound(secondFrom, initial())
	s := halves{b.load(b.entry(lane, "state")), b.load(cdgh)}
	const last = (tailFrom - 1) / 4
	for n := range last + 1 {
		message := b.inRegister(b.quads[n])
		switch {
		case n == 4: // words 10 to 13 are zero
			v := b.op(Message1, 0, b.load(b.quads[0]), b.quads[1])
			message = b.keep(n, last, b.op(Message2, 0, v, b.quads[3]))
		case n > 4:
			message = b.keep(n, last, b.expand(n))
		}
		if n < last {
			s = b.rounds(s, 4*n+1, message)
		} else {
			b.enterTail(lane, s, message)
		}
	}
}

func initial() (in [8]*Uniform) {
	for i := range in {
		in[i] = known(initialState[i])
	}
	return in
}

// picks is the immediate that picks a word for each place, the lowest first.
func picks(w0, w1, w2, w3 int) int { return w0 | w1<<2 | w2<<4 | w3<<6 }
