package store

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound says that a key has no value.
	ErrNotFound = errors.New("not found")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// A NetworkError says that the directory belongs to another network. Try another
// directory.
type NetworkError struct {
	Dir  string
	Have string // the network whose records it holds
	Want string
}

func (e *NetworkError) Error() string {
	return fmt.Sprintf("%s holds network %q, not %q", e.Dir, e.Have, e.Want)
}

// A FormatError says that the directory was written by a newer version of this
// program. Try that one.
type FormatError struct {
	Dir  string
	Have string
	Want uint32 // the newest format that this program reads
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %s, and this program knows up to %d", e.Dir, e.Have, e.Want)
}

// A LockedError says that a process, maybe this one, has the directory open.
type LockedError struct {
	Dir string
	Err error
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is in use by another process: %v", e.Dir, e.Err)
}
func (e *LockedError) Unwrap() error { return e.Err }

// An AccessError says that the directory can't be read or written by this user,
// or is none. Try its permissions.
type AccessError struct {
	Dir string
	Err error
}

func (e *AccessError) Error() string { return fmt.Sprintf("%s: %v", e.Dir, e.Err) }
func (e *AccessError) Unwrap() error { return e.Err }

// A DamageError says that what the directory holds can't be as it was written.
// Nothing is guessed or repaired. Try a copy, or an empty directory.
type DamageError struct {
	Dir   string
	Where string // the record or file
	What  string // what was found
	Err   error  // may be nil
}

func (e *DamageError) Error() string {
	s := fmt.Sprintf("%s is damaged: %s: %s", e.Dir, e.Where, e.What)
	if e.Err != nil {
		first, _, _ := strings.Cut(e.Err.Error(), "\n") // Pebble's can have several lines
		s += ": " + first
	}
	return s
}
func (e *DamageError) Unwrap() error { return e.Err }

// A SpaceError says that the disk is nearly full. Nothing was written. Try to
// free some space.
type SpaceError struct {
	Dir     string
	Free    uint64 // bytes
	Reserve uint64 // bytes that must stay free
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: disk nearly full: %d MiB free, %d MiB must stay free", e.Dir, e.Free>>20, e.Reserve>>20)
}

// A FailedError says that a write failed. What was acknowledged before is on
// disk; what was not may or may not be. Nothing more is written.
type FailedError struct {
	Dir string
	Op  string // what failed, with the file's name
	Err error
}

func (e *FailedError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Dir, e.Op, e.Err) }
func (e *FailedError) Unwrap() error { return e.Err }
