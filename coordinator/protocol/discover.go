package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
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
}

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
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // gone with the connection at the latest
	if err := conn.PublishRequest(PingSubject, inbox, nil); err != nil {
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
		if f, ok := ParsePing(msg.Data); ok && !seen[f] {
			seen[f] = true
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
	return f, IsNetworkID(f.Network) && CheckName(f.Name) == nil && nkeys.IsValidPublicKey(f.Key)
}
