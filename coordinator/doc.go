// Package coordinator keeps a chain and leases its work out.
//
// A coordinator is a full node with a farm. Whenever its tip changes it makes an
// unsolved block on the new tip (chain.Template), turns it into a job (see
// package protocol) and broadcasts it. Workers that hold a slot start on their
// home lease at once and ask for more while they hash; shares prove what they
// do; a solution becomes a block:
//
//	known job -> proof of work -> full validation -> broadcast of the next job
//	          -> synced write -> acknowledgement and announcement
//
// The next job leaves before the disk has answered, since every millisecond there
// would be lost by the whole farm; the acknowledgement waits for it, since what is
// acknowledged must never be lost. A job is no acknowledgement.
//
// What decides is pure: [farm] and its parts (roster, ledger, job book, judge)
// are told the time and do no I/O. What does I/O decides nothing: Run and the
// files serve.go, publish.go and broker.go.
package coordinator
