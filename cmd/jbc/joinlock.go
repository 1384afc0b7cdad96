package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/jbcnet/jbc/coordinator/access"
)

// lockJoined keeps other processes from changing a join in the directory of path until
// unlock is called. It waits for them.
func lockJoined(path string) (unlock func(), err error) {
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil // which unlocks it
}

// saveJoined keeps a join in place of any other.
func saveJoined(m *access.Membership, path string) error {
	unlock, err := lockJoined(path)
	if err != nil {
		return err
	}
	defer unlock()
	return m.Save(path)
}
