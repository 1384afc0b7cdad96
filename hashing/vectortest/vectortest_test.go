package vectortest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	root := t.TempDir()
	if _, err := load(root, "asert"); err == nil || errors.Is(err, errNoFolder) {
		t.Errorf("a root without any folder: %v, want an error that is no skip", err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	write(t, filepath.Join(root, "asert", "a.json.gz"), zipped.Bytes())
	write(t, filepath.Join(root, "asert", "deeper", "b"), []byte("plain"))
	files, err := load(root, "asert")
	if err != nil || len(files) != 2 || files[0].Name != "a.json" || string(files[0].Data) != "data" || files[1].Name != "deeper/b" {
		t.Errorf("files %v, %v, want a.json and deeper/b", files, err)
	}
	if _, err := load(root, "forks"); !errors.Is(err, errNoFolder) {
		t.Errorf("a missing folder: %v, want %v", err, errNoFolder)
	}
	if _, err := load(root, "unheard-of"); err == nil || errors.Is(err, errNoFolder) {
		t.Errorf("an unknown folder: %v, want an error that is no skip", err)
	}
	if err := os.Mkdir(filepath.Join(root, "forks"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := load(root, "forks"); err == nil || errors.Is(err, errNoFolder) {
		t.Errorf("an empty folder: %v, want an error that is no skip", err)
	}
	write(t, filepath.Join(root, "forks", "x.bz2"), []byte("not bzip2"))
	if _, err := load(root, "forks"); err == nil {
		t.Error("a file that is not what its name says: no error")
	}
}
