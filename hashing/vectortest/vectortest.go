// Package vectortest walks folders of test data that this project did not write.
//
// A folder has one schema; the names of its files don't matter. The root of the
// folders is the environment variable JBC_VECTORS where it is set, and the
// testdata/vectors of the package under test otherwise. Nothing is skipped in
// silence: an empty folder fails, a root without any known folder fails, and a
// folder that is missing under JBC_VECTORS is a skip that says so.
package vectortest

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variable names the environment variable that replaces the root.
const variable = "JBC_VECTORS"

// ownRoot is the root where the variable is not set, seen from a package under test.
const ownRoot = "testdata/vectors"

// File is one file of a folder, decompressed.
type File struct {
	Name string // its path in the folder, less .gz or .bz2
	Data []byte
}

// Each runs test as a subtest for every file of a folder. test returns how many
// cases it found, and has failed t where it could not read the file. The numbers
// are logged, and a file without a case fails.
func Each(t *testing.T, folder string, test func(t *testing.T, f File) (cases int)) {
	t.Helper()
	files, total := Folder(t, folder), 0
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			n := test(t, f)
			if n == 0 {
				t.Errorf("%s/%s: no cases", folder, f.Name)
			}
			t.Logf("%s/%s: %d cases", folder, f.Name, n)
			total += n
		})
	}
	t.Logf("%s: %d cases in %d files", folder, total, len(files))
}

// Folder returns every file of a folder, in the order of their names.
func Folder(t *testing.T, folder string) []File {
	t.Helper()
	root, replaced := os.LookupEnv(variable)
	replaced = replaced && root != ""
	if !replaced {
		root = ownRoot
	}
	files, err := load(root, folder)
	if replaced && errors.Is(err, errNoFolder) {
		t.Skipf("vectors: %v", err)
	}
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	return files
}

// errNoFolder says that a root, which has others, lacks this folder.
var errNoFolder = errors.New("no such folder")

// load reads every file of a folder of root.
func load(root, folder string) ([]File, error) {
	if !slices.Contains(known(), folder) {
		return nil, fmt.Errorf("folder %q is not in the list of known ones", folder)
	}
	if !slices.ContainsFunc(known(), func(name string) bool { return isDir(filepath.Join(root, name)) }) {
		// It is the wrong path, and every test would be skipped.
		return nil, fmt.Errorf("%s has none of the folders %s", root, strings.Join(known(), " "))
	}
	dir := filepath.Join(root, folder)
	if !isDir(dir) {
		return nil, fmt.Errorf("%s: %w", dir, errNoFolder)
	}
	files, err := readAll(dir)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s is empty", dir)
	}
	return files, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// known lists the folders that tests of this project walk.
func known() []string {
	return []string{
		"asert", "bip143", "bip340", "bip341", "blockfiles", "blocks", "chainwork", "checkpoints",
		"compact_bits", "forks", "fullblocks", "headers", "key_io_invalid", "key_io_valid",
		"mutated_blocks", "nist", "script_tests", "sighash", "tx_invalid", "tx_valid",
	}
}

func readAll(dir string) (files []File, err error) {
	// The slash at the end follows a folder that is a link.
	err = filepath.WalkDir(dir+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := read(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".bz2")
		files = append(files, File{Name: filepath.ToSlash(name), Data: data})
		return nil
	})
	return files, err
}

// read returns a file, decompressed by the end of its name.
func read(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch filepath.Ext(path) {
	case ".gz":
		r, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, &fs.PathError{Op: "gunzip", Path: path, Err: err}
		}
		raw, err = io.ReadAll(r)
		if err != nil {
			return nil, &fs.PathError{Op: "gunzip", Path: path, Err: err}
		}
	case ".bz2":
		if raw, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(raw))); err != nil {
			return nil, &fs.PathError{Op: "bunzip2", Path: path, Err: err}
		}
	}
	return raw, nil
}
