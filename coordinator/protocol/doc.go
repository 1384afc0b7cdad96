// Package protocol is what coordinators and workers say to each other on NATS:
// subjects, messages, numeric codes, signatures, and how a point of a job becomes
// a header.
//
// Control messages are JSON of at most [MaxMessage] bytes. Bytes, hashes and
// 64-bit points are hex strings; hashes are printed most significant byte first,
// as Bitcoin does. Sizes and types are strict, fields that a reader does not know
// are let pass, and every message is checked by its Validate before anything acts
// on it. A refusal is a [Code], which never changes its meaning; the text beside
// it is for people.
//
// What a coordinator says (jobs, holds, rejections, replies) carries a signature
// over the payload in the NATS header [SignatureHeader]; a worker pins the key.
// What a worker claims (shares, solutions) carries a MAC under its slot's secret.
package protocol
