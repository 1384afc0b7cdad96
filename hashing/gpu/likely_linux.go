//go:build !nogpu && !android && (amd64 || arm64)

package gpu

import (
	"path/filepath"
	"slices"
)

// Likely says whether there may be a graphics card, without looking at any library:
// [Find] loads all of them, which is a lot where they only have the CPU to offer.
func Likely() bool {
	// The last is how Linux below Windows gets at the cards.
	return slices.ContainsFunc(append(slices.Clone(deviceFiles), "/dev/dxg"), func(pattern string) bool {
		files, _ := filepath.Glob(pattern) // the patterns are good
		return len(files) > 0
	})
}
