package hashing

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGeneratedFilesAreUpToDate runs the generator again and compares byte for
// byte: nobody has edited what it wrote, and it writes the same wherever it runs.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator: left out with -short")
	}
	const sources = "_asm"
	if _, err := os.Stat(filepath.Join(sources, "go.mod")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the generator's sources are part of a checkout: %v", err)
		}
		t.Skipf("the generator's sources are not here: %v", err)
	}
	dir := t.TempDir()
	generate := exec.Command("go", "run", ".", "-out", dir)
	generate.Dir = sources
	// The generator runs here, whatever these tests were built for.
	generate.Env = append(withoutVariables(os.Environ(), "GOOS", "GOARCH", "GOFLAGS"), "GOWORK=off")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("the generator: %v\n%s", err, out)
	}

	got, want := generatedBelow(t, "."), generatedBelow(t, dir)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is not what the generator writes; run make generate", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s says that it is generated, but nothing writes it", name)
		}
	}
	if len(want) == 0 {
		t.Error("the generator wrote nothing")
	}
}

// generatedBelow returns the texts of the generator's files in dir and below.
func generatedBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	below := os.DirFS(dir)
	err := fs.WalkDir(below, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" && filepath.Ext(name) != ".s" {
			return err
		}
		text, err := fs.ReadFile(below, name)
		if strings.HasPrefix(string(text), generatedBy) {
			texts[name] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// withoutVariables returns an environment without some names.
func withoutVariables(environment []string, names ...string) (left []string) {
	for _, variable := range environment {
		if name, _, _ := strings.Cut(variable, "="); !slices.Contains(names, name) {
			left = append(left, variable)
		}
	}
	return left
}
