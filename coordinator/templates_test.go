package coordinator

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// testStart is when histories begin.
var testStart = time.Unix(1_700_000_000, 0)

// templates makes templates on parents that exist by name only: real ones of
// regtest's genesis, with another parent and other bits. What decides about work
// looks no further.
type templates struct {
	t     *testing.T
	chain *chain.Chain
	made  uint64
}

func newTemplates(t *testing.T) *templates {
	t.Helper()
	params := chain.Regtest()
	st, err := store.Open(store.Options{Dir: "chain", Network: params.ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	ch, err := chain.Open(st, params, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &templates{t: t, chain: ch}
}

// On returns a template whose block takes that many hashes on average.
func (m *templates) On(parent string, hashes float64, now time.Time) chain.Template {
	m.t.Helper()
	m.made++
	var tag [8]byte
	binary.BigEndian.PutUint64(tag[:], m.made) // as random as a test can bear
	template, err := m.chain.Template(now, chain.TemplateOptions{PayScript: []byte{0x51}, Miner: "alpha", Tag: tag})
	if err != nil {
		m.t.Fatal(err)
	}
	template.Prev, template.Bits = parentHash(parent), hashing.TargetForHashes(hashes).Bits()
	return template
}

func parentHash(name string) hashing.Hash { return sha256.Sum256([]byte(name)) }

// find returns the first place from a point on, in its column, whose hash meets
// target and does not meet the harder one.
func find(t *testing.T, j *protocol.Job, from protocol.Point, target, harder hashing.Target) protocol.Place {
	t.Helper()
	const step = 1 << 6
	s := j.Search(from.Column(), target)
	hits := make([]hashing.Hit, step*j.Rolls)
	kernel := hashing.BestKernel()
	for first := from.Nonce(); ; first += step {
		_, found := kernel.Scan(&s, first, step, hits)
		var best *protocol.Place
		for _, hit := range hits[:found] {
			p := protocol.Place{JobID: j.JobID, Point: from&^(protocol.ColumnPoints-1) | protocol.Point(hit.Nonce), Roll: hit.Version}
			header := j.Header(p.Point, p.Roll)
			if harder.MetBy(header.Hash()) {
				continue
			}
			if best == nil || p.Point < best.Point || p.Point == best.Point && p.Roll < best.Roll {
				best = &p
			}
		}
		if best != nil {
			return *best
		}
		if first > first+step {
			t.Fatalf("nothing in column %d", from.Column())
		}
	}
}

// signed is a worker in histories: a request under the MAC of its secret.
func signed(worker string) sender {
	return sender{worker: worker, sealed: func(secret []byte) bool { return bytes.Equal(secret, secretOf(worker)) }}
}

// forged is somebody who speaks in a worker's name without its secret.
func forged(worker string) sender {
	return sender{worker: worker, sealed: func([]byte) bool { return false }}
}

// agreedWith is what comes of a worker's exchange in histories.
func agreedWith(worker string) agreed {
	return agreed{secret: secretOf(worker), exchange: make(protocol.Bytes, 32)}
}

// secretOf is the secret of a worker in histories.
func secretOf(worker string) []byte {
	secret := sha256.Sum256([]byte("secret of " + worker))
	return secret[:]
}
