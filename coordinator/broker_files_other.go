//go:build !unix

package coordinator

// maxConnections is all: connections are no files there.
func maxConnections() int { return maxConns }
