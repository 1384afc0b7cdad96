//go:build linux

package farm

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// digger is a worker in a process of its own, with a home of its own.
type digger struct {
	*host
	words   []string
	place   []byte // what it was told when it joined, nil where it did not
	process *process
}

// digger makes a worker that is told of the node alone, on that host.
func (n *node) digger(t *testing.T, on *host, name string) *digger {
	t.Helper()
	d := &digger{host: &host{farm: &farm{home: t.TempDir()}, name: name, address: on.address, space: on.space}}
	d.words = []string{"worker", "--log-level", "debug", "--threads", "1", "--name", name}
	if !n.secure {
		d.words = append(d.words, "--nats", "nats://"+n.listen, "--coordinator", n.name)
		return d
	}
	n.admit(t, d.host, "worker")
	var err error
	if d.place, err = os.ReadFile(d.joined("worker")); err != nil {
		t.Fatal(err)
	}
	return d
}

// start starts the worker, which knows of others what it was told since it joined.
func (d *digger) start(t *testing.T) {
	t.Helper()
	d.process = start(t, d.name, d.jbc(d.words...))
}

// startAfresh starts the worker as if it had just joined: it knows one address.
func (d *digger) startAfresh(t *testing.T) {
	t.Helper()
	if d.place != nil {
		if err := os.WriteFile(d.joined("worker"), d.place, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.start(t)
}

// stop ends the worker as Ctrl-C does.
func (d *digger) stop(t *testing.T) {
	t.Helper()
	d.process.signal(syscall.SIGINT)
	d.process.wait(t, 0)
}

// began returns the first job that the worker began after a moment, of a coordinator
// that counts, by its own log: when, and of whom. The time is zero while there is none.
func (d *digger) began(since time.Time, counts func(coordinator string) bool) (at time.Time, of string) {
	for _, l := range d.process.out.all() {
		if l.has("msg=joined ") {
			of = field(l, "coordinator")
		}
		if l.at.After(since) && l.has("msg=job ") && counts(of) {
			return l.at, of
		}
	}
	return time.Time{}, ""
}

// field returns the value of a log line's key, where it has no spaces.
func field(l line, key string) string {
	_, rest, _ := strings.Cut(l.text, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// takesUp waits until the worker begins a job after a moment, of a coordinator that
// counts, and returns how long after and of whom.
func (d *digger) takesUp(t *testing.T, since time.Time, what string, counts func(coordinator string) bool) (took time.Duration, of string) {
	t.Helper()
	var at time.Time
	eventually(t, time.Minute, d.name+" works "+what, func() bool {
		at, of = d.began(since, counts)
		return !at.IsZero()
	})
	return at.Sub(since), of
}

// credit waits until the nodes have credited something new to the workers: a share or
// a block.
func credit(t *testing.T, nodes []*node, diggers ...*digger) {
	t.Helper()
	for _, d := range diggers {
		before, asked := uint64(0), false
		eventually(t, luck, d.name+" is credited", func() bool {
			credited, seated := uint64(0), false
			for _, n := range nodes {
				st := n.watch.status()
				if st == nil {
					return false
				}
				for _, w := range st.Workers {
					if w.Name == d.name {
						credited, seated = credited+w.Shares+w.Blocks, true
					}
				}
			}
			if !seated {
				return false
			}
			news := asked && credited > 0 && credited != before // a new slot counts from nothing
			before, asked = credited, true
			return news
		})
	}
}

// times are how long something took, again and again.
type times []time.Duration

// String shows the distribution, and all of them where they are few.
func (all times) String() string {
	if len(all) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(percent int) time.Duration {
		return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("%d times, least %v, half %v, 90 %% %v, worst %v", len(sorted), at(0), at(50), at(90), at(100))
}
