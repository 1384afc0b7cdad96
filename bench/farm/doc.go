// Package farm proves what can only be seen from outside: that the built binary,
// run as real processes that meet over TCP, mines, hands work over, survives
// kill -9, and says what is wrong in one line.
//
// Its tests run a short form by default and a long one with JBC_SOAK=1. Figures
// are logged: go test -v. They need Linux, for its signals and mounts.
package farm
