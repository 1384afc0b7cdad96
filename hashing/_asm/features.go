package main

import "strings"

// vectorFeatures are the features that an instruction needs, by mnemonic, for the
// widths of operands that it is used with here (Intel SDM volume 2, CPUID
// column).
var vectorFeatures = map[string]string{
	"VPTERNLOGD": "AVX512F",
	"VPRORD":     "AVX512F",
	"VPTESTNMD":  "AVX512F",
	"VMOVDQU32":  "AVX512F",
	"KMOVW":      "AVX512F",
	"VZEROUPPER": "AVX",
	"VMOVDQU":    "AVX",
	"VMOVMSKPS":  "AVX",
	"PSHUFB":     "SSSE3",

	"VINSERTI32X4": "AVX512F", "VEXTRACTI32X4": "AVX512F", "VBROADCASTI32X4": "AVX512F",
	"VPUNPCKLDQ": "AVX512F", "VPUNPCKHDQ": "AVX512F", "VPUNPCKLQDQ": "AVX512F", "VPUNPCKHQDQ": "AVX512F",

	"RORXL": "BMI2", "SHA256RNDS2": "SHA", "SHA256MSG1": "SHA", "SHA256MSG2": "SHA",
}

// avxIntegers are AVX's with 128 bits, and moves that count as such.
var avxIntegers = map[string]bool{
	"VMOVDQA": true, "VMOVQ": true, "VPADDD": true, "VPALIGNR": true, "VPSHUFD": true, "VPSHUFB": true, "VPSLLDQ": true,
	"VSHUFPS": true, "VBLENDPS": true,
}

// avx2Integers are AVX2's with 256 bits.
var avx2Integers = map[string]bool{
	"VPADDD": true, "VPXOR": true, "VPAND": true, "VPANDN": true, "VPSRLD": true, "VPSLLD": true, "VPSHUFB": true,
	"VPCMPEQD": true, "VPBROADCASTD": true,
}

// scalar are the instructions that every amd64 has.
var scalar = map[string]bool{
	"MOVQ": true, "MOVL": true, "MOVW": true, "ADDQ": true, "SUBQ": true, "DECQ": true, "XORQ": true, "XCHGQ": true,
	"CMPQ": true, "JCC": true, "TESTQ": true, "JNE": true, "JEQ": true, "JMP": true, "RET": true, "LEAQ": true, "CMOVQEQ": true,
	"CMOVQGT": true, "JCS": true, "JGE": true, "SHRQ": true, "SHLQ": true,
	"MOVOU": true, "MOVO": true, "MOVSS": true, "MOVMSKPS": true, "PADDL": true, "PXOR": true, "PAND": true, "PSRLL": true,
	"PSLLL": true, "PCMPEQL": true, "PSHUFL": true,
	"PCALIGN": true, "ADDL": true, "ADCL": true, "ANDL": true, "XORL": true, "CMPL": true,
}

// feature returns what an instruction needs beyond amd64's baseline. It panics for
// one that it does not know: better no file than a wrong gate.
func feature(mnemonic string, operands []string) string {
	if f, ok := arm64Features[mnemonic]; ok {
		return f
	}
	name, _, _ := strings.Cut(mnemonic, ".")
	if scalar[name] {
		return ""
	}
	if f, ok := vectorFeatures[name]; ok {
		return f
	}
	wide := ""
	for _, o := range operands {
		if len(o) > 1 && strings.ContainsRune("XYZ", rune(o[0])) && o[1] >= '0' && o[1] <= '9' {
			wide = max(wide, o[:1])
		}
	}
	switch {
	case wide == "X" && avxIntegers[name]:
		return "AVX"
	case wide == "Y" && avx2Integers[name]:
		return "AVX2"
	case wide == "Z" && name == "VPSHUFB":
		return "AVX512BW"
	case wide == "Z" && (name == "VPADDD" || name == "VPSRLD" || name == "VPBROADCASTD"):
		return "AVX512F"
	}
	panic("no feature known for " + mnemonic + " " + strings.Join(operands, ", "))
}
