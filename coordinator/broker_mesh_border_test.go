package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jbcnet/jbc/coordinator/access"
)

// heardConn is the own server's end of a route: it keeps what it is told.
type heardConn struct {
	net.Conn
	heard bytes.Buffer
}

func (c *heardConn) SetWriteDeadline(time.Time) error { return nil }

func (c *heardConn) Write(data []byte) (int, error) { return c.heard.Write(data) }

// TestBorder has what servers say to each other pass, and nothing else.
func TestBorder(t *testing.T) {
	block, long := farmSubjects.Block("b"), strings.Repeat("x", access.MaxPayload)
	queue := strings.Repeat("q", maxRouteLine)
	for _, tt := range []struct {
		name, said string
		passes     bool // all of it, or none
		dropped    int
		want       error
	}{
		{"pings", "PING\r\nPONG\r\n", true, 0, io.EOF},
		{"subscriptions", "RS+ $G " + block + "\r\nRS+ $G $SRV.PING q 3\r\nRS- $G " + block + "\r\nRS- $G $SRV.PING q\r\n", true, 0, io.EOF},
		{"a message", "RMSG $G " + block + " 5\r\nhello\r\n", true, 0, io.EOF},
		{"an empty one", "RMSG $G " + block + " 0\r\n\r\n", true, 0, io.EOF},
		{"with zeros before the size", "RMSG $G " + block + " 000000005\r\nhello\r\n", true, 0, io.EOF},
		{"of lines", "RMSG $G " + block + " 8\r\n\r\nINFO\r\n\r\n", true, 0, io.EOF},
		{"a question", "RMSG $G $SRV.PING _INBOX.a.b 0\r\n\r\n", true, 0, io.EOF},
		{"a question to queues", "RMSG $G $SRV.PING + _INBOX.a.b q r 2\r\nhi\r\n", true, 0, io.EOF},
		{"queues", "RMSG $G " + block + " | q r 2\r\nhi\r\n", true, 0, io.EOF},
		{"headers", "HMSG $G " + block + " 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", true, 0, io.EOF},
		{"headers, a question to queues", "HMSG $G $SRV.PING + _INBOX.a.b q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", true, 0, io.EOF},
		{"the longest message", "RMSG $G " + block + fmt.Sprintf(" %d\r\n", len(long)) + long + "\r\nPING\r\n", true, 0, io.EOF},
		{"a long line", "RS+ $G " + block + " " + queue[:maxRouteLine-60] + " 1\r\n", true, 0, io.EOF},

		{"INFO", "INFO {\"ip\":\"nats-route://192.0.2.1:1/\"}\r\n", false, 1, io.EOF},
		{"CONNECT", "CONNECT {}\r\n", false, 1, io.EOF},
		{"a subscription of another account", "RS+ $SYS $SRV.PING\r\nRS- X $SRV.PING\r\n", false, 2, io.EOF},
		{"a message of another account", "RMSG $SYS " + block + " 2\r\nhi\r\n", false, 1, io.EOF},
		{"one of another network", "RMSG $G jbc.v1.dev-99999999.job.a 2\r\nhi\r\n", false, 1, io.EOF},
		{"one of the system's", "HMSG $G $SYS.REQ.x 0 2\r\nhi\r\n", false, 1, io.EOF},
		{"one of gateways", "RMSG $G _GR_.x.y.jbc 2\r\nhi\r\n", false, 1, io.EOF},
		{"one of no subject below", "RMSG $G _INBOX. 2\r\nhi\r\n", false, 1, io.EOF},
		{"an owner's", "RMSG $G " + farmSubjects.Admin("a") + " _INBOX.a.b 2\r\nhi\r\n", false, 1, io.EOF},
		{"a joiner's", "HMSG $G " + farmSubjects.Enrol("a") + " _INBOX.a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", false, 1, io.EOF},
		{"one that would be answered to the owner's place", "RMSG $G " + block + " " + farmSubjects.Admin("a") + " 2\r\nhi\r\n", false, 1, io.EOF},
		{"the same to queues", "RMSG $G " + block + " + " + farmSubjects.Admin("a") + " q 2\r\nhi\r\n", false, 1, io.EOF},
		{"the longest that is dropped", "RMSG $G other " + fmt.Sprintf(" %d\r\n", len(long))[1:] + long + "\r\n", false, 1, io.EOF},

		{"too long a message", "RMSG $G " + block + fmt.Sprintf(" %d\r\n", len(long)+1) + long + "x\r\n", false, 0, errRouteMessage},
		{"too long a size", "RMSG $G " + block + " 0000000005\r\nhello\r\n", false, 0, errRouteMessage},
		{"a negative size", "RMSG $G " + block + " -1\r\n\r\n", false, 0, errRouteMessage},
		{"no size", "RMSG $G " + block + "\r\n\r\n", false, 0, errRouteMessage},
		{"no account", "RMSG " + block + " 2\r\nhi\r\n", false, 0, errRouteMessage},
		{"nothing", "RMSG\r\n", false, 0, errRouteMessage},
		{"no size of the headers", "HMSG $G " + block + " 2\r\nhi\r\n", false, 0, errRouteMessage},
		{"headers longer than all", "HMSG $G " + block + " 3 2\r\nhi\r\n", false, 0, errRouteMessage},
		{"another mark", "RMSG $G " + block + " ? q 2\r\nhi\r\n", false, 0, errRouteMessage},
		{"two spaces", "RMSG $G  " + block + " 2\r\nhi\r\n", false, 0, errRouteMessage},
		{"a space after all", "RMSG $G " + block + " 2 \r\nhi\r\n", false, 0, errRouteMessage},
		{"a tab", "RMSG\t$G " + block + " 2\r\nhi\r\n", false, 0, errRouteLine},
		{"a return within", "RMSG $G " + block + "\r 2\r\nhi\r\n", false, 0, errRouteLine},
		{"no return", "PING\n", false, 0, errRouteLine},
		{"more of a ping", "PING INFO\r\n", false, 0, errRouteLine},
		{"too long a line", "RS+ $G " + queue + "\r\n", false, 0, errRouteLine},
		{"small letters", "info {}\r\n", false, 0, errRouteLine},
		{"what clients say", "PUB " + block + " 2\r\nhi\r\n", false, 0, errRouteLine},
		{"what leaf nodes say", "LS+ x $G " + block + "\r\n", false, 0, errRouteLine},
		{"what leaf nodes send", "LMSG x $G " + block + " 0 2\r\nhi\r\n", false, 0, errRouteLine},
		{"what gateways say", "A- $G\r\n", false, 0, errRouteLine},
		{"an empty line", "\r\n", false, 0, errRouteLine},
		{"an error", "-ERR 'x'\r\n", false, 0, errAny},
	} {
		for _, slow := range []bool{false, true} {
			own, from := &heardConn{}, io.Reader(strings.NewReader(tt.said))
			if slow {
				from = iotest.OneByteReader(from)
			}
			b := newBorder(newCrossing("dev-1a2b3c4d"), own, from)
			err, want := b.pass(), ""
			if tt.passes {
				want = tt.said
			}
			if got := own.heard.String(); got != want {
				t.Errorf("%s: passed %d bytes, want %d: %.100q", tt.name, len(got), len(want), got)
			}
			if b.dropped != tt.dropped || !errors.Is(err, tt.want) && (tt.want != errAny || errors.Is(err, io.EOF)) {
				t.Errorf("%s: dropped %d, %v; want %d, %v", tt.name, b.dropped, err, tt.dropped, tt.want)
			}
		}
	}
	own := &heardConn{} // a message that does not end where it says
	err := newBorder(newCrossing("dev-1a2b3c4d"), own, strings.NewReader("RMSG $G "+block+" 2\r\nhi, INFO {}\r\n")).pass()
	if heard := own.heard.String(); !errors.Is(err, errRouteMessage) || strings.Contains(heard, "INFO") {
		t.Errorf("longer than it says: %v, passed %q, want %v", err, heard, errRouteMessage)
	}
}

// endless says the same again and again.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(data []byte) (int, error) {
	n := copy(data, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}

// forgetful takes whatever it is told.
type forgetful struct{ net.Conn }

func (forgetful) SetWriteDeadline(time.Time) error { return nil }

func (forgetful) Write(data []byte) (int, error) { return len(data), nil }

// TestBorderIsCheap takes messages without making garbage of them.
func TestBorderIsCheap(t *testing.T) {
	body := strings.Repeat("x", 5000)
	for _, subject := range []string{farmSubjects.Block("b"), farmSubjects.Admin("b")} {
		said := fmt.Sprintf("RMSG $G %s + _INBOX.a.b q %d\r\n%s\r\nPING\r\nRS+ $G %s\r\n", subject, len(body), body, subject)
		b := newBorder(newCrossing("dev-1a2b3c4d"), forgetful{}, &endless{text: said})
		if n := testing.AllocsPerRun(3000, func() {
			if err := b.line(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a line, want none", subject, n)
		}
	}
}
