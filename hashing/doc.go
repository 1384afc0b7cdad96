// Package hashing finds nonces.
//
// A Bitcoin block header is 80 bytes and its proof of work is the double
// SHA-256 of them, read as a little-endian number that must not exceed a
// [Target]. SHA-256 eats 64 bytes at a time, so the header is two blocks: the
// first holds the version, the parent and most of the merkle root, the second
// the merkle root's last four bytes, the time, the bits and the nonce.
//
// Two facts make a search cheap. The state after the first block, the
// [Midstate], is the same for every nonce. And the second block is the same for
// every version, so several versions (BIP320 leaves 16 bits of that field to
// miners) can be tried over one expansion of it. A [Search] is a header made
// ready in that sense: one midstate a version, one tail, one target.
//
// A [Kernel] is code for one instruction set that tries an interval of nonces
// under every version of a Search and reports every hit. All kernels have one
// signature and one answer; the plain Go one is the specification, and shares no
// code with the others.
package hashing
