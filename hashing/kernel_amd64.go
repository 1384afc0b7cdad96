//go:build amd64 && !purego

package hashing

import "github.com/klauspost/cpuid/v2"

type texts = []func() (from, to uintptr)

// assemblyKernels returns the kernels of this architecture, slowest first.
func assemblyKernels() []Kernel {
	return []Kernel{
		{
			Name: "sse", About: "SSSE3, 4 nonces, many versions share a message schedule",
			Features: []cpuid.FeatureID{cpuid.SSSE3},
			Lanes:    lanes128, Versions: 16, Work: sseManyWork, Scan: scanSSEMany,
			text: texts{sseManyText},
		},
		{
			Name: "avx2-1", About: "AVX2, 8 nonces, one version at a time",
			Features: []cpuid.FeatureID{cpuid.AVX, cpuid.AVX2},
			Lanes:    lanes256, Versions: 1, Work: avx2OneWork, Scan: scanAVX2One,
			text: texts{avx2OneText},
		},
		{
			Name: "avx2", About: "AVX2, 8 nonces, many versions share a message schedule",
			Features: []cpuid.FeatureID{cpuid.AVX, cpuid.AVX2},
			Lanes:    lanes256, Versions: 16, Work: avx2ManyWork, Scan: scanAVX2Many,
			text: texts{avx2ManyText},
		},
		{
			Name: "sha-ni", About: "SHA instructions, 3 nonces, 6 hashes in flight",
			Features: []cpuid.FeatureID{cpuid.AVX, cpuid.BMI2, cpuid.SHA},
			Lanes:    shaniStreamsLanes, Versions: 1, Work: shaniStreamsWork, Scan: scanSHANI,
			text: texts{shaniStreamsText},
		},
		{
			Name: "avx512-1", About: "AVX-512, 16 nonces, one version at a time",
			Features: []cpuid.FeatureID{cpuid.AVX, cpuid.AVX512F, cpuid.AVX512BW},
			Lanes:    lanes512, Versions: 1, Work: avx512OneWork, Scan: scanAVX512One,
			text: texts{avx512OneText},
		},
		{
			Name: "avx512", About: "AVX-512, 16 nonces, many versions share a message schedule",
			Features: []cpuid.FeatureID{cpuid.AVX, cpuid.AVX512F, cpuid.AVX512BW},
			Lanes:    lanes512, Versions: 16, Work: avx512ManyWork, Scan: scanAVX512Many,
			text: texts{avx512ManyText},
		},
	}
}
