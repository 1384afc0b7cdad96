package coordinator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// maxRouteLine bounds a line between servers, as NATS does.
const maxRouteLine = 64 << 10

// Why a route ends because of what came over it.
var (
	errRouteLine    = errors.New("no line between servers")
	errRouteMessage = errors.New("no message between servers")
)

// crossing says what crosses between servers: what belongs to the network, but for
// what is between an owner, or whoever holds a token, and one coordinator alone. Those
// are connected to its own server.
type crossing struct {
	allow, deny []string // prefixes
}

func newCrossing(network string) crossing {
	subjects := protocol.NewSubjects(network)
	return crossing{
		allow: []string{strings.TrimSuffix(subjects.Job(""), "job."), "_INBOX.", "$SRV."},
		deny:  []string{subjects.Admin(""), subjects.Enrol("")},
	}
}

// permission is what NATS itself is told: it holds for subscriptions alone.
func (c crossing) permission() *server.SubjectPermission {
	p := &server.SubjectPermission{}
	for _, prefix := range c.allow {
		p.Allow = append(p.Allow, prefix+">")
	}
	for _, prefix := range c.deny {
		p.Deny = append(p.Deny, prefix+">")
	}
	return p
}

// lets says whether a message on a subject crosses.
func (c crossing) lets(subject []byte) bool {
	return below(subject, c.allow) && !below(subject, c.deny)
}

func below(subject []byte, prefixes []string) bool {
	for _, prefix := range prefixes {
		if len(subject) > len(prefix) && string(subject[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// border passes on to the own server what another says after its first INFO. What NATS
// takes from a server is much: an INFO has it dial others by itself, and permissions of
// a route hold for subscriptions, not for messages. So nothing is passed on that a
// server of a mesh has no reason to say.
type border struct {
	crossing
	in      *bufio.Reader
	out     *bufio.Writer // to the own server
	dropped int
}

func newBorder(cross crossing, own net.Conn, from io.Reader) *border {
	b := &border{crossing: cross, out: bufio.NewWriterSize(timedWriter{own}, relayBuffer)}
	b.in = bufio.NewReaderSize(flushingReader{from, b.out}, maxRouteLine)
	return b
}

// timedWriter bounds how long each write takes.
type timedWriter struct{ net.Conn }

func (w timedWriter) Write(data []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(relayWrite)); err != nil {
		return 0, err
	}
	return w.Conn.Write(data)
}

// flushingReader passes on what was written so far before it waits for more.
type flushingReader struct {
	from io.Reader
	out  *bufio.Writer
}

func (r flushingReader) Read(data []byte) (int, error) {
	if err := r.out.Flush(); err != nil {
		return 0, err
	}
	return r.from.Read(data)
}

// pass passes on until reading or writing fails, or the other says what no server of
// a mesh does.
func (b *border) pass() error {
	for {
		if err := b.line(); err != nil {
			return err
		}
	}
}

// line takes one line, and what belongs to it.
func (b *border) line() error {
	line, err := b.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("%w: %.40q and more", errRouteLine, line)
	}
	if err != nil {
		return err
	}
	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	verb, args, _ := bytes.Cut(text, []byte(" "))
	if !ended || bytes.ContainsAny(text, "\r\t") {
		return fmt.Errorf("%w: %.40q", errRouteLine, line)
	}
	switch string(verb) {
	case "RMSG", "HMSG":
		return b.message(line, args, verb[0] == 'H')
	case "RS+", "RS-":
		if account, _, _ := bytes.Cut(args, []byte(" ")); string(account) != server.DEFAULT_GLOBAL_ACCOUNT {
			b.dropped++ // another account would be made
			return nil
		}
	case "PING", "PONG":
		if len(text) > len(verb) {
			return fmt.Errorf("%w: %.40q", errRouteLine, line)
		}
	case "INFO", "CONNECT": // which were said
		b.dropped++
		return nil
	case "-ERR": // the own server would end the route too, and log it as an error
		return fmt.Errorf("the other server ends it: %.200q", args)
	default: // LS+, LS- and LMSG are of leaf nodes, A+ and A- of gateways
		return fmt.Errorf("%w: %.40q", errRouteLine, line)
	}
	_, err = b.out.Write(line)
	return err
}

// message takes RMSG, or HMSG with headers.
func (b *border) message(line, args []byte, headers bool) error {
	size, crosses, err := b.head(args, headers)
	if err != nil {
		return fmt.Errorf("%w: %.200q", err, line)
	}
	if !crosses {
		b.dropped++
		_, err = b.in.Discard(size)
	} else if _, err = b.out.Write(line); err == nil {
		err = b.payload(size)
	}
	if err != nil {
		return err
	}
	end, err := b.in.Peek(2)
	if err != nil {
		return err
	}
	if string(end) != "\r\n" {
		return fmt.Errorf("%w: %.20q after the last byte", errRouteMessage, end)
	}
	if crosses {
		if _, err := b.out.Write(end); err != nil {
			return err
		}
	}
	_, err = b.in.Discard(len(end))
	return err
}

// payload passes on as many bytes.
func (b *border) payload(size int) error {
	for size > 0 {
		data, err := b.in.Peek(min(size, max(b.in.Buffered(), 1)))
		if err != nil {
			return err
		}
		if _, err := b.out.Write(data); err != nil {
			return err
		}
		n, err := b.in.Discard(len(data))
		if err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// head reads what is said before a message and returns how many bytes follow, headers
// included, and whether it crosses:
//
//	account subject [reply | "+" reply queue... | "|" queue...] [size of headers] size
func (b *border) head(args []byte, headers bool) (size int, crosses bool, err error) {
	if bytes.Contains(args, []byte("  ")) || bytes.HasSuffix(args, []byte(" ")) {
		return 0, false, errRouteMessage // NATS remembers subjects by where it expects the spaces
	}
	account, args, _ := bytes.Cut(args, []byte(" "))
	subject, args, ok := bytes.Cut(args, []byte(" "))
	args, last := cutLast(args)
	size = routeSize(last)
	if headers && ok {
		var first []byte
		args, first = cutLast(args)
		header := routeSize(first)
		ok = header >= 0 && header <= size
	}
	if !ok || size < 0 || size > access.MaxPayload || len(account) == 0 || len(subject) == 0 {
		return 0, false, errRouteMessage
	}
	reply, queues, many := bytes.Cut(args, []byte(" "))
	switch {
	case many && string(reply) == "+":
		reply, _, _ = bytes.Cut(queues, []byte(" "))
	case many && string(reply) == "|":
		reply = nil
	case many:
		return 0, false, errRouteMessage
	}
	// An answer goes where the question says, by right of who answers.
	crosses = string(account) == server.DEFAULT_GLOBAL_ACCOUNT && b.lets(subject) && (len(reply) == 0 || b.lets(reply))
	return size, crosses, nil
}

// cutLast returns what is before the last space and what is after it.
func cutLast(args []byte) (before, last []byte) {
	i := bytes.LastIndexByte(args, ' ')
	return args[:max(i, 0)], args[i+1:]
}

// routeSize reads a size of up to 9 digits as NATS does, and returns -1 for anything
// else.
func routeSize(digits []byte) (size int) {
	if len(digits) == 0 || len(digits) > 9 {
		return -1
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return -1
		}
		size = 10*size + int(digit-'0')
	}
	return size
}
