package main

// kernel is a generated scan or a one-shot hash: the assembly, the Go that goes with
// it, and what is known of it.
type kernel struct {
	name     string // of the assembly function, and of the Go beside it
	file     string // without _arch.s
	arch     string
	about    []string
	asm      text
	frame    int // bytes of local variables
	words    *table
	decl     string // of the function, in Go
	consts   [][2]string
	work     work
	oneShot  bool    // no scan: no search fills its table, nobody moves its code
	perHash  float64 // operations on the limiting ports for a batch of one version
	perTable float64 // and for a table
}
