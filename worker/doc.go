// Package worker burns a machine's cores and graphics cards on the jobs of a
// coordinator.
//
// A [Worker] looks for a coordinator over NATS, pins its key, joins it and gets a
// slot. While that coordinator is silent it works for the best other that it may work
// for, and returns later. From then on work reaches it without a question: each broadcast job has a
// home lease in it for every slot, so the worker starts on a job the moment it
// hears of it, and leases more while it hashes. What it finds goes back as shares,
// which prove its rate, and as solutions, which make blocks.
//
// Inside there are two sides. The miners, one locked thread each, know points and
// targets: they take an interval from the dispenser, scan it in slices of
// [hashing.ScanBudget] and look at one number between slices, which is how a
// solution found anywhere stops all of them within a slice. A [Device] has a miner too,
// with slices that a context ends, and a feeder that opens it again when it fails. The
// session, one goroutine, knows the coordinator: every message, timer and find passes
// through its loop, so nothing it owns needs a lock. What decides when to stop (the
// canceller) and for whom to work (the chooser), and what measures (the meter), is pure:
// it takes the time as an argument and does no I/O.
//
// A worker believes only what its coordinator signed: whom else it may work for too,
// where its coordinator's key was given to it. The one exception is a
// solution that somebody else published, which proves itself by its work, and even
// that can stop a worker only once a parent and for at most two seconds.
package worker
