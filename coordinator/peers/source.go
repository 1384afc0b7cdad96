package peers

import (
	"slices"
	"time"
)

const (
	// firstWindow is how many requests a peer gets before it answered any; one more
	// with each answer up to MaxInFlight, half as many when one is lost.
	firstWindow = 4
	// firstRest is how long a peer is not asked after a failure, twice as long each
	// time up to 16 times.
	firstRest = 100 * time.Millisecond
	// lackRest is how long a peer that lacks a block is not asked for it and those
	// after it: it may get them.
	lackRest = 10 * time.Second
)

// source is a peer of a download.
type source struct {
	name     string
	claimed  bool
	inFlight int
	window   int
	failures int // in a row
	rest     time.Time
	lacks    int // the first that it lacks
	lacksTil time.Time
	stride   uint32 // bytes of a block in a full reply
	partial  []int  // blocks of which it gave a part, ascending
}

// source returns the peer with that name.
func (d *Download) source(name string) *source {
	s := d.sources[name]
	if s == nil {
		s = &source{name: name, window: firstWindow, stride: firstStride}
		d.sources[name] = s
	}
	return s
}

// free says whether a peer may be asked one thing more.
func (s *source) free(now time.Time) bool { return s.inFlight < s.window && !now.Before(s.rest) }

// fail gives a peer a rest. What fails while it rests was on its way.
func (s *source) fail(now time.Time) {
	s.window = max(1, s.window/2)
	if now.Before(s.rest) {
		return
	}
	s.rest = now.Add(firstRest << min(s.failures, 4))
	s.failures++
}

func (s *source) work() {
	s.window = min(MaxInFlight, s.window+1)
	s.failures = 0
}

// lack notes that a peer does not have a block.
func (s *source) lack(now time.Time, i int) {
	if !now.Before(s.lacksTil) || i < s.lacks {
		s.lacks = i
	}
	s.lacksTil = now.Add(lackRest)
}

// has says whether a peer may have a block.
func (s *source) has(now time.Time, i int) bool { return i < s.lacks || !now.Before(s.lacksTil) }

// enter and leave keep the list of blocks of which the peer gave a part.
func (s *source) enter(i int) {
	if at, there := slices.BinarySearch(s.partial, i); !there {
		s.partial = slices.Insert(s.partial, at, i)
	}
}

func (s *source) leave(i int) {
	if at, there := slices.BinarySearch(s.partial, i); there {
		s.partial = slices.Delete(s.partial, at, at+1)
	}
}
