//go:build !nogpu && (amd64 || arm64)

package gpu

// openCLNames are where macOS has its OpenCL.
var openCLNames = []string{"/System/Library/Frameworks/OpenCL.framework/OpenCL"}

// cudaNames are none: there is no CUDA for macOS.
var cudaNames []string

func findCUDA([]string, *signals) finding { return finding{} }

// closedFiles returns none: macOS has no device files for this.
func closedFiles() []string { return nil }

// signals has nothing to put back: Apple's driver compiles in a process of its own.
type signals struct{}

func readSignals() *signals { return &signals{} }

func (*signals) guard(f func()) { f() }

func (*signals) restore() {}
