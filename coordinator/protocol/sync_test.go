package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/hashing"
)

// TestSyncReplies pins the bytes of the raw replies, both ways.
func TestSyncReplies(t *testing.T) {
	header := strings.Repeat("00", 79) + "07"
	for _, tt := range []struct {
		name    string
		from    uint32
		headers []hashing.Header
		want    string
	}{
		{"no headers", 9, nil, "48 00000009"},
		{"two headers", 0x01020304, []hashing.Header{{79: 7}, {79: 7}}, "48 01020304" + header + header},
	} {
		data := EncodeHeaders(tt.from, tt.headers)
		if want := unhex(t, tt.want); !bytes.Equal(data, want) {
			t.Errorf("%s: %x, want %x", tt.name, data, want)
		}
		from, headers, err := DecodeHeaders(data)
		if from != tt.from || len(headers) != len(tt.headers) || len(headers) > 0 && !reflect.DeepEqual(headers, tt.headers) || err != nil {
			t.Errorf("%s: read %d, %v, %v", tt.name, from, headers, err)
		}
	}
	for _, tt := range []struct {
		name   string
		pieces []Piece
		want   string
	}{
		{"a block that is not there", []Piece{{Index: 0}}, "42 00 00000000 00000000 00000000"},
		{"the rest of one, a gap, and the beginning of another", []Piece{
			{Index: 0, Size: 0x102, Offset: 0x100, Data: []byte{1, 2}}, {Index: 1}, {Index: 63, Size: 4_000_000, Data: []byte{3}},
		}, "42 00 00000102 00000100 00000002 0102 01 00000000 00000000 00000000 3f 003d0900 00000000 00000001 03"},
	} {
		data := EncodePieces(tt.pieces)
		if want := unhex(t, tt.want); !bytes.Equal(data, want) {
			t.Errorf("%s: %x, want %x", tt.name, data, want)
		}
		if got, err := DecodePieces(data); !reflect.DeepEqual(got, tt.pieces) || err != nil {
			t.Errorf("%s: read %+v, %v", tt.name, got, err)
		}
	}
	if n := len(EncodeHeaders(1, make([]hashing.Header, MaxSyncHeaders))); n > MaxMessage {
		t.Errorf("%d headers are %d bytes, at most %d", MaxSyncHeaders, n, MaxMessage)
	}
}

// TestSyncRepliesRefused reads what no coordinator writes.
func TestSyncRepliesRefused(t *testing.T) {
	headers := func(data []byte) error { _, _, err := DecodeHeaders(data); return err }
	pieces := func(data []byte) error { _, err := DecodePieces(data); return err }
	piece := func(index byte, size, offset, length uint32, data string) string {
		b := []byte{index}
		for _, n := range []uint32{size, offset, length} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return string(b) + data
	}
	many := func(n int) string { return "H\x00\x00\x00\x01" + strings.Repeat("x", 80*n) }
	for _, tt := range []struct {
		name   string
		decode func([]byte) error
		data   string
		want   string // the error; empty: none
	}{
		{"200 headers", headers, many(200), ""},
		{"201 headers", headers, many(201), "malformed message: 201 headers, at most 200"},
		{"nothing", headers, "", "malformed message: does not begin with 'H'"},
		{"blocks for headers", headers, "B\x00\x00\x00\x01", "malformed message: does not begin with 'H'"},
		{"a short height", headers, "H\x00\x00\x01", "malformed message: headers in 4 bytes"},
		{"a byte too many", headers, many(1) + "x", "malformed message: headers in 86 bytes"},
		{"genesis", headers, "H\x00\x00\x00\x00", "malformed message: 0 headers from height 0 on"},
		{"heights beyond 32 bits", headers, "H\xff\xff\xff\xff" + strings.Repeat("x", 80), "malformed message: 1 headers from height 4294967295 on"},
		{"headers in too many bytes", headers, many(MaxMessage/80 + 1), "message too large: 16405 bytes, at most 16384"},

		{"a whole block", pieces, "B" + piece(0, 2, 0, 2, "ab"), ""},
		{"the largest block's last byte", pieces, "B" + piece(0, 4_000_000, 3_999_999, 1, "a"), ""},
		{"no piece", pieces, "B", "malformed message: no piece"},
		{"headers for blocks", pieces, "H", "malformed message: does not begin with 'B'"},
		{"no bytes", pieces, "", "malformed message: does not begin with 'B'"},
		{"a short head", pieces, "B" + piece(0, 0, 0, 0, "")[:12], "malformed message: 12 bytes after the last piece"},
		{"a piece twice", pieces, "B" + piece(1, 0, 0, 0, "") + piece(1, 0, 0, 0, ""), "malformed message: piece of block 1 after that of 1"},
		{"pieces in another order", pieces, "B" + piece(2, 0, 0, 0, "") + piece(1, 0, 0, 0, ""), "malformed message: piece of block 1 after that of 2"},
		{"a block that nobody can ask for", pieces, "B" + piece(64, 0, 0, 0, ""), "malformed message: piece of block 64 after that of -1"},
		{"a block too large", pieces, "B" + piece(0, 4_000_001, 0, 1, "a"), "malformed message: block of 4000001 bytes, at most 4000000"},
		{"beyond the block", pieces, "B" + piece(0, 2, 1, 2, "ab"), "malformed message: 2 bytes from 1 on of a block of 2"},
		{"beyond the block, by an overflow", pieces, "B" + piece(0, 2, 0xffffffff, 2, "ab"), "malformed message: 2 bytes from 4294967295 on of a block of 2"},
		{"bytes of no block", pieces, "B" + piece(0, 0, 0, 1, "a"), "malformed message: 1 bytes from 0 on of a block of 0"},
		{"an offset of no block", pieces, "B" + piece(0, 0, 1, 0, ""), "malformed message: 0 bytes from 1 on of a block of 0"},
		{"no bytes of a block", pieces, "B" + piece(0, 2, 1, 0, ""), "malformed message: no bytes of a block of 2"},
		{"bytes that are not there", pieces, "B" + piece(0, 2, 0, 2, "a"), "malformed message: piece of 2 bytes, 1 are left"},
		{"pieces in too many bytes", pieces, "B" + piece(0, 20_000, 0, 16_371, strings.Repeat("a", 16_371)), "message too large: 16385 bytes, at most 16384"},
	} {
		err := tt.decode([]byte(tt.data))
		if got := textOf(err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if code := CodeOf(err); err != nil && code != Malformed && code != Oversized {
			t.Errorf("%s: code %v", tt.name, code)
		}
	}
}

// FuzzSyncReplies reads any bytes as both raw replies; what is read is written as it
// was.
func FuzzSyncReplies(f *testing.F) {
	f.Add(EncodeHeaders(7, make([]hashing.Header, 3)))
	f.Add(EncodePieces([]Piece{{Index: 0, Size: 9, Offset: 7, Data: []byte{1, 2}}, {Index: 1}, {Index: 9, Size: 3, Data: []byte{1, 2, 3}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if from, headers, err := DecodeHeaders(data); err == nil {
			if got := EncodeHeaders(from, headers); !bytes.Equal(got, data) {
				t.Fatalf("%x is written again as %x", data, got)
			}
		}
		pieces, err := DecodePieces(data)
		if err != nil {
			return
		}
		if got := EncodePieces(pieces); !bytes.Equal(got, data) {
			t.Fatalf("%x is written again as %x", data, got)
		}
		for _, p := range pieces {
			if p.Size > 0 && len(p.Data) == 0 || int(p.Offset)+len(p.Data) > int(p.Size) {
				t.Fatalf("piece %+v of %x", p, data)
			}
		}
	})
}

// TestOpenRaw opens what was signed to that very request, and nothing else.
func TestOpenRaw(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	request, other := &nats.Msg{Data: []byte("1")}, &nats.Msg{Data: []byte("2")}
	for _, tt := range []struct {
		name  string
		to    Class
		data  string
		want  error
		error string
	}{
		{"headers", ReplyTo(request), "H\x00\x00\x00\x01", nil, ""},
		{"nothing", ReplyTo(request), "", nil, ""},
		{"to another request", ReplyTo(other), "H\x00\x00\x00\x01", ErrSignature, ErrSignature.Error()},
		{"to all", ToAll, "H\x00\x00\x00\x01", ErrSignature, ErrSignature.Error()},
		{"a refusal", ReplyTo(request), `{"kind":"blocks","id":"0000000000000001","code":404}`, NotFound, "not found"},
		{"a refusal that says why", ReplyTo(request), `{"code":101,"detail":"a\nb"}`, Oversized, `message too large: "a\nb"`},
		{"a refusal that is none", ReplyTo(request), `{"code":0}`, Malformed, "malformed message: neither headers nor blocks nor a refusal"},
		{"a broken refusal", ReplyTo(request), `{"code":`, Malformed, "malformed message: unexpected end of JSON input"},
	} {
		reply := &nats.Msg{Data: []byte(tt.data), Header: nats.Header{SignatureHeader: {signer.Sign(tt.to, []byte(tt.data))}}}
		got, err := OpenRaw(public, request, reply)
		if !errors.Is(err, tt.want) || textOf(err) != tt.error {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.error)
		}
		if err == nil && string(got) != tt.data {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.data)
		}
	}
}

// TestPingOfTheMoment reads what discovery tells besides who answers: what makes no
// sense is as if it were not told.
func TestPingOfTheMoment(t *testing.T) {
	who := Found{Network: "dev-1a2b3c4d", Name: "alpha", Key: pingKey}
	tip, work := strings.Repeat("0", 63)+"9", strings.Repeat("0", 62)+"ff"
	with := func(change func(*Found)) Found { f := who; change(&f); return f }
	for _, tt := range []struct {
		name, key, value string
		want             Found
	}{
		{"nothing", "x", "y", who},
		{"a version", MetaVersion, "v1.2.3", with(func(f *Found) { f.Version = "v1.2.3" })},
		{"a long version", MetaVersion, strings.Repeat("v", 65), who},
		{"a version that a terminal obeys", MetaVersion, "v\x1b[2J", who},
		{"a height", MetaHeight, "4294967295", with(func(f *Found) { f.Height = 4294967295 })},
		{"a height beyond 32 bits", MetaHeight, "4294967296", who},
		{"a negative height", MetaHeight, "-1", who},
		{"a tip", MetaTip, tip, with(func(f *Found) { f.Tip = hashing.Hash{0: 9} })},
		{"a short tip", MetaTip, tip[1:], who},
		{"work", MetaWork, work, with(func(f *Found) { f.Work = work })},
		{"long work", MetaWork, work + "0", who},
		{"work that is no number", MetaWork, strings.Repeat("g", 64), who},
		{"workers", MetaWorkers, "12", with(func(f *Found) { f.Workers = 12 })},
		{"half a worker", MetaWorkers, "0.5", who},
	} {
		ping := struct {
			Metadata map[string]string `json:"metadata"`
		}{map[string]string{MetaNetwork: who.Network, MetaName: who.Name, MetaKey: who.Key, tt.key: tt.value}}
		got, ok := ParsePing([]byte(jsonOf(t, ping)))
		if !ok || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, ok, tt.want)
		}
		if got.Identity() != who {
			t.Errorf("%s: identity %+v, want %+v", tt.name, got.Identity(), who)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
