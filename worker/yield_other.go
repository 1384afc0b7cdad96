//go:build !linux

package worker

import "runtime"

// yield parks the goroutine and with it the thread it is bound to.
func yield() { runtime.Gosched() }
