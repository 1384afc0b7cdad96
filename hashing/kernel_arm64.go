//go:build arm64 && !purego

package hashing

import "github.com/klauspost/cpuid/v2"

// assemblyKernels returns the kernels of this architecture, slowest first.
func assemblyKernels() []Kernel {
	return []Kernel{
		{
			Name: "sha2", About: "SHA-2 instructions, 4 nonces, versions share a message schedule",
			Features: []cpuid.FeatureID{cpuid.ASIMD, cpuid.SHA2},
			Lanes:    sha2ManyStreams, Versions: 16, Scan: scanSHA2,
		},
	}
}
