package coordinator

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxQueued is how much may wait in either direction of a connection within the
	// process. A fleet of 10,000 that reports at once sends 4 MiB.
	maxQueued = 64 << 20
	// ownPing is how often such a connection is tried. It can't be dead, only slow:
	// when ten thousand workers come back at once the server may take seconds to
	// answer, and its own coordinator must not hang up on it.
	ownPing = time.Minute
	// drainTime is how long a connection that is closed may take to pass on what was
	// written to it.
	drainTime = time.Second
)

// roomyServer connects clients of the same process through queues. The server's
// own connection is a pipe without any: there each side waits until the other
// reads, and when thousands of workers speak at once, both wait for each other,
// until the server cuts off its own coordinator as too slow. Over TCP the kernel's
// buffers keep them apart.
type roomyServer struct{ *server.Server }

// InProcessConn implements [nats.InProcessConnProvider].
func (s roomyServer) InProcessConn() (net.Conn, error) {
	conn, err := s.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newRoomyConn(conn), nil
}

// roomyConn is a connection that never keeps a writer waiting.
type roomyConn struct {
	net.Conn
	in, out *byteQueue
	pumps   sync.WaitGroup
}

func newRoomyConn(conn net.Conn) *roomyConn {
	c := &roomyConn{Conn: conn, in: newByteQueue(), out: newByteQueue()}
	c.pumps.Go(func() {
		_, err := io.Copy(c.in, conn)
		if err == nil {
			err = io.EOF
		}
		c.in.end(err)
	})
	c.pumps.Go(func() {
		if _, err := io.Copy(conn, c.out); err != nil {
			c.out.end(err)
		}
	})
	return c
}

// Read implements [net.Conn].
func (c *roomyConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write implements [net.Conn].
func (c *roomyConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close implements [net.Conn]. What was written before is passed on.
func (c *roomyConn) Close() error {
	c.out.end(io.EOF)
	c.out.drained(drainTime)
	err := c.Conn.Close()
	c.pumps.Wait()
	return err
}

// errQueueFull says that the other side has not read for very long.
var errQueueFull = errors.New("too much is queued")

// byteQueue is a queue of bytes, safe for concurrent use.
type byteQueue struct {
	mu     sync.Mutex
	change *sync.Cond
	bytes  []byte
	err    error // of whoever reads, once all is read; of whoever writes
	empty  chan struct{}
}

func newByteQueue() *byteQueue {
	q := &byteQueue{empty: make(chan struct{})}
	q.change = sync.NewCond(&q.mu)
	return q
}

// Write adds to the queue without waiting.
func (q *byteQueue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case errors.Is(q.err, io.EOF):
		return 0, net.ErrClosed
	case q.err != nil:
		return 0, q.err
	case len(q.bytes)+len(p) > maxQueued:
		return 0, errQueueFull
	}
	q.bytes = append(q.bytes, p...)
	q.change.Signal()
	return len(p), nil
}

// Read waits for something to read.
func (q *byteQueue) Read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.bytes) == 0 && q.err == nil {
		q.change.Wait()
	}
	if len(q.bytes) == 0 {
		return 0, q.err
	}
	n := copy(p, q.bytes)
	if q.bytes = q.bytes[n:]; len(q.bytes) == 0 {
		q.bytes = nil // what a rush took is given back
	}
	if len(q.bytes) == 0 && q.err != nil {
		q.signalEmpty()
	}
	return n, nil
}

// end makes readers return err when they have read what is there, and writers at
// once.
func (q *byteQueue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	if len(q.bytes) == 0 || !errors.Is(err, io.EOF) {
		q.signalEmpty()
	}
	q.change.Broadcast()
}

func (q *byteQueue) signalEmpty() {
	select {
	case <-q.empty:
	default:
		close(q.empty)
	}
}

// drained waits until a queue that has ended is empty, or within has passed.
func (q *byteQueue) drained(within time.Duration) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-q.empty:
	case <-timer.C:
	}
}
