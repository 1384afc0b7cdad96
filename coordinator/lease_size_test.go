package coordinator

import (
	"math"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

func TestLeasePoints(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hs    float64
		rolls int
		want  uint64
	}{
		{"nothing", 0, 16, 1},
		{"next to nothing", 1e-300, 16, 1},
		{"10 s of 1.6 kH/s", 1600, 16, 1000},
		{"10 s of 1.6 kH/s without rolling", 1600, 1, 16000},
		{"10 s of 100 MH/s", 100e6, 16, 62_500_000},
		{"just under a column", 16 * protocol.ColumnPoints / 10, 16, protocol.ColumnPoints - 1},
		{"over a column", 10e9, 16, 6_250_000_000},
		{"eight large cards without rolling", 68e9, 1, maxLeasePoints},
		{"the most that Validate lets pass", 1e18, 1, maxLeasePoints},
		{"infinite", math.Inf(1), 16, maxLeasePoints},
	} {
		if got := leasePoints(tt.hs, tt.rolls); got != tt.want {
			t.Errorf("%s: leasePoints(%g, %d) = %d, want %d", tt.name, tt.hs, tt.rolls, got, tt.want)
		}
	}
}

// TestTermsFor sizes terms for rates from nothing to the most that a worker can
// declare: whatever comes out, a worker takes it.
func TestTermsFor(t *testing.T) {
	for _, hs := range []float64{0, 1e-9, 1, minRate, 1e6, 7e9, 1e12, 1e18} {
		for _, rolls := range []int{1, 16, 64} {
			terms := termsFor(1, hs, rolls)
			reply := protocol.ProgressReply{Terms: terms}
			if err := reply.Validate(); err != nil {
				t.Errorf("termsFor(1, %g, %d): %v", hs, rolls, err)
			}
			target, err := terms.ShareBits.Target()
			if err != nil {
				t.Fatal(err)
			}
			want := max(1, hs*shareTime.Seconds())
			if got := target.Hashes(); math.Abs(got-want) > want/1000 {
				t.Errorf("termsFor(1, %g, %d): a share takes %g hashes, want %g", hs, rolls, got, want)
			}
		}
	}
}

// TestJoinRefusesRates has a rate that is no number stop at the door.
func TestJoinRefusesRates(t *testing.T) {
	for _, hs := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1.1e18} {
		join := protocol.Join{Ask: protocol.Ask{Kind: protocol.KindJoin}, Name: "w1", DeclaredHS: hs}
		if err := join.Validate(); err == nil {
			t.Errorf("a declared rate of %g passes", hs)
		}
	}
}

// TestReviseTerms gives a slot that was sized for one rate the shares of another.
func TestReviseTerms(t *testing.T) {
	const rolls = 16
	for _, tt := range []struct {
		name           string
		declared, real float64
		shares         int
		want           float64 // the rate that the terms are for afterwards
	}{
		{"too few shares to tell", 1e6, 100e6, 29, 1e6},
		{"as declared", 1e6, 1e6, 30, 1e6},
		{"a little faster", 1e6, 1.4e6, 30, 1e6},
		{"a little slower", 1e6, 0.7e6, 30, 1e6},
		{"faster", 1e6, 1.6e6, 30, 1.6e6},
		{"slower", 1e6, 0.6e6, 30, 0.6e6},
		{"hopelessly slow", 1e6, 1, 30, minRate},
		{"declared nothing", 0, 50e6, 30, 50e6},
		{"both beyond a column", 10e9, 100e9, 30, 100e9},
		{"far beyond a column, and slower", 100e9, 10e9, 30, 10e9},
	} {
		start := time.Unix(1_000_000, 0)
		s := &slot{
			worker: protocol.Join{DeclaredHS: tt.declared}, meter: newShareMeter(start),
			terms: termsFor(1, max(tt.declared, minRate), rolls),
		}
		// All shares fall into the minute that ends now; each stands for as many
		// hashes as make up the real rate.
		now := start.Add(30 * time.Second)
		for range tt.shares {
			s.meter.Add(now, tt.real*30/float64(tt.shares))
		}
		before := s.terms
		s.reviseTerms(now, rolls)
		want := termsFor(s.terms.Number, tt.want, rolls)
		changed := before.ShareBits != want.ShareBits
		if changed {
			want.Number = 2
		}
		if s.terms != want {
			t.Errorf("%s: terms %+v, want %+v", tt.name, s.terms, want)
		}
		if changed && s.previous != before {
			t.Errorf("%s: the terms before are %+v, want %+v", tt.name, s.previous, before)
		}
	}
}

// TestRedeclare has a device come to, or leave, a worker that found many shares.
func TestRedeclare(t *testing.T) {
	const rolls, before = 16, 40e6
	for _, tt := range []struct {
		name     string
		declared float64 // in the report
		want     float64 // the rate that the terms are for afterwards
	}{
		{"an older worker says nothing", 0, before},
		{"the same", before, before},
		{"a little more", 1.2 * before, before},
		{"a graphics card comes", 8e9, 8e9},
		{"most of it is gone", 1e6, 1e6},
		{"all of it is gone", 1, minRate},
	} {
		start := time.Unix(1_000_000, 0)
		s := &slot{worker: protocol.Join{DeclaredHS: before}, meter: newShareMeter(start), terms: termsFor(1, before, rolls)}
		now := start.Add(30 * time.Second)
		for range enoughShares {
			s.meter.Add(now, before*30/enoughShares)
		}
		s.redeclare(now, &protocol.Progress{DeclaredHS: tt.declared})
		s.reviseTerms(now, rolls)
		if want := termsFor(s.terms.Number, tt.want, rolls); s.terms != want {
			t.Errorf("%s: terms %+v, want %+v", tt.name, s.terms, want)
		}
	}
}

// TestTermsNumbered finds the terms that a share may name: those of now and those
// before, never none.
func TestTermsNumbered(t *testing.T) {
	s := &slot{terms: termsFor(1, 1e6, 16)}
	for n, want := range map[uint64]bool{0: false, 1: true, 2: false} {
		if _, got := s.termsNumbered(n); got != want {
			t.Errorf("at first: terms %d known %v, want %v", n, got, want)
		}
	}
	s.previous, s.terms = termsFor(1, 1e6, 16), termsFor(2, 2e6, 16)
	for n, want := range map[uint64]bool{0: false, 1: true, 2: true, 3: false} {
		if _, got := s.termsNumbered(n); got != want {
			t.Errorf("after a change: terms %d known %v, want %v", n, got, want)
		}
	}
}
