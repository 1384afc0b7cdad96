//go:build !amd64 || purego

package ports

// This build has no loops to measure instructions with.
const loopBody, chainBody = 1, 1

var (
	chainLoop func(turns int)
	loops     []loop
)
