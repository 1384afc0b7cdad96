package main

import (
	"fmt"
	"os"

	"github.com/jbcnet/jbc/coordinator/access"
)

// lockJoined keeps other processes from changing the join at path until unlock is
// called. It waits for them.
func lockJoined(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
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
