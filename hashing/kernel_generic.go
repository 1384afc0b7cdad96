//go:build (!amd64 && !arm64) || purego

package hashing

// assemblyKernels returns none: this build has no assembly.
func assemblyKernels() []Kernel { return nil }
