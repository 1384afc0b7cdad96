package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/hashing"
)

// ServiceVersion is the version of this protocol as discovery tells it.
const ServiceVersion = "1.0.0"

// PingSubject is where coordinators are asked who they are.
const PingSubject = "$SRV.PING." + ServiceName

// Found is a coordinator that answered a discovery ping.
type Found struct {
	Network string // chain.Params.ID
	Name    string
	Key     string // its public nkey

	// What follows is of the moment of the answer, and zero where it was not told or
	// made no sense.
	Version string // of the program, for people: 64 bytes at most, without control characters
	Height  uint32
	Tip     hashing.Hash
	Work    string // of its chain, 64 hex digits
	Workers uint32
	Book    string // of nodes and machines: asked for again when it is another
}

// Identity returns who f is, without what changes.
func (f Found) Identity() Found { return Found{Network: f.Network, Name: f.Name, Key: f.Key} }

// On says whether f is on a network, which goes by its id or by its name: all of
// the id but the dash and the 8 digits at its end, dashes of its own included. No
// network is any.
func (f Found) On(network string) bool {
	if network == "" || network == f.Network {
		return true
	}
	dash := strings.LastIndexByte(f.Network, '-')
	return dash >= 0 && network == f.Network[:dash]
}

// Discover asks who coordinates and returns all that answer within wait, a
// coordinator that answers twice once. Nothing proves what they say: a worker
// pins the key that it meets first, or is told.
func Discover(ctx context.Context, conn *nats.Conn, wait time.Duration) ([]Found, error) {
	return DiscoverAs(ctx, conn, wait, "")
}

// DiscoverAs is [Discover] by a coordinator, which tells those that it asks its own
// name: whoever has not met it asks in turn.
func DiscoverAs(ctx context.Context, conn *nats.Conn, wait time.Duration, name string) ([]Found, error) {
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // gone with the connection at the latest
	if err := conn.PublishRequest(PingSubject, inbox, []byte(name)); err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	var found []Found
	seen := map[Found]bool{}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			return found, nil
		case err != nil:
			return found, fmt.Errorf("discover: %w", err)
		}
		if f, ok := ParsePing(msg.Data); ok && !seen[f.Identity()] {
			seen[f.Identity()] = true
			found = append(found, f)
		}
	}
}

// ParsePing reads micro's answer to a discovery ping, and says whether a
// coordinator gave it.
func ParsePing(data []byte) (Found, bool) {
	var ping struct {
		Metadata map[string]string `json:"metadata"`
	}
	if len(data) > MaxMessage || json.Unmarshal(data, &ping) != nil {
		return Found{}, false
	}
	f := Found{Network: ping.Metadata[MetaNetwork], Name: ping.Metadata[MetaName], Key: ping.Metadata[MetaKey]}
	f.readMoment(ping.Metadata)
	return f, IsNetworkID(f.Network) && CheckName(f.Name) == nil && nkeys.IsValidPublicKey(f.Key)
}

// readMoment reads what discovery tells of the moment.
func (f *Found) readMoment(metadata map[string]string) {
	if version := metadata[MetaVersion]; len(version) <= maxText && utf8.ValidString(version) && !strings.ContainsFunc(version, unicode.IsControl) {
		f.Version = version
	}
	if height, err := strconv.ParseUint(metadata[MetaHeight], 10, 32); err == nil {
		f.Height = uint32(height)
	}
	if tip, err := hashing.ParseHash(metadata[MetaTip]); err == nil {
		f.Tip = tip
	}
	if work := metadata[MetaWork]; isWork(work) {
		f.Work = work
	}
	if book := metadata[MetaBook]; len(book) <= maxText {
		f.Book = book
	}
	if workers, err := strconv.ParseUint(metadata[MetaWorkers], 10, 32); err == nil {
		f.Workers = uint32(workers)
	}
}
