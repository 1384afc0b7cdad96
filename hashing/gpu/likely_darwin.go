//go:build !nogpu && (amd64 || arm64)

package gpu

// Likely says whether there may be a graphics card: every Mac has one.
func Likely() bool { return true }
