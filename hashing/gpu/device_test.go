package gpu

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// openFake opens a device whose launcher is f, which computes for the search that
// [scanner.test] makes.
func openFake(t *testing.T, f *fake) *Device {
	t.Helper()
	s := hashing.NewSearch(hashing.Header{}, []uint32{0x20000000}, hashing.TargetForHashes(16))
	f.search, f.versions = &s, 1
	d, err := Open(t.Context(), Info{Name: "fake", opener: f}, Options{Versions: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.search.Target = hashing.Target{}
	return d
}

// TestDeviceHangs has the driver keep a launch until the end of the test.
func TestDeviceHangs(t *testing.T) {
	f := &fake{}
	d := openFake(t, f)
	d.patience = 80 * time.Millisecond
	answer := make(chan struct{})
	f.spoil = func([]candidate) ([]candidate, bool, error) {
		if f.waited > 10 {
			<-answer
		}
		return nil, false, nil
	}
	hits := make([]hashing.Hit, 1)
	for range 2 {
		if done, found, err := d.Scan(t.Context(), f.search, 0, 1<<30, hits); !errors.Is(err, ErrHung) || done != 0 || found != 0 {
			t.Errorf("Scan = %d, %d, %v; want %v", done, found, err, ErrHung)
		}
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-d.gone:
		t.Error("the thread ended in the middle of a launch")
	default:
	}
	close(answer) // the driver comes back
	<-d.gone
	if f.closed != 1 {
		t.Errorf("the driver was closed %d times", f.closed)
	}
}

// TestSlowIsNotHung has every launch take a good part of the patience, all of them
// together far more.
func TestSlowIsNotHung(t *testing.T) {
	f := &fake{}
	d := openFake(t, f)
	d.patience = 400 * time.Millisecond
	f.spoil = func([]candidate) ([]candidate, bool, error) {
		time.Sleep(d.patience / 8)
		return nil, false, nil
	}
	d.scanner.nonces.Store(group)
	if done, _, err := d.Scan(t.Context(), f.search, 0, 12*group, make([]hashing.Hit, 1)); done != 12*group || err != nil {
		t.Errorf("Scan = %d, %v", done, err)
	}
	if err := d.Close(); err != nil || f.closed != 1 {
		t.Errorf("Close: %v, %d times", err, f.closed)
	}
}

func TestErrorIsTheLastOfADevice(t *testing.T) {
	lost := errors.New("it fell off the bus")
	f := &fake{}
	d := openFake(t, f)
	f.spoil = func([]candidate) ([]candidate, bool, error) { return nil, false, lost }
	for range 2 {
		if done, found, err := d.Scan(t.Context(), f.search, 0, 1000, make([]hashing.Hit, 1)); !errors.Is(err, lost) || done != 0 || found != 0 {
			t.Errorf("Scan = %d, %d, %v; want %v", done, found, err, lost)
		}
	}
	if err := d.Close(); err != nil || f.closed != 1 {
		t.Errorf("Close: %v, %d times", err, f.closed)
	}
}

func TestNoncesOfATime(t *testing.T) {
	d := &Device{scanner: &scanner{versions: 4, budget: time.Millisecond}}
	d.scanner.nonces.Store(1000)
	tests := []struct {
		versions int
		long     time.Duration
		want     int
	}{
		{4, time.Millisecond, 1000},
		{1, time.Millisecond, 1000}, // the other three are idle
		{5, time.Millisecond, 500},
		{16, 100 * time.Millisecond, 25000},
		{16, time.Nanosecond, 1},
		{4, 1000 * time.Hour, math.MaxInt32},
	}
	for _, test := range tests {
		if got := d.Nonces(test.versions, test.long); got != test.want {
			t.Errorf("Nonces(%d, %s) = %d, want %d", test.versions, test.long, got, test.want)
		}
	}
}
