package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestDamagedFiles spoils each kind of file and wants to hear of it, or to find
// every record.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, Network: "n"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := put(s, fmt.Sprint(i), string(bytes.Repeat([]byte{byte(i)}, 1000))); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	logged := filepath.Join(t.TempDir(), "logged") // everything is in the log still
	if err := os.CopyFS(logged, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Options{Dir: dir, Network: "n"}); err != nil { // writes tables from the log
		t.Fatal(err)
	}
	s.Close()
	for _, pattern := range []string{"*.log", "*.sst", "MANIFEST-*", "OPTIONS-*"} {
		t.Run(pattern, func(t *testing.T) {
			copied, from := filepath.Join(t.TempDir(), "dir"), dir
			if pattern == "*.log" {
				from = logged
			}
			if err := os.CopyFS(copied, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			names, _ := filepath.Glob(filepath.Join(copied, pattern))
			if len(names) == 0 {
				t.Fatalf("no file %s", pattern)
			}
			for _, name := range names {
				raw, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for i := len(raw) / 3; i < len(raw)/3+20 && i < len(raw); i++ {
					raw[i] ^= 0x55
				}
				if err := os.WriteFile(name, raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := readAll(copied)
			t.Logf("%v", err)
			if err != nil && !errors.As(err, new(*DamageError)) {
				t.Errorf("%v, want a DamageError", err)
			}
		})
	}
}

// readAll opens a directory and reads what TestDamagedFiles wrote.
func readAll(dir string) (err error) {
	s, err := Open(Options{Dir: dir, Network: "n"})
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range 200 {
		got, err := s.Get(Chain, []byte(fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 1000)) {
			return fmt.Errorf("record %d is wrong and nobody noticed", i)
		}
	}
	return nil
}
