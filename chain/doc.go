// Package chain says what is valid, keeps every block, and chooses among their
// chains the one with the most work.
//
// # A block's way
//
// A block passes three tiers of checks, the cheap and stateless ones first:
//
//   - sanity (sanity.go): what the block shows by itself. Proof of work, merkle
//     root, one coinbase, transactions that make sense. Passing costs real work,
//     so nothing is kept before.
//   - position (position.go): what the headers up to its parent say. Bits, time,
//     version, height, lock times, witness commitment.
//   - context (context.go): what the unspent outputs at its parent say, once it is
//     connected to the main chain. Inputs, values, scripts.
//
// A block that fails the first two is forgotten: the same hash may come again
// with the right body, or at a later time of the clock. One that fails the third
// is invalid for good, with all that descends from it. A block whose parent is
// not known waits in memory for a while. docs/consensus.md lists every rule.
//
// What is judged in context changes the state (view.go): outputs that are spent go,
// new ones come, and what went is kept for the way back (undo.go). That happens
// beside the chain that everybody sees ([update]); one batch then takes blocks,
// outputs and tip to the store together, and only then does the chain move. So
// the disk always holds a whole state at some block, and readers never wait for
// a block to be judged. Scripts, the most of the work, run on all cores
// while later blocks are connected (package script).
//
// Of two chains the one with more work is the main one, of two with equal work
// the one that was seen first. Changing from one to the other may go any number
// of blocks back.
//
// # Difficulty
//
// Our networks use aserti3-2d for every block, [ASERT]. Its anchor is block 1,
// which has the easiest target, with a parent time of its own time less one
// spacing; and a block whose target comes out above the easiest one has the
// easiest one and becomes the new anchor in the same way. Otherwise a chain whose
// genesis was made months ago, or a farm that was switched off for a weekend,
// would stay at the easiest target until its schedule had caught up.
//
// # Time and disk
//
// Nothing here reads a clock or draws a random number: the time is an argument
// of [Chain.Accept] and [Chain.Template]. Accept changes memory and sends one
// atomic batch to the store; [Accepted.Wait] returns when the batch would survive
// a power loss. Nothing may be acknowledged or announced before.
//
// A hash is compared as a 256-bit little-endian number and printed most
// significant byte first. Values are in units, of which [Coin] make a coin; times
// are in seconds since 1970.
package chain
