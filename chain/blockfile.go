package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// RecordHead is how many bytes of a block file stand before each block. A block file
// has whole blocks one after the other, as Bitcoin's nodes write them: four bytes of
// the network's magic, the block's length as four bytes little-endian, the block.
// Zeros may follow the last one.
const RecordHead = 4 + 4

// Magic returns the four bytes before every block of a block file: Bitcoin's for
// its two networks, of any other the first of the SHA-256 of [Params.ID].
func (p *Params) Magic() [4]byte {
	id := p.ID()
	switch id {
	case Bitcoin().ID():
		return [4]byte{0xf9, 0xbe, 0xb4, 0xd9}
	case Regtest().ID():
		return [4]byte{0xfa, 0xbf, 0xb5, 0xda}
	}
	sum := sha256.Sum256([]byte(id))
	return [4]byte(sum[:])
}

// networkOfMagic returns the name of a network that is known by its magic, also of
// Bitcoin's that are not built in; empty where it is not known.
func networkOfMagic(magic [4]byte) string {
	for _, p := range Networks() {
		if p.Magic() == magic {
			return p.Name
		}
	}
	return map[[4]byte]string{
		{0x0b, 0x11, 0x09, 0x07}: "testnet3",
		{0x1c, 0x16, 0x3f, 0x28}: "testnet4",
		{0x0a, 0x03, 0xcf, 0x40}: "signet",
	}[magic]
}

// WriteBlock appends an encoded block to a block file.
func (p *Params) WriteBlock(w io.Writer, raw []byte) error {
	magic := p.Magic()
	head := binary.LittleEndian.AppendUint32(magic[:], uint32(len(raw)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(raw)
	return err
}

// ReadBlocks returns the blocks of a block file, which are the caller's to keep and
// nothing is known of but their length: at most MaxBlockSize. An error ends them and
// is a [BlockFileError]. Memory is bounded by what is really there, whatever a
// length announces.
func (p *Params) ReadBlocks(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f := blockFile{r: r, magic: p.Magic(), network: p.ID()}
		for {
			raw, err := f.next()
			if errors.Is(err, errEndOfBlocks) {
				return
			}
			if err != nil {
				yield(nil, &BlockFileError{Offset: f.offset, Blocks: f.blocks, Err: err})
				return
			}
			if !yield(raw, nil) {
				return
			}
			f.offset += RecordHead + int64(len(raw))
			f.blocks++
		}
	}
}

// blockFile reads one record after the other.
type blockFile struct {
	r       io.Reader
	magic   [4]byte
	network string
	offset  int64 // of the record
	blocks  int   // before it
}

// errEndOfBlocks says that a block file ended where it may.
var errEndOfBlocks = errors.New("no more blocks")

// next reads a record. The error is errEndOfBlocks, what is wrong with the record,
// or the reader's.
func (f *blockFile) next() ([]byte, error) {
	var head [RecordHead]byte
	n, err := io.ReadFull(f.r, head[:])
	zeros := !slices.ContainsFunc(head[:min(n, len(f.magic))], func(b byte) bool { return b != 0 })
	switch {
	case errors.Is(err, io.EOF):
		return nil, errEndOfBlocks
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	case n > 0 && zeros && f.magic != [4]byte{}:
		return nil, f.padding(head[:n])
	case !bytes.Equal(head[:min(n, len(f.magic))], f.magic[:min(n, len(f.magic))]):
		return nil, f.wrongMagic(head[:min(n, len(f.magic))])
	case err != nil:
		return nil, &CutError{Have: int64(n), Want: RecordHead}
	}
	size := binary.LittleEndian.Uint32(head[4:])
	if size > MaxBlockSize {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrRecordLength, size, MaxBlockSize)
	}
	raw, n, err := readBlock(f.r, int(size))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &CutError{Have: int64(RecordHead + n), Want: RecordHead + int64(size)}
	}
	return raw, err
}

func (f *blockFile) wrongMagic(have []byte) error {
	e := &MagicError{Want: f.magic, WantNetwork: f.network}
	if copy(e.Have[:], have) == len(e.Have) {
		e.HaveNetwork = networkOfMagic(e.Have)
	}
	return e
}

// padding wants zeros up to the end.
func (f *blockFile) padding(head []byte) error {
	rest := io.MultiReader(bytes.NewReader(head), f.r)
	buf := make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := rest.Read(buf)
		for i, b := range buf[:n] {
			if b != 0 {
				return fmt.Errorf("%w: byte %d is %02x", ErrAfterPadding, f.offset+at+int64(i), b)
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return errEndOfBlocks
		case err != nil:
			return err
		}
	}
}

// readPart is how much of a block is read before memory is taken for more.
const readPart = 64 << 10

// readBlock reads size bytes. Where there are fewer it says how many.
func readBlock(r io.Reader, size int) (raw []byte, n int, err error) {
	var parts [][]byte
	for n < size {
		part := make([]byte, min(size-n, readPart))
		m, err := io.ReadFull(r, part)
		if n += m; err != nil {
			return nil, n, err
		}
		parts = append(parts, part)
	}
	if len(parts) == 1 {
		return parts[0], n, nil
	}
	return slices.Concat(parts...), n, nil
}

// A BlockFileError says where a block file ends before its end. What came before
// the record is good.
type BlockFileError struct {
	Offset int64 // of the record that could not be read, in bytes
	Blocks int   // whole ones before it
	// Err is a [CutError], a [MagicError], [ErrRecordLength], [ErrAfterPadding], or
	// the reader's.
	Err error
}

func (e *BlockFileError) Error() string {
	return fmt.Sprintf("byte %d, after %d whole blocks: %v", e.Offset, e.Blocks, e.Err)
}

// Unwrap returns what is wrong there.
func (e *BlockFileError) Unwrap() error { return e.Err }

var (
	// ErrRecordLength says that a block file announces a block that is too long.
	ErrRecordLength = errors.New("block length out of range")
	// ErrAfterPadding says that a block file goes on after zeros.
	ErrAfterPadding = errors.New("something follows the zeros after the last block")
)

// A CutError says that a block file ends in the middle of a record.
type CutError struct {
	Have int64 // bytes of the record
	Want int64 // bytes that it has, as far as that is known: its head's alone where that is cut
}

func (e *CutError) Error() string {
	return fmt.Sprintf("cut short: %d bytes are missing, there are %d of %d", e.Want-e.Have, e.Have, e.Want)
}

// A MagicError says that a record of a block file does not begin with the
// network's magic.
type MagicError struct {
	Have, Want  [4]byte
	HaveNetwork string // the network that it is of, empty where that is not known
	WantNetwork string
}

func (e *MagicError) Error() string {
	have := "of no known network"
	if e.HaveNetwork != "" {
		have = "of network " + e.HaveNetwork
	}
	return fmt.Sprintf("magic %x, %s, want %x of %s", e.Have, have, e.Want, e.WantNetwork)
}
