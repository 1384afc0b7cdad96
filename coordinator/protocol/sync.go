package protocol

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/hashing"
)

// Kinds of what coordinators ask each other.
const (
	KindHeaders = "headers"
	KindBlocks  = "blocks"
)

const (
	// MaxSyncHeaders is the most headers of one reply.
	MaxSyncHeaders = 200
	// MaxSyncHashes is the most hashes of one question.
	MaxSyncHashes = MaxListed
	// MaxSyncBlock is the most bytes that a block can have.
	MaxSyncBlock = 4_000_000
	// SyncHead is how many bytes a raw reply begins with.
	SyncHead = 1
	// PieceHead is how many bytes a piece has before its own.
	PieceHead = 1 + 3*4
)

// What the raw replies begin with. A refusal is JSON and begins with '{'.
const (
	markHeaders = 'H'
	markBlocks  = 'B'
)

// SyncHeaders asks for the headers of the main chain that follow the first hash of
// Locator that is on it, from height 1 on where none is.
type SyncHeaders struct {
	Ask
	// Locator has 1 to [MaxSyncHashes] hashes, from the tip down.
	Locator list[hashing.Hash] `json:"locator"`
}

// Validate implements [Message].
func (s *SyncHeaders) Validate() error {
	if err := s.is(KindHeaders); err != nil {
		return err
	}
	return checkHashes("locator", s.Locator)
}

// SyncBlocks asks for blocks, whole, the first from Offset on. The reply holds as
// much of them, in this order, as fits in a message.
type SyncBlocks struct {
	Ask
	// Hashes are 1 to [MaxSyncHashes].
	Hashes list[hashing.Hash] `json:"hashes"`
	// Offset is how many bytes of the first block the asker has.
	Offset uint32 `json:"offset,omitempty"`
}

// Validate implements [Message].
func (s *SyncBlocks) Validate() error {
	if err := s.is(KindBlocks); err != nil {
		return err
	}
	if s.Offset >= MaxSyncBlock {
		return fmt.Errorf("offset %d, want less than %d", s.Offset, MaxSyncBlock)
	}
	return checkHashes("hashes", s.Hashes)
}

func checkHashes(what string, hashes []hashing.Hash) error {
	if len(hashes) == 0 || len(hashes) > MaxSyncHashes {
		return fmt.Errorf("%s: %d hashes, want 1 to %d", what, len(hashes), MaxSyncHashes)
	}
	return nil
}

// EncodeHeaders returns the reply to [SyncHeaders]: 'H', the height of the first,
// and at most [MaxSyncHeaders] headers.
func EncodeHeaders(from uint32, headers []hashing.Header) []byte {
	data := make([]byte, 0, SyncHead+4+len(headers)*hashing.HeaderSize)
	data = binary.BigEndian.AppendUint32(append(data, markHeaders), from)
	for i := range headers {
		data = append(data, headers[i][:]...)
	}
	return data
}

// DecodeHeaders reads what [EncodeHeaders] writes. The error is as [Decode]'s.
func DecodeHeaders(data []byte) (from uint32, headers []hashing.Header, err error) {
	body, err := unmark(data, markHeaders)
	if err != nil {
		return 0, nil, err
	}
	if len(body) < 4 || (len(body)-4)%hashing.HeaderSize != 0 {
		return 0, nil, fmt.Errorf("%w: headers in %d bytes", Malformed, len(data))
	}
	from, body = binary.BigEndian.Uint32(body), body[4:]
	n := len(body) / hashing.HeaderSize
	if n > MaxSyncHeaders {
		return 0, nil, fmt.Errorf("%w: %d headers, at most %d", Malformed, n, MaxSyncHeaders)
	}
	if from == 0 || uint64(from)+uint64(n) > math.MaxUint32 {
		return 0, nil, fmt.Errorf("%w: %d headers from height %d on", Malformed, n, from)
	}
	headers = make([]hashing.Header, n)
	for i := range headers {
		copy(headers[i][:], body[i*hashing.HeaderSize:])
	}
	return from, headers, nil
}

// Piece is a part of the block at Hashes[Index] of a question. Where the asked does
// not have that block all else is zero.
type Piece struct {
	Index  int
	Size   uint32 // of the whole block
	Offset uint32 // of Data in it
	Data   []byte
}

// EncodePieces returns the reply to [SyncBlocks]: 'B', and of each piece its index,
// the block's size, its offset and its length before its bytes. Its size is
// [SyncHead], and [PieceHead] and the bytes of each; the caller keeps that within
// [MaxMessage].
func EncodePieces(pieces []Piece) []byte {
	size := SyncHead
	for _, p := range pieces {
		size += PieceHead + len(p.Data)
	}
	data := append(make([]byte, 0, size), markBlocks)
	for _, p := range pieces {
		data = append(data, byte(p.Index))
		data = binary.BigEndian.AppendUint32(data, p.Size)
		data = binary.BigEndian.AppendUint32(data, p.Offset)
		data = binary.BigEndian.AppendUint32(data, uint32(len(p.Data)))
		data = append(data, p.Data...)
	}
	return data
}

// DecodePieces reads what [EncodePieces] writes: at least one piece, each of another
// block, in the order asked for, with bytes of its block unless the asked does not
// have it. Their Data is part of data. The error is as [Decode]'s.
func DecodePieces(data []byte) ([]Piece, error) {
	body, err := unmark(data, markBlocks)
	if err != nil {
		return nil, err
	}
	var pieces []Piece
	for last := -1; len(body) > 0; {
		if len(body) < PieceHead {
			return nil, fmt.Errorf("%w: %d bytes after the last piece", Malformed, len(body))
		}
		p := Piece{Index: int(body[0]), Size: binary.BigEndian.Uint32(body[1:]), Offset: binary.BigEndian.Uint32(body[5:])}
		length := binary.BigEndian.Uint32(body[9:])
		body = body[PieceHead:]
		switch {
		case p.Index <= last || p.Index >= MaxSyncHashes:
			return nil, fmt.Errorf("%w: piece of block %d after that of %d", Malformed, p.Index, last)
		case p.Size > MaxSyncBlock:
			return nil, fmt.Errorf("%w: block of %d bytes, at most %d", Malformed, p.Size, MaxSyncBlock)
		case uint64(p.Offset)+uint64(length) > uint64(p.Size):
			return nil, fmt.Errorf("%w: %d bytes from %d on of a block of %d", Malformed, length, p.Offset, p.Size)
		case length == 0 && p.Size > 0:
			return nil, fmt.Errorf("%w: no bytes of a block of %d", Malformed, p.Size)
		case uint64(length) > uint64(len(body)):
			return nil, fmt.Errorf("%w: piece of %d bytes, %d are left", Malformed, length, len(body))
		}
		if length > 0 {
			p.Data, body = body[:length:length], body[length:]
		}
		pieces, last = append(pieces, p), p.Index
	}
	if len(pieces) == 0 {
		return nil, fmt.Errorf("%w: no piece", Malformed)
	}
	return pieces, nil
}

// unmark returns what follows the mark of a raw reply.
func unmark(data []byte, mark byte) ([]byte, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", Oversized, len(data), MaxMessage)
	}
	if len(data) == 0 || data[0] != mark {
		return nil, fmt.Errorf("%w: does not begin with %q", Malformed, mark)
	}
	return data[SyncHead:], nil
}

// OpenRaw returns the payload of a reply to [SyncHeaders] or [SyncBlocks], which is
// to be decoded. The error is [ErrSignature] where the owner of publicKey did not
// sign it as the reply to that very request, or the [Code] of a refusal.
func OpenRaw(publicKey string, request, reply *nats.Msg) ([]byte, error) {
	if err := Verify(publicKey, ReplyTo(request), reply.Header.Get(SignatureHeader), reply.Data); err != nil {
		return nil, err
	}
	if len(reply.Data) == 0 || reply.Data[0] != '{' {
		return reply.Data, nil
	}
	var refusal Reply
	if err := Decode(reply.Data, &refusal); err != nil {
		return nil, err
	}
	if refusal.Code == OK {
		return nil, fmt.Errorf("%w: neither headers nor blocks nor a refusal", Malformed)
	}
	if refusal.Detail == "" {
		return nil, refusal.Code
	}
	return nil, fmt.Errorf("%w: %.200q", refusal.Code, refusal.Detail)
}
