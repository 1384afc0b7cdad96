// Package peers decides how a coordinator deals with the others: whom to believe,
// whom to ask, and which blocks of whom. It is told the time, does no I/O and starts
// nothing; whoever uses it sends the requests and tells what came of them.
//
// A [Table] says which coordinator claims the most work and which are not to be
// asked for a while. A [Download] fetches the blocks of one chain, whose headers
// were judged before, from several of them at once.
package peers
