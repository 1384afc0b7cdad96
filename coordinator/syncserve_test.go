package coordinator

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/chaintest"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// library is a coordinator with a chain of many small blocks and a large one at its
// end, and somebody who asks it as another coordinator does.
type library struct {
	*node
	conn   *nats.Conn
	blocks []*chaintest.Block // from height 1 on
	large  *chaintest.Block
}

// largeScript drops 400 elements of a witness.
var largeScript = append(bytes.Repeat([]byte{txscript.OP_2DROP}, 200), txscript.OP_TRUE)

// newLibrary starts one whose chain has 410 blocks, the last of 3 MB.
func newLibrary(t *testing.T, cfg nodeConfig) *library {
	t.Helper()
	cfg.url = startBroker(t).URL()
	l := &library{node: startNode(t, cfg)}
	params := l.chain.Params()
	build := chaintest.NewBuilder(t, params)
	hash := sha256.Sum256(largeScript)
	const coins = 15
	first := build.Next(build.Genesis, func(b *chain.Block) {
		out := wire.NewTxOut(b.Transactions[0].TxOut[0].Value/coins, append([]byte{txscript.OP_0, txscript.OP_DATA_32}, hash[:]...))
		b.Transactions[0].TxOut = slices.Repeat([]*wire.TxOut{out}, coins)
	})
	l.blocks = append([]*chaintest.Block{first}, build.Branch(first, 408)...)
	spend := &wire.MsgTx{Version: 2, TxOut: []*wire.TxOut{wire.NewTxOut(1, payScript)}}
	for i := range uint32(coins) {
		spend.TxIn = append(spend.TxIn, &wire.TxIn{
			PreviousOutPoint: wire.OutPoint{Hash: first.Transactions[0].TxHash(), Index: i},
			Witness:          append(slices.Repeat([][]byte{bytes.Repeat([]byte{byte(i)}, 520)}, 400), largeScript),
		})
	}
	l.large = build.Next(l.blocks[len(l.blocks)-1], chaintest.Includes(spend))
	l.blocks = append(l.blocks, l.large)
	if size := len(l.large.Encode()); size < 3_000_000 {
		t.Fatalf("the large block has %d bytes", size)
	}
	for _, b := range l.blocks {
		if got, err := l.chain.Accept(b.Block, time.Now()); err != nil || got.Status != chain.Extended {
			t.Fatalf("%v: %v, %v", b, got.Status, err)
		}
	}
	l.conn = dial(t, cfg.url)
	return l
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// ask sends a question and opens its reply.
func (l *library) ask(data []byte) ([]byte, error) {
	l.t.Helper()
	request := &nats.Msg{Subject: l.subjects.Sync(l.cfg.name), Data: data}
	reply, err := l.conn.RequestMsg(request, patience)
	if err != nil {
		l.t.Fatal(err)
	}
	return protocol.OpenRaw(l.PublicKey(), request, reply)
}

func (l *library) headers(locator ...hashing.Hash) (from uint32, headers []hashing.Header) {
	l.t.Helper()
	data, err := l.ask(protocol.Encode(&protocol.SyncHeaders{Ask: protocol.Ask{Kind: protocol.KindHeaders, ID: 1}, Locator: locator}))
	if err == nil {
		from, headers, err = protocol.DecodeHeaders(data)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return from, headers
}

func (l *library) pieces(offset uint32, hashes ...hashing.Hash) []protocol.Piece {
	l.t.Helper()
	data, err := l.ask(blocksQuestion(offset, hashes...))
	if err != nil {
		l.t.Fatal(err)
	}
	pieces, err := protocol.DecodePieces(data)
	if err != nil {
		l.t.Fatal(err)
	}
	return pieces
}

func blocksQuestion(offset uint32, hashes ...hashing.Hash) []byte {
	return protocol.Encode(&protocol.SyncBlocks{Ask: protocol.Ask{Kind: protocol.KindBlocks, ID: 1}, Hashes: hashes, Offset: offset})
}

// hash returns that of the block at a height.
func (l *library) hash(height int) hashing.Hash { return l.blocks[height-1].Hash() }

// TestSyncGivesEverything learns the chain as a new coordinator does: all headers by
// pages, then all blocks by their hashes, the large one in pieces.
func TestSyncGivesEverything(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	var hashes []hashing.Hash
	locator, pages := l.chain.Params().Genesis.Hash(), 0
	for ; ; pages++ {
		from, headers := l.headers(locator)
		if int(from) != len(hashes)+1 {
			t.Fatalf("page %d begins at %d, want %d", pages, from, len(hashes)+1)
		}
		if len(headers) == 0 {
			break
		}
		for i := range headers {
			hashes = append(hashes, headers[i].Hash())
		}
		locator = hashes[len(hashes)-1]
	}
	if len(hashes) != len(l.blocks) || pages != 3 {
		t.Fatalf("%d headers in %d pages, want %d in 3", len(hashes), pages, len(l.blocks))
	}
	var got []byte
	for at, replies := 0, 0; at < len(hashes); replies++ {
		if replies > 400 {
			t.Fatalf("%d replies and block %d is not whole", replies, at+1)
		}
		pieces := l.pieces(uint32(len(got)), hashes[at:min(at+64, len(hashes))]...)
		begin := at
		for _, p := range pieces {
			want := l.blocks[at].Encode()
			if begin+p.Index != at || int(p.Size) != len(want) || int(p.Offset) != len(got) {
				t.Fatalf("piece %d, %d of %d bytes, of block %d, of which %d of %d are here", p.Index, p.Offset, p.Size, at+1, len(got), len(want))
			}
			if got = append(got, p.Data...); len(got) == len(want) {
				if !bytes.Equal(got, want) {
					t.Fatalf("block %d has other bytes", at+1)
				}
				got = nil
				at++
			}
		}
	}
}

// TestSyncHeadersAfterLocators begins after the first hash of a locator that is known.
func TestSyncHeadersAfterLocators(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	nobody := hashing.Hash{1}
	for _, tt := range []struct {
		name    string
		locator []hashing.Hash
		from    uint32
		n       int
	}{
		{"the tip", []hashing.Hash{l.hash(410)}, 411, 0},
		{"one before", []hashing.Hash{l.hash(409), l.hash(1)}, 410, 1},
		{"unknown ones before", []hashing.Hash{nobody, nobody, l.hash(100)}, 101, 200},
		{"nothing that is known", []hashing.Hash{nobody}, 1, 200},
		{"as many as there may be", append(slices.Repeat([]hashing.Hash{nobody}, 63), l.hash(400)), 401, 10},
	} {
		from, headers := l.headers(tt.locator...)
		if from != tt.from || len(headers) != tt.n {
			t.Errorf("after %s: %d from %d on, want %d from %d on", tt.name, len(headers), from, tt.n, tt.from)
		}
		for i, h := range headers {
			if h.Hash() != l.hash(int(from)+i) {
				t.Errorf("after %s: another header at %d", tt.name, int(from)+i)
			}
		}
	}
}

// TestSyncBlocksThatAreNot mixes blocks that nobody has with others.
func TestSyncBlocksThatAreNot(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	nobody := hashing.Hash{1}
	size := func(height int) uint32 { return uint32(len(l.blocks[height-1].Encode())) }
	for _, tt := range []struct {
		name   string
		offset uint32
		hashes []hashing.Hash
		sizes  []uint32
	}{
		{"none", 0, []hashing.Hash{nobody}, []uint32{0}},
		{"none, from somewhere on", 77, []hashing.Hash{nobody}, []uint32{0}},
		{"some", 0, []hashing.Hash{l.hash(5), nobody, l.hash(7), nobody}, []uint32{size(5), 0, size(7), 0}},
		{"none of the first", 7, []hashing.Hash{nobody, l.hash(7)}, []uint32{0, size(7)}},
		{"none of 64", 0, slices.Repeat([]hashing.Hash{nobody}, 64), make([]uint32, 64)},
		{"another after the large one's end", size(410) - 1, []hashing.Hash{l.hash(410), l.hash(1)}, []uint32{size(410), size(1)}},
	} {
		var sizes []uint32
		for i, p := range l.pieces(tt.offset, tt.hashes...) {
			if sizes = append(sizes, p.Size); p.Index != i || p.Size > 0 && i > 0 && len(p.Data) != int(p.Size) {
				t.Errorf("%s: piece %d is %d of block %d, %d bytes of %d", tt.name, i, p.Offset, p.Index, len(p.Data), p.Size)
			}
		}
		if !slices.Equal(sizes, tt.sizes) {
			t.Errorf("%s: sizes %d, want %d", tt.name, sizes, tt.sizes)
		}
	}
}

// TestSyncRefuses what is no question, and goes on.
func TestSyncRefuses(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	small := l.hash(1)
	smallSize := uint32(len(l.blocks[0].Encode()))
	long := fmt.Sprintf(`{"kind":"blocks","id":"0000000000000001","hashes":[%q]}`, small)
	for _, tt := range []struct {
		name, data string
		want       protocol.Code
	}{
		{"nothing", "", protocol.Malformed},
		{"no JSON", "H\x00\x00\x00\x01", protocol.Malformed},
		{"an observer's question", `{"kind":"status","id":"0000000000000001"}`, protocol.UnknownKind},
		{"no locator", `{"kind":"headers","id":"0000000000000001"}`, protocol.Malformed},
		{"a short hash", `{"kind":"blocks","id":"0000000000000001","hashes":["00"]}`, protocol.Malformed},
		{"65 hashes", `{"kind":"blocks","id":"0000000000000001","hashes":[` + strings.Repeat(fmt.Sprintf("%q,", small), 64) + fmt.Sprintf("%q]}", small), protocol.Malformed},
		{"a negative offset", strings.Replace(long, `"id"`, `"offset":-1,"id"`, 1), protocol.Malformed},
		{"from the end on", string(blocksQuestion(smallSize, small)), protocol.NotFound},
		{"from beyond the end on", string(blocksQuestion(3_999_999, small)), protocol.NotFound},
		{"as much as there may be", long + strings.Repeat(" ", maxSync-len(long)), protocol.OK},
		{"a byte more", long + strings.Repeat(" ", maxSync-len(long)+1), protocol.Oversized},
	} {
		_, err := l.ask([]byte(tt.data))
		if tt.want == protocol.OK && err != nil || tt.want != protocol.OK && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestSyncAnswersInboxesOnly asks for a reply where others would take it for news.
func TestSyncAnswersInboxesOnly(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	heard, err := l.conn.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"", "elsewhere", l.subjects.Block(l.cfg.name), "_INBOXES.x"} {
		msg := &nats.Msg{Subject: l.subjects.Sync(l.cfg.name), Reply: reply, Data: blocksQuestion(0, l.hash(1))}
		if err := l.conn.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	l.pieces(0, l.hash(1)) // answered after those
	for {
		msg, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(msg.Subject, nats.InboxPrefix) {
			return
		}
		if msg.Subject != l.subjects.Sync(l.cfg.name) && msg.Header.Get(protocol.SignatureHeader) != "" && msg.Data[0] == 'B' {
			t.Errorf("pieces come to %s", msg.Subject)
		}
	}
}

// TestSyncEager asks for more than anybody has to: what is over the measure is counted
// and not answered, and somebody else is answered at once.
func TestSyncEager(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	s := &syncServer{c: l.Coordinator, pace: newSyncPace()}
	inbox, err := l.conn.SubscribeSync(l.conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const asked = 2 * burstReplies
	for range asked {
		s.hear(now, arrival{&nats.Msg{Reply: "_INBOX.eager.1", Data: blocksQuestion(0, l.hash(1))}, now})
	}
	if len(s.waiting) != syncHeld {
		t.Errorf("%d questions wait for their turn, want %d", len(s.waiting), syncHeld)
	}
	l.mu.Lock()
	limited := l.farm.refused[protocol.Limited]
	l.mu.Unlock()
	if limited < asked-burstReplies-1-syncHeld || limited >= asked-syncHeld {
		t.Errorf("%d of %d questions are not answered", limited, asked)
	}
	s.hear(now, arrival{&nats.Msg{Reply: inbox.Subject, Data: blocksQuestion(0, l.hash(1))}, now})
	if _, err := inbox.NextMsg(patience); err != nil {
		t.Errorf("the other one is not answered: %v", err)
	}
}

// TestSyncLate does not answer what has waited for too long: its asker has given up.
func TestSyncLate(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	inbox, err := l.conn.SubscribeSync(l.conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	s := &syncServer{c: l.Coordinator, pace: newSyncPace()}
	now := time.Now()
	question := func(height int) *nats.Msg {
		return &nats.Msg{Reply: inbox.Subject, Data: blocksQuestion(0, l.hash(height))}
	}
	s.hear(now, arrival{question(1), now.Add(-tooLate - 1)})
	s.waiting = syncTurns{{arrival{question(2), now.Add(-tooLate - time.Second)}, now}}
	s.takeTurns(now)
	s.hear(now, arrival{question(3), now.Add(-tooLate / 2)})
	msg, err := inbox.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if pieces, err := protocol.DecodePieces(msg.Data); err != nil || !bytes.Equal(pieces[0].Data, l.blocks[2].Encode()) {
		t.Errorf("the first answer is %x, %v, want block 3", msg.Data, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.farm.refused[protocol.Busy]; got != 2 {
		t.Errorf("%d are counted as late, want 2", got)
	}
}

// TestPiecesFillReplies checks the sizes at the edges.
func TestPiecesFillReplies(t *testing.T) {
	const whole = syncFull - protocol.SyncHead - protocol.PieceHead // of one block
	for _, tt := range []struct {
		name   string
		offset uint32
		sizes  []int
		want   []int // bytes of each piece
	}{
		{"one that just fits", 0, []int{whole}, []int{whole}},
		{"one byte too many", 0, []int{whole + 1}, []int{whole}},
		{"its last byte", whole, []int{whole + 1}, []int{1}},
		{"the largest", 0, []int{protocol.MaxSyncBlock}, []int{whole}},
		{"the largest, its end", protocol.MaxSyncBlock - 1, []int{protocol.MaxSyncBlock, 5}, []int{1, 5}},
		{"room for no more than a head", 0, []int{whole - protocol.PieceHead, 5}, []int{whole - protocol.PieceHead}},
		{"room for a byte of the next", 0, []int{whole - protocol.PieceHead - 1, 5}, []int{whole - protocol.PieceHead - 1, 1}},
		{"many small ones", 0, slices.Repeat([]int{200}, 64), slices.Repeat([]int{200}, 64)},
		{"many that do not all fit", 0, slices.Repeat([]int{1000}, 64), append(slices.Repeat([]int{1000}, 16), whole-16*(1000+protocol.PieceHead))},
	} {
		hashes, read := make([]hashing.Hash, len(tt.sizes)), 0
		pieces, err := piecesOf(hashes, tt.offset, func(hashing.Hash) ([]byte, error) {
			read++
			return make([]byte, tt.sizes[read-1]), nil
		})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []int
		for _, p := range pieces {
			got = append(got, len(p.Data))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		if read != len(got) {
			t.Errorf("%s: %d blocks are read for %d pieces", tt.name, read, len(got))
		}
		data := protocol.EncodePieces(pieces)
		if len(data) > syncFull {
			t.Errorf("%s: %d bytes, at most %d", tt.name, len(data), syncFull)
		}
		if _, err := protocol.DecodePieces(data); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestBlocksAreKept while they are sent in part, and not more than there is room for.
func TestBlocksAreKept(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	s := &syncServer{c: l.Coordinator, pace: newSyncPace()}
	ask := func(offset uint32) {
		t.Helper()
		if _, err := s.reply(&nats.Msg{Reply: "_INBOX.x", Data: blocksQuestion(offset, l.large.Hash(), l.hash(1))}); err != nil {
			t.Fatal(err)
		}
	}
	size := len(l.large.Encode())
	ask(0)
	if len(s.kept.blocks) != 1 || s.kept.size != size {
		t.Errorf("after the first piece %d bytes are kept, want %d", s.kept.size, size)
	}
	ask(uint32(size) - 1)
	if len(s.kept.blocks) != 0 || s.kept.size != 0 {
		t.Errorf("after the last piece %d bytes are kept, want none", s.kept.size)
	}
	k := &keptBlocks{}
	for i := range 100 {
		k.add(hashing.Hash{byte(i)}, make([]byte, 1<<20))
		k.get(hashing.Hash{0}) // used all the time
	}
	if k.size != syncKept || len(k.blocks) != syncKept>>20 || k.get(hashing.Hash{0}) == nil || k.get(hashing.Hash{99}) == nil || k.get(hashing.Hash{50}) != nil {
		t.Errorf("%d blocks of %d bytes are kept, not those used last", len(k.blocks), k.size)
	}
}

// TestSyncTurnsAreBounded has as many questions wait for their turn as may: one more is
// not answered, and takes none of its asker's turns.
func TestSyncTurnsAreBounded(t *testing.T) {
	l := newLibrary(t, nodeConfig{})
	s := &syncServer{c: l.Coordinator, pace: newSyncPace(), waiting: make(syncTurns, syncSize-1)}
	now := time.Now()
	s.pace.Admit(now, "x")
	s.pace.Read("x", syncReadShare*syncBurst)
	for range 3 {
		s.hear(now, arrival{&nats.Msg{Reply: "_INBOX.x.y", Data: blocksQuestion(0, l.hash(1))}, now})
	}
	if held := s.pace.askers["x"].held; len(s.waiting) != syncSize || held != 1 {
		t.Errorf("%d wait, %d of the asker, want %d and 1", len(s.waiting), held, syncSize)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.farm.refused[protocol.Limited]; got != 2 {
		t.Errorf("%d are counted as over the limits, want 2", got)
	}
}
