//go:build !linux || !amd64 || purego

package hashing

import "errors"

// Replace moves the code of k's assembly to other pages of memory, which this
// build can't.
func (k Kernel) Replace() error { return errors.ErrUnsupported }
