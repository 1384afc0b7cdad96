package access

import (
	"cmp"
	"slices"
)

// changeLog numbers the changes of records, so that whoever knows those up to a
// number can be told the rest.
type changeLog struct {
	count uint64            // of all changes so far
	last  map[string]uint64 // of each key
	order []changed         // by number; those that are not a key's last say nothing
}

type changed struct {
	number uint64
	key    string
}

func newChangeLog() changeLog { return changeLog{last: map[string]uint64{}} }

// note counts a change.
func (l *changeLog) note(key string) {
	l.count++
	l.last[key] = l.count
	l.order = append(l.order, changed{l.count, key})
	if len(l.order) > 64+2*len(l.last) {
		l.order = slices.DeleteFunc(l.order, func(c changed) bool { return l.last[c.key] != c.number })
	}
}

// drop forgets a key.
func (l *changeLog) drop(key string) { delete(l.last, key) }

// after returns the keys that changed after a number, n at most, those that changed
// first first, and the number to go on from. More says that there are others.
func (l *changeLog) after(number uint64, n int) (keys []string, next uint64, more bool) {
	from, _ := slices.BinarySearchFunc(l.order, number, func(c changed, number uint64) int {
		if c.number <= number {
			return -1
		}
		return cmp.Compare(c.number, number)
	})
	next = number
	for _, c := range l.order[from:] {
		if l.last[c.key] != c.number {
			continue
		}
		if len(keys) == n {
			return keys, next, true
		}
		keys, next = append(keys, c.key), c.number
	}
	return keys, l.count, false
}
