package access

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func makeSecret() ([]byte, error) { return []byte("made"), nil }

func noSecret() ([]byte, error) { return nil, errors.New("asked to make one") }

// TestSecretIsMadeOnce and is its owner's alone.
func TestSecretIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	made, err := Secret(path, makeSecret)
	if err != nil || string(made) != "made" {
		t.Fatalf("Secret = %q, %v, want made", made, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %04o, want 0600", mode)
	}
	again, err := Secret(path, noSecret)
	if err != nil || !bytes.Equal(again, made) {
		t.Errorf("the second time: Secret = %q, %v, want %q", again, err, made)
	}
	if left := names(t, filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSecretOfOthers refuses a file that others can read, and says what to do.
func TestSecretOfOthers(t *testing.T) {
	for _, tt := range []struct {
		mode os.FileMode
		ok   bool
	}{
		{0o600, true}, {0o400, true}, {0o700, true},
		{0o640, false}, {0o604, false}, {0o620, false}, {0o644, false}, {0o666, false}, {0o601, false},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte("theirs\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		got, err := Secret(path, noSecret)
		if (err == nil) != tt.ok {
			t.Errorf("mode %04o: Secret = %q, %v, want ok %v", tt.mode, got, err, tt.ok)
		}
		if err != nil && (got != nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "theirs")) {
			t.Errorf("mode %04o: Secret = %q, %v, want no secret, the path and what to do", tt.mode, got, err)
		}
	}
}

func TestSecretIsTheFirstLine(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"key", "key"}, {"key\n", "key"}, {"key\r\n", "key"}, {"  key \n# made by hand\n", "key"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Secret(path, noSecret); err != nil || string(got) != tt.want {
			t.Errorf("%q: Secret = %q, %v, want %q", tt.file, got, err, tt.want)
		}
	}
}

// TestSecretFails without leaving anything behind, or touching what is there.
func TestSecretFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := Secret(filepath.Join(dir, "a"), noSecret); err == nil || err.Error() != "asked to make one" {
		t.Errorf("create fails: %v", err)
	}
	if _, err := Secret(filepath.Join(dir, "missing", "a"), makeSecret); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v, want %v", err, os.ErrNotExist)
	}
	if _, err := Secret(dir, noSecret); err == nil {
		t.Error("a directory is read as a secret")
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Secret(empty, noSecret); err == nil {
		t.Errorf("an empty file: Secret = %q", got)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
