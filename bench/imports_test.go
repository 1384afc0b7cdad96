package bench

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/jbcnet/jbc"

// mayImport says which of our packages a package may import. A package belongs to
// the longest key that it is or lies below, and may import what belongs to the
// keys listed and to its own. What belongs to no key may not exist: a new
// package needs a row here.
var mayImport = map[string][]string{
	"hashing":              {},
	"hashing/gpu":          {"hashing"},
	"chain":                {"hashing"},
	"coordinator/protocol": {"hashing"},
	"worker":               {"hashing", "hashing/gpu", "coordinator/protocol"},
	"coordinator":          {"chain", "hashing", "coordinator/protocol"},
	"bench":                {"chain", "coordinator", "coordinator/protocol", "hashing", "hashing/gpu", "worker"},
	"cmd/jbc":              {"bench", "chain", "coordinator", "coordinator/protocol", "hashing", "hashing/gpu", "worker"},

	// Helpers of tests, see testHelpers.
	"hashing/vectortest":      {},
	"chain/chaintest":         {"chain", "hashing"},
	"chain/script/scripttest": {},
}

// testHelpers are imported by tests and by nothing else: by those of every package
// that may import what the helper itself imports.
var testHelpers = []string{"hashing/vectortest", "chain/chaintest", "chain/script/scripttest"}

// room returns the key of mayImport that the package belongs to.
func room(pkg string) (key string, ok bool) {
	for at := pkg; at != "."; at = path.Dir(at) {
		if _, ok := mayImport[at]; ok {
			return at, true
		}
	}
	return "", false
}

// forbidden says what is wrong with from importing to, both relative to the
// module; it is empty where nothing is. test says that a _test.go file does it.
func forbidden(from, to string, test bool) string {
	owner, ok := room(from)
	if !ok {
		return "is in no row of the import table"
	}
	target, ok := room(to)
	if !ok {
		return "imports a package that is in no row of the import table"
	}
	if target == owner || slices.Contains(mayImport[owner], target) {
		return ""
	}
	if !slices.Contains(testHelpers, target) {
		return "may not import that"
	}
	if !test && !slices.Contains(testHelpers, owner) {
		return "imports a helper of tests"
	}
	for _, needed := range mayImport[target] {
		if needed != owner && !slices.Contains(mayImport[owner], needed) {
			return "may not import what that helper imports"
		}
	}
	return ""
}

// TestImports reads the imports of every Go file of the module, whatever its
// build tags, tests too.
func TestImports(t *testing.T) {
	root := moduleRoot(t)
	files, edges := 0, 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		from := path.Dir(filepath.ToSlash(rel))
		if _, ok := room(from); !ok {
			t.Errorf("%s: %s", rel, forbidden(from, from, false))
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", rel, err)
			}
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			edges++
			if wrong := forbidden(from, to, strings.HasSuffix(name, "_test.go")); wrong != "" {
				t.Errorf("%s imports %s: %s %s", rel, to, from, wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 || edges < 5 {
		t.Errorf("only %d files with %d imports of ours were read from %s", files, edges, root)
	}
}

// TestImportTable is the negative control: forbidden edges are seen.
func TestImportTable(t *testing.T) {
	tests := []struct {
		from, to string
		test, ok bool
	}{
		{"bench", "coordinator", false, true},
		{"bench", "hashing/gpu", false, true},
		{"bench/sim", "worker", false, true},
		{"bench", "chain/chaintest", true, true},
		{"chain", "chain/store", false, true},
		{"chain", "hashing", false, true},
		{"chain/store", "chain", false, true},
		{"chain/store", "chain/chaintest", true, true},
		{"chain/chaintest", "chain", false, true},
		{"cmd/jbc", "worker", false, true},
		{"cmd/jbc", "bench", false, true},
		{"coordinator", "chain", false, true},
		{"coordinator", "chain/mempool", false, true},
		{"coordinator", "coordinator/protocol", false, true},
		{"coordinator/api", "coordinator", false, true},
		{"coordinator", "chain/chaintest", true, true},
		{"hashing", "hashing/vectortest", true, true},
		{"chain", "hashing/vectortest", true, true},
		{"hashing/gpu", "hashing", false, true},
		{"worker", "coordinator/protocol", false, true},
		{"worker", "hashing/gpu", false, true},

		{"chain", "chain/chaintest", false, false},
		{"chain", "coordinator", false, false},
		{"chain", "coordinator/protocol", false, false},
		{"chain", "hashing/gpu", false, false},
		{"chain", "worker", true, false},
		{"chain", "hashing/vectortest", false, false},
		{"coordinator", "bench", false, false},
		{"coordinator", "hashing/gpu", false, false},
		{"coordinator", "worker", false, false},
		{"coordinator", "worker", true, false},
		{"coordinator/protocol", "chain", false, false},
		{"coordinator/protocol", "coordinator", false, false},
		{"hashing", "chain", false, false},
		{"hashing", "hashing/gpu", false, false},
		{"hashing/gpu", "worker", false, false},
		{"hashing/vectortest", "hashing", false, false},
		{"worker", "chain", false, false},
		{"worker", "chain", true, false},
		{"worker", "chain/chaintest", true, false},
		{"worker", "coordinator", false, false},
		{"worker", "cmd/jbc", false, false},
		{"utils", "hashing", false, false},
		{"chain", "utils", false, false},
	}
	for _, test := range tests {
		wrong := forbidden(test.from, test.to, test.test)
		if (wrong == "") != test.ok {
			t.Errorf("%s importing %s (test: %t): got %q, want allowed: %t", test.from, test.to, test.test, wrong, test.ok)
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
