package access

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Secret returns the first line of the file at path, which create provides and
// mode 0600 protects when there is none yet. A file that others can read, or that
// is empty, is refused and left as it is.
func Secret(path string, create func() ([]byte, error)) ([]byte, error) {
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		if secret, err = create(); err == nil {
			err = WriteSecret(path, append(secret, '\n'))
		}
		return secret, err
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(secret, []byte("\n"))
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return nil, fmt.Errorf("%s is empty: restore it, or remove it to have a new one made", path)
	}
	return line, nil
}

// readSecret reads the file at path, and refuses one that others can read.
func readSecret(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	return data, nil
}

// WriteSecret makes the file whole or not at all, so that no crash leaves half a
// key. Nobody else can read it at any moment.
func WriteSecret(path string, secret []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(secret); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir has a new file's name survive a power loss too: what is paid to a key
// that is gone is lost.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
