// Package bench measures: what the kernels of this machine do beside the plain
// libraries, in figures that can be printed for people or read by programs.
//
// Everything is measured in rounds, each row once a round and for the same time,
// so that a machine that slows down or is busy for a moment disturbs all rows
// alike; a row is the median of its rounds.
package bench
