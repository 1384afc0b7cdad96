//go:build amd64 && !purego

package hashing

import (
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// TestSumsListWhatTheirFilesRequire holds the gate of one-shot hashing in lanes to the
// instructions in its files.
func TestSumsListWhatTheirFilesRequire(t *testing.T) {
	var want []cpuid.FeatureID
	for _, name := range sumFiles {
		want = append(want, requiredBy(t, name)...)
	}
	if got, want := featureNames(sumFeatures), featureNames(want); got != want {
		t.Errorf("the gate lists %s, the files require %s", got, want)
	}
}
