//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "compile the PTX anew; review what changes")

// clangVersion is the only compiler whose output is compared: others are as good and
// write something else.
const clangVersion = "19.1.7"

// clangFlags compile kernel.cl for every card since Volta. All calls are inlined: one
// would cost registers, of which the caller needs most.
var clangFlags = []string{
	"-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "--target=nvptx64-nvidia-cuda",
	"-march=sm_70", "-O3", "-mllvm", "-inline-threshold=100000", "-S", "-o", "-", "-DPTX",
	fmt.Sprintf("-DGROUP=%d", group), fmt.Sprintf("-DCAPACITY=%d", capacity),
}

// compilePTX returns what clang makes of kernel.cl for so many versions, with a line
// in front that says so.
func compilePTX(clang string, versions int) ([]byte, error) {
	cmd := exec.Command(clang, append(clangFlags, fmt.Sprintf("-DVERSIONS=%d", versions), "kernel.cl")...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	title := fmt.Sprintf("// kernel.cl for %d versions at once, compiled by make ptx (clang %s). Do not edit.\n", versions, clangVersion)
	return append([]byte(title), out...), err
}

// TestPTXIsUpToDate compiles kernel.cl again and compares byte for byte. The compiler
// is the one tool that nothing else needs, and large: where it is missing, in CI too,
// the test is skipped.
func TestPTXIsUpToDate(t *testing.T) {
	const clang = "clang-19"
	version, err := exec.Command(clang, "--version").Output()
	if err != nil {
		skipPTX(t, fmt.Sprintf("needs clang %s (Debian: apt-get install clang-19): %v", clangVersion, err))
	}
	if line, _, _ := bytes.Cut(version, []byte("\n")); !strings.Contains(string(line)+" ", "clang version "+clangVersion+" ") {
		skipPTX(t, fmt.Sprintf("needs clang %s, this is %s", clangVersion, line))
	}
	for _, versions := range []int{1, 2, 4, 8} {
		want, err := compilePTX(clang, versions)
		if err != nil {
			t.Fatal(err)
		}
		name := ptxName(versions)
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what clang makes of kernel.cl (%v); run make ptx", name, err)
		}
	}
}

// skipPTX skips t, unless the files should have been written.
func skipPTX(t *testing.T, why string) {
	t.Helper()
	if *update {
		t.Fatal(why)
	}
	t.Skip(why)
}
