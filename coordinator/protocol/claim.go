package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/jbcnet/jbc/hashing"
)

// Claim is a share or a solution: a place whose hash is said to meet the target.
type Claim struct {
	Ask // KindShare or KindSolution
	Place
	Slot  uint32 `json:"slot"`
	Terms uint64 `json:"terms"` // those the slot's share target came with
	MAC   Bytes  `json:"mac"`   // see [Claim.Seal]
}

// Validate implements [Message].
func (c *Claim) Validate() error {
	if c.Kind != KindShare && c.Kind != KindSolution {
		return fmt.Errorf("kind %.40q of a claim", c.Kind)
	}
	if c.Slot >= maxSlot || len(c.MAC) > secretBytes {
		return fmt.Errorf("slot %d, mac of %d bytes", c.Slot, len(c.MAC))
	}
	return c.Place.Validate()
}

// ClaimReply answers a claim. For a solution OK and Known mean that the block is
// safely stored; Height and Hash name it.
type ClaimReply struct {
	Reply
	Hash   hashing.Hash `json:"hash"`
	Height uint32       `json:"height,omitempty"`
}

// Seal sets the claim's MAC: HMAC-SHA-256 under the slot's secret over the kind,
// then epoch, number, point, roll, slot and terms as 64-bit big-endian numbers.
func (c *Claim) Seal(secret []byte) { c.MAC = c.mac(secret) }

// Sealed says whether the claim's MAC was made with secret.
func (c *Claim) Sealed(secret []byte) bool { return hmac.Equal(c.MAC, c.mac(secret)) }

func (c *Claim) mac(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(c.Kind + "\n"))
	for _, n := range []uint64{c.Epoch, c.Number, uint64(c.Point), uint64(c.Roll), uint64(c.Slot), c.Terms} {
		var be [8]byte
		binary.BigEndian.PutUint64(be[:], n)
		mac.Write(be[:])
	}
	return mac.Sum(nil)
}
