package coordinator

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// TestRoomyConnKeepsNobodyWaiting writes megabytes in both directions before either
// side reads, as a bare pipe would not let it, and wants them whole.
func TestRoomyConnKeepsNobodyWaiting(t *testing.T) {
	near, far := net.Pipe()
	a, b := newRoomyConn(near), newRoomyConn(far)
	rng := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	for at := 0; at < len(want); {
		n := min(1+rng.IntN(9000), len(want)-at)
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Write(want[at : at+n]); err != nil {
				t.Fatal(err)
			}
		}
		at += n
	}
	for name, c := range map[string]net.Conn{"a": a, "b": b} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s reads something else: %v", name, err)
		}
	}
	// The last words before the end still come, and then the end.
	if _, err := a.Write([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
		t.Errorf("after the end %q, %v", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after the end: %v, want %v", err, net.ErrClosed)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestRoomyConnIsBounded writes to a side that never reads.
func TestRoomyConnIsBounded(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := newRoomyConn(near)
	block := make([]byte, 1<<20)
	var err error
	blocks := 0
	for ; err == nil && blocks < 2*maxQueued>>20; blocks++ {
		_, err = c.Write(block)
	}
	if !errors.Is(err, errQueueFull) || blocks < maxQueued>>20 {
		t.Errorf("after %d MiB: %v, want %v", blocks, err, errQueueFull)
	}
	began := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("closing took %v", took)
	}
}
