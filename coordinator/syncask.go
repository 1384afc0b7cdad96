package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// askTime is how long another coordinator may take to answer.
const askTime = 2 * time.Second

// faultError is what another coordinator did wrong.
type faultError struct {
	fault peers.Fault
	err   error
}

func (e *faultError) Error() string { return e.err.Error() }
func (e *faultError) Unwrap() error { return e.err }

func fault(f peers.Fault, format string, args ...any) error {
	return &faultError{f, fmt.Errorf(format, args...)}
}

// errLink says that a question could not be asked, which is nobody's fault: the
// connection is watched elsewhere.
var errLink = errors.New("no connection")

// askOther sends a question to another coordinator and returns its answer, which that
// one signed. An error is a faultError, errLink or ctx's.
func (c *Coordinator) askOther(ctx context.Context, to peers.Peer, question protocol.Message) ([]byte, error) {
	request, reply, err := c.requestOther(ctx, to, question)
	if err != nil {
		return nil, err
	}
	data, err := protocol.OpenRaw(to.Key, request, reply)
	var code protocol.Code
	switch {
	case errors.As(err, &code):
		return nil, fault(peers.Refused, "coordinator %s refuses: %w", to.Name, err)
	case err != nil:
		return nil, fault(peers.Rubbish, "coordinator %s: %w", to.Name, err)
	}
	return data, nil
}

// requestOther sends a question to another coordinator and returns it with its reply,
// whose signature is still to be verified.
func (c *Coordinator) requestOther(ctx context.Context, to peers.Peer, question protocol.Message) (request, reply *nats.Msg, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request = &nats.Msg{Subject: c.subjects.Sync(to.Name), Data: protocol.Encode(question)}
	reply, err = c.cfg.Conn.RequestMsgWithContext(ctx, request)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		return nil, nil, fault(peers.Silent, "coordinator %s does not answer", to.Name)
	case err != nil:
		return nil, nil, fmt.Errorf("%w: asking coordinator %s: %w", errLink, to.Name, err)
	}
	return request, reply, nil
}

// askHeaders returns headers of another's main chain, after the locator.
func (c *Coordinator) askHeaders(ctx context.Context, to peers.Peer, locator []hashing.Hash) ([]hashing.Header, error) {
	data, err := c.askOther(ctx, to, &protocol.SyncHeaders{
		Ask: protocol.Ask{Kind: protocol.KindHeaders, ID: protocol.Point(rand.Uint64())}, Locator: locator,
	})
	if err != nil {
		return nil, err
	}
	_, headers, err := protocol.DecodeHeaders(data)
	if err != nil {
		return nil, fault(peers.Rubbish, "coordinator %s: %w", to.Name, err)
	}
	return headers, nil
}

// askBlocks returns pieces of blocks.
func (c *Coordinator) askBlocks(ctx context.Context, to peers.Peer, r peers.Request) ([]protocol.Piece, error) {
	data, err := c.askOther(ctx, to, &protocol.SyncBlocks{
		Ask: protocol.Ask{Kind: protocol.KindBlocks, ID: protocol.Point(rand.Uint64())}, Hashes: r.Hashes, Offset: r.Offset,
	})
	if err != nil {
		return nil, err
	}
	pieces, err := protocol.DecodePieces(data)
	if err != nil {
		return nil, fault(peers.Rubbish, "coordinator %s: %w", to.Name, err)
	}
	return pieces, nil
}
