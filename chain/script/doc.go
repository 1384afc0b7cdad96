// Package script judges scripts: whether the inputs of a transaction may spend
// the outputs they name, under the soft forks in force.
//
// The judge is btcd's txscript; this package hands it work and is the only one
// that does. [Verify] asks about one input. A [Batch] takes whole transactions
// while its owner goes on, runs them on all cores, and answers with the failure
// that running them one after another would have met first.
//
// It also counts signature operations and computes what signatures sign.
package script
