package coordinator

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSigningKey comes back the same, and is not made anew over one that a crash or
// a hand left half: what was signed by it is pinned by every worker.
func TestSigningKey(t *testing.T) {
	dir := t.TempDir()
	// What a crash may leave of a first try.
	if err := os.WriteFile(filepath.Join(dir, ".new-123"), []byte("SUA"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := SigningKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := SigningKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := first.PublicKey()
	b, _ := again.PublicKey()
	if a == "" || a != b {
		t.Errorf("key %q, and then %q", a, b)
	}
	path := filepath.Join(dir, SigningKeyFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range [][]byte{nil, whole[:1], whole[:len(whole)/2], append([]byte("x"), whole...), []byte("\n")} {
		if err := os.WriteFile(path, half, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := SigningKey(dir)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("half a key of %d bytes: %v, want an error that names %s", len(half), err, path)
		}
		if err != nil && len(half) > 10 && strings.Contains(err.Error(), string(half[:10])) {
			t.Errorf("the error tells the secret: %v", err)
		}
		left, readErr := os.ReadFile(path)
		if readErr != nil || !bytes.Equal(left, half) {
			t.Errorf("half a key of %d bytes was overwritten", len(half))
		}
	}
}
