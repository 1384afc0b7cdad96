package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// format is the version of what the directory holds: raised when a program that
// knows only the lower one would misread it.
//
// 2 has the unspent outputs at the tip. A directory of format 1 is marked as one of
// format 2 when it is opened; package chain sees what is missing and makes it.
const (
	format       = 2
	oldestFormat = 1
)

// pebbleFormat is Pebble's own. It is pinned, so that a newer library does not
// make a directory unreadable for an older program by itself.
const pebbleFormat = pebble.FormatValueSeparation

func formatKey() []byte  { return []byte("format") }
func networkKey() []byte { return []byte("network") }

// Open opens or makes the directory and checks that it holds the network asked
// for. The error is a [LockedError], [AccessError], [NetworkError],
// [FormatError], [SpaceError], [DamageError] or [FailedError].
func Open(opts Options) (*Store, error) {
	if opts.Dir == "" || opts.Network == "" {
		return nil, errors.New("store: needs a directory and a network")
	}
	s := &Store{dir: opts.Dir, fs: opts.FS, reserve: opts.Reserve, failure: newFailure()}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.reserve == 0 {
		s.reserve = DefaultReserve
	}
	s.guard = &guardFS{FS: s.fs, dir: s.dir, failure: s.failure}

	if err := s.lockDir(); err != nil {
		return nil, err
	}
	if err := s.openLocked(opts); err != nil {
		s.lock.Close()
		if s.failure.isFrozen() {
			s.lock.Close() // Pebble, parked, holds it too
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) lockDir() error {
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return &AccessError{Dir: s.dir, Err: err}
	}
	lock, err := pebble.LockDirectory(s.dir, s.fs)
	switch {
	case err == nil:
		s.lock = lock
		return nil
	case isAccess(err) && !errors.Is(err, syscall.EACCES) || errors.As(err, new(*fs.PathError)):
		return &AccessError{Dir: s.dir, Err: err} // the lock file can't be made
	default: // EAGAIN or EACCES of fcntl, or "held by current process"
		return &LockedError{Dir: s.dir, Err: err}
	}
}

// openLocked opens Pebble and reads what network it holds.
func (s *Store) openLocked(opts Options) error {
	if err := s.checkSpace(); err != nil {
		return err
	}
	if err := s.openPebble(opts); err != nil {
		return err
	}
	made, err := s.checkMeta(opts.Network)
	if err == nil && !made {
		return nil
	}
	if !s.failure.isFrozen() {
		err = errors.Join(err, s.closePebble())
	}
	if err != nil {
		return err
	}
	// Pebble writes the first log of a new directory in an older form, without the
	// offsets that tell a damaged log from one that a crash cut short: what follows
	// the damage would be gone in silence. The second log has them.
	return s.openPebble(opts)
}

// closePebble closes what openPebble opened.
func (s *Store) closePebble() error {
	s.inFlight.Wait()
	s.guard.armed.Store(false)
	return s.db.Close()
}

// openPebble runs pebble.Open beside us: its Fatalf may park it.
func (s *Store) openPebble(opts Options) error {
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		db, err := pebble.Open(s.dir, s.pebbleOptions(opts.Logger))
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			return s.openError(r.err)
		}
		s.db = r.db
		s.guard.armed.Store(true)
		return nil
	case <-s.failure.frozen:
		return s.Err()
	}
}

func (s *Store) pebbleOptions(log *slog.Logger) *pebble.Options {
	o := &pebble.Options{
		FS:                 s.guard,
		Lock:               s.lock,
		FormatMajorVersion: pebbleFormat,
		MemTableSize:       memTableSize,
		CacheSize:          32 << 20,
		MaxOpenFiles:       256,
		Logger:             &logger{store: s, log: log},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			if pebble.IsCorruptionError(err) {
				s.failure.fail(&DamageError{Dir: s.dir, Where: "tables", What: "unreadable", Err: err})
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.failure.fail(&DamageError{Dir: s.dir, Where: info.Path, What: "unreadable", Err: info.Details})
		},
	}
	return o
}

// openError sorts what pebble.Open returned.
func (s *Store) openError(err error) error {
	switch {
	case isAccess(err):
		return &AccessError{Dir: s.dir, Err: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO):
		return &FailedError{Dir: s.dir, Op: "open", Err: err}
	default:
		return &DamageError{Dir: s.dir, Where: "opening", What: "not as it was written", Err: err}
	}
}

func isAccess(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR)
}

// checkMeta compares format and network with ours, and writes them into an empty
// directory, which it says it has made then.
func (s *Store) checkMeta(network string) (made bool, err error) {
	have, err := s.Get(meta, formatKey())
	if errors.Is(err, ErrNotFound) {
		return true, s.writeMeta(network)
	}
	if err != nil {
		return false, err
	}
	return false, s.compareMeta(have, network)
}

func (s *Store) compareMeta(have []byte, network string) error {
	if len(have) != 4 {
		return &DamageError{Dir: s.dir, Where: "format record", What: fmt.Sprintf("%d bytes", len(have))}
	}
	v := binary.BigEndian.Uint32(have)
	if v < oldestFormat || v > format {
		return &FormatError{Dir: s.dir, Have: fmt.Sprint(v), Want: format}
	}
	name, err := s.Get(meta, networkKey())
	if errors.Is(err, ErrNotFound) {
		return &DamageError{Dir: s.dir, Where: "network record", What: "missing"}
	}
	if err != nil {
		return err
	}
	if string(name) != network {
		return &NetworkError{Dir: s.dir, Have: string(name), Want: network}
	}
	if v != format {
		return s.setMeta(network)
	}
	return nil
}

func (s *Store) writeMeta(network string) error {
	for _, space := range []Space{meta, Chain, Coordinator} {
		err := s.Iterate(space, nil, func(key, _ []byte) error {
			return &DamageError{Dir: s.dir, Where: "format record", What: fmt.Sprintf("missing, beside key %c %x", space, key)}
		})
		if err != nil {
			return err
		}
	}
	return s.setMeta(network)
}

func (s *Store) setMeta(network string) error {
	b := s.NewBatch()
	b.Set(meta, formatKey(), binary.BigEndian.AppendUint32(nil, format))
	b.Set(meta, networkKey(), []byte(network))
	pending, err := b.Apply()
	if err != nil {
		return err
	}
	return pending.Wait()
}
