//go:build unix

package coordinator

import "syscall"

// maxConnections leaves files to the chain whatever strangers open.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > maxConns+spareFiles {
		return maxConns
	}
	return max(int(limit.Cur)-spareFiles, int(limit.Cur)/2)
}
