package chain

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// BenchmarkAccept takes blocks on the tip, on the disk of the temporary
// directory. memory is until the next job could go out, synced until the block
// could be acknowledged.
func BenchmarkAccept(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	for _, wait := range []bool{false, true} {
		name := map[bool]string{false: "memory", true: "synced"}[wait]
		b.Run(name, func(b *testing.B) {
			st, err := store.Open(store.Options{Dir: b.TempDir(), Network: Regtest().ID()})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			c, err := Open(st, Regtest(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			var inAccept time.Duration
			n := 0
			for b.Loop() {
				block := mineOn(b, c, now)
				start := time.Now()
				a, err := c.Accept(block, now)
				if err == nil && wait {
					err = a.Wait()
				}
				inAccept += time.Since(start)
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(inAccept.Microseconds())/float64(n), "µs/block")
		})
	}
}

// BenchmarkOpen opens a chain of 20,000 blocks with the schedule of our networks.
func BenchmarkOpen(b *testing.B) {
	const blocks = 20_000
	p := Regtest()
	p.Schedule, p.Spacing, p.HalfLife = ScheduleASERT, 10*time.Second, 20*time.Minute
	fs := vfs.NewMem()
	open := func() (*Chain, *store.Store) {
		st, err := store.Open(store.Options{Dir: "d", Network: p.ID(), FS: fs})
		if err != nil {
			b.Fatal(err)
		}
		c, err := Open(st, p, Options{})
		if err != nil {
			b.Fatal(err)
		}
		return c, st
	}
	c, st := open()
	for range blocks {
		tip := c.Tip()
		now := time.Unix(int64(tip.Header.Time()), 0).Add(p.Spacing)
		if _, err := c.Accept(mineOn(b, c, now), now); err != nil {
			b.Fatal(err)
		}
	}
	st.Close()
	for b.Loop() {
		_, st := open()
		st.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blocks/1000, "µs/header")
}

func BenchmarkASERT(b *testing.B) {
	s := ASERT{Spacing: 2 * time.Second, HalfLife: 2 * time.Minute, Limit: 0x1e03ffff}
	for i := int64(0); b.Loop(); i++ {
		s.Next(s.Limit, i&1023, 600)
	}
}

func BenchmarkWorkOf(b *testing.B) {
	var h hashing.Header
	for i := uint32(0); b.Loop(); i++ {
		binary.LittleEndian.PutUint32(h[72:], 0x1b000001+i&0xffff)
		WorkOf(h.Bits())
	}
}

// BenchmarkHeaders judges headers without their blocks.
func BenchmarkHeaders(b *testing.B) {
	headers := grind(20_000)
	for b.Loop() {
		if err := Regtest().NewHeaderChain().Add(headers, time.Unix(1_700_000_000, 0)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(headers))*float64(b.N)/b.Elapsed().Seconds(), "headers/s")
}
