package peers

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// FuzzGot answers requests as the data says: rightly, not at all, or with any pieces.
// Whatever they are, what is held is bounded and counted, what is given out is what
// was asked for, in order, and an honest peer ends the download.
func FuzzGot(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 2, 3, 0, 4, 0, 5, 6})
	f.Add([]byte{7, 1, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 100, 7, 2, 0, 0, 15, 66, 64, 0, 0, 0, 0, 255})
	sizes := []int{81, 300, 20_000, 100, 60_000, 100, 100, 1000, 40_000, 90}
	f.Fuzz(func(t *testing.T, data []byte) {
		farm := newFarm(sizes...)
		farm.ahead = 64 << 10
		farm.Claimed("b")
		read := func(n int) uint32 {
			var word [4]byte
			copy(word[4-n:], data)
			data = data[min(n, len(data)):]
			return binary.BigEndian.Uint32(word[:])
		}
		now, given := epoch, 0
		var flying []Request
		check := func() {
			if held := heldBy(farm.Download); held != farm.held || held > farm.ahead+heldBeyond {
				t.Fatalf("%d bytes are held, said to be %d, at most %d", held, farm.held, farm.ahead+heldBeyond)
			}
			for _, block := range farm.Ready() {
				if hashing.Sum256d(block[:hashing.HeaderSize]) != farm.hashes[given] || len(block) > chain.MaxBlockSize {
					t.Fatalf("block %d is not what was asked for", given)
				}
				given++
			}
		}
		for len(data) > 0 {
			now = now.Add(time.Duration(read(1)) * 10 * time.Millisecond)
			flying = append(flying, farm.Next(now, []string{"a", "b", "c"})...)
			if len(flying) == 0 {
				continue
			}
			r := flying[0]
			flying = flying[1:]
			switch what := read(1); what % 8 {
			case 0:
				farm.Lost(now, r.ID)
			case 1:
				farm.Expire(now)
			case 2:
				if given > 0 {
					given = int(read(1)) % given
					farm.Refused(farm.hashes[given])
				}
			case 3, 4:
				farm.Got(now, r.ID, piecesOf(r, farm.block))
			case 5: // almost right
				pieces := piecesOf(r, farm.block)
				p := &pieces[int(read(1))%len(pieces)]
				p.Data = bytes.Clone(p.Data)
				p.Data[int(read(2))%len(p.Data)] ^= byte(read(1))
				p.Size += read(1)
				farm.Got(now, r.ID, pieces)
			default:
				var pieces []protocol.Piece
				for range what / 8 % 4 {
					p := protocol.Piece{Index: int(int8(read(1))), Size: read(4), Offset: read(4)}
					p.Data = make([]byte, read(2))
					pieces = append(pieces, p)
				}
				farm.Got(now, r.ID, pieces)
			}
			check()
		}
		for steps := 0; !farm.Done(); steps++ {
			if steps > 1000 {
				t.Fatalf("%d of %d blocks were given out", given, len(sizes))
			}
			now = now.Add(RequestTimeout)
			farm.Expire(now)
			for _, r := range farm.Next(now, []string{"honest"}) {
				farm.Got(now, r.ID, piecesOf(r, farm.block))
			}
			check()
		}
		if given != len(sizes) {
			t.Fatalf("%d blocks were given out, want %d", given, len(sizes))
		}
	})
}
