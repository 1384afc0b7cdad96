//go:build linux

package farm

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// liarName is what every liar calls itself.
const liarName = "liar"

// liar speaks as a coordinator does, with a key of its own, and lies.
type liar struct {
	height uint32
	tip    hashing.Hash
	work   string // 64 hex digits

	// headers answers a locator.
	headers func(locator []hashing.Hash) (from uint32, headers []hashing.Header)
	// block answers for one block, nil that it is not there. Where block is nil no
	// question for blocks is answered.
	block func(hash hashing.Hash) []byte

	t      *testing.T
	conn   *nats.Conn
	key    string
	signer *protocol.Signer
	params *chain.Params

	mu    sync.Mutex
	asked map[string]int // questions, by kind
}

// mostWork is the most work that can be claimed.
var mostWork = strings.Repeat("f", 64)

// start has the liar answer on the farm's server.
func (l *liar) start(t *testing.T, f *farm, params *chain.Params) *liar {
	t.Helper()
	l.t, l.params, l.asked = t, params, map[string]int{}
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if l.key, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if l.signer, err = protocol.NewSigner(pair); err != nil {
		t.Fatal(err)
	}
	if l.conn, err = nats.Connect(f.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.conn.Close)
	subjects := protocol.NewSubjects(params.ID())
	for subject, hear := range map[string]nats.MsgHandler{protocol.PingSubject: l.here, subjects.Sync(liarName): l.answer} {
		if _, err := l.conn.Subscribe(subject, hear); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return l
}

// here answers discovery.
func (l *liar) here(msg *nats.Msg) {
	answer, err := json.Marshal(map[string]any{"metadata": map[string]string{
		protocol.MetaNetwork: l.params.ID(), protocol.MetaName: liarName, protocol.MetaKey: l.key,
		protocol.MetaHeight: fmt.Sprint(l.height), protocol.MetaTip: l.tip.String(), protocol.MetaWork: l.work,
	}})
	if err != nil {
		l.t.Error(err)
	}
	_ = msg.Respond(answer) // who asked may be gone
}

// answer answers what a coordinator asks.
func (l *liar) answer(msg *nats.Msg) {
	kind, err := protocol.KindOf(msg.Data)
	if err != nil {
		l.t.Errorf("asked %q: %v", msg.Data, err)
	}
	l.mu.Lock()
	l.asked[kind]++
	l.mu.Unlock()
	switch kind {
	case protocol.KindHeaders:
		var ask protocol.SyncHeaders
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			l.t.Error(err)
		}
		l.reply(msg, protocol.EncodeHeaders(l.headers(ask.Locator)))
	case protocol.KindBlocks:
		var ask protocol.SyncBlocks
		if err := protocol.Decode(msg.Data, &ask); err != nil {
			l.t.Error(err)
		}
		if l.block != nil {
			l.reply(msg, protocol.EncodePieces(l.pieces(&ask)))
		}
	}
}

// pieces answers with as many blocks as a message holds.
func (l *liar) pieces(ask *protocol.SyncBlocks) (pieces []protocol.Piece) {
	room := protocol.MaxMessage - protocol.SyncHead
	for i, hash := range ask.Hashes {
		raw := l.block(hash)
		if room -= protocol.PieceHead + len(raw); room < 0 {
			break
		}
		pieces = append(pieces, protocol.Piece{Index: i, Size: uint32(len(raw)), Data: raw})
	}
	return pieces
}

func (l *liar) reply(to *nats.Msg, data []byte) {
	reply := &nats.Msg{Subject: to.Reply, Data: data, Header: nats.Header{}}
	reply.Header.Set(protocol.SignatureHeader, l.signer.Sign(protocol.ReplyTo(to), data))
	_ = l.conn.PublishMsg(reply) // who asked may be gone
}

// times returns how often the liar was asked for something.
func (l *liar) times(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[kind]
}

// claims has the liar claim the main chain of s, and give its headers.
func (l *liar) claims(s *smithy) {
	tip := s.Tip()
	l.height, l.tip, l.work = tip.Height, tip.Hash, tip.Work.String()
	l.headers = func(locator []hashing.Hash) (uint32, []hashing.Header) {
		return s.HeadersAfter(locator, protocol.MaxSyncHeaders)
	}
}

// endless has the liar claim all the work in the world at a height, and give headers
// on genesis for ever, each with the least work there can be.
func (l *liar) endless(params *chain.Params, height uint32, spacing time.Duration) {
	l.height, l.tip, l.work = height, hashing.Hash{1}, mostWork
	target, _ := params.PowLimit.Target()
	genesis := params.Genesis.Header
	last, at := genesis, uint32(0) // the last header given, and its height
	l.headers = func(locator []hashing.Hash) (uint32, []hashing.Header) {
		if locator[0] != last.Hash() { // from the start, where they are the same again
			last, at = genesis, 0
		}
		from, headers := at+1, make([]hashing.Header, protocol.MaxSyncHeaders)
		for i := range headers {
			h := &headers[i]
			h.SetVersion(0x20000000)
			h.SetPrev(last.Hash())
			h.SetTime(last.Time() + uint32(spacing.Seconds()))
			h.SetBits(params.PowLimit)
			for !target.MetBy(h.Hash()) {
				h.SetNonce(h.Nonce() + 1)
			}
			last = *h
		}
		at += uint32(len(headers))
		return from, headers
	}
}
