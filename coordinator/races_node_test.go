package coordinator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/coordinator/peers"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestRaceIsCounted has the worker of one coordinator find blocks before the other
// coordinator's eyes: both say what that was to them, and whom they know.
func TestRaceIsCounted(t *testing.T) {
	url := startBroker(t).URL()
	alpha := startNode(t, nodeConfig{url: url, name: "alpha"})
	beta := startNode(t, nodeConfig{url: url, name: "beta"})
	met(t, alpha, beta)
	startLiar(t, url, 10)
	finder, idler := newHand(alpha, url, "w1"), newHand(beta, url, "w2")
	finder.work()
	idler.join()
	beta.current(t)
	var st *protocol.Status
	blocks := uint64(0)
	// A block that is there before its solution was heard is not followed.
	for followed := uint64(0); followed < 10; blocks++ {
		if blocks == 14 {
			t.Fatalf("of %d solutions %d were followed", blocks, followed)
		}
		job := alpha.current(t)
		solved := finder.solvedOf(job, finder.solve(job))
		finder.announce(solved)
		agreeOn(t, solved.Header.Hash(), alpha, beta)
		until(t, "it is taken", func() bool { st = idler.status(); return st.Race.Taken > blocks })
		followed = st.Race.Followed.Count
	}
	job := alpha.current(t)
	late := finder.solveFrom(job, 0)
	first := finder.solveFrom(job, late.Point.Nonce()+1)
	finder.bring(first)
	finder.bring(late)

	until(t, "the last block is there too", func() bool { st = idler.status(); return st.Race.Taken == blocks+1 })
	if st.Blocks != 0 || st.Stale != 0 || st.StaleRate() != 0 || st.Race.Taken != blocks+1 || st.Race.Reorgs != 0 {
		t.Errorf("the other has %d blocks, %d stale, %+v", st.Blocks, st.Stale, st.Race)
	}
	if f := st.Race.Followed; f.Count != 10 || f.Median <= 0 || f.P99 < f.Median || st.Race.LostMS < f.Median {
		t.Errorf("of %d solutions heard: %+v", blocks, st.Race)
	}
	if rate := st.Race.LostHashes / st.Race.LostMS * 1000; rate < 0.99e6 || rate > 1.01e6 {
		t.Errorf("lost %v ms and %v hashes: %v H/s, declared 1e6", st.Race.LostMS, st.Race.LostHashes, rate)
	}
	own := finder.status()
	if own.Blocks != blocks+1 || own.Stale != 1 || own.StaleRate() != 1/float64(blocks+2) || own.Race.Taken != 0 || own.Race.Followed.Count != 0 || own.Race.LostMS <= 0 {
		t.Errorf("the finder's has %d blocks, %d stale, rate %v, %+v", own.Blocks, own.Stale, own.StaleRate(), own.Race)
	}

	until(t, "the liar is ignored", func() bool {
		st = idler.status()
		return len(st.Others) == 2 && st.Others[1].Name == "liar" && st.Others[1].UntilMS > time.Now().UnixMilli()
	})
	if o := st.Others[1]; o.Times != 1 || len(o.Faults) == 0 || st.Known != 2 {
		t.Errorf("of the liar it knows %+v; %d in all", o, st.Known)
	}
	until(t, "it knows of the other's last block", func() bool {
		block := finder.bring(finder.solve(alpha.current(t)))
		agreeOn(t, block.Hash, alpha, beta)
		st = idler.status()
		return st.Others[0].Height == block.Height && st.Others[0].Chainwork == st.Chainwork
	})
	if o := st.Others[0]; o.Name != "alpha" || o.Key != alpha.PublicKey() || o.UntilMS != 0 || o.Score != 0 || o.HeardMS > patience.Milliseconds() {
		t.Errorf("of alpha it knows %+v", o)
	}
}

// hostileOthers are as many as a table holds, each with the longest of everything.
func hostileOthers() []protocol.OtherStatus {
	var known []peers.PeerStatus
	for i := range 512 {
		p := peers.PeerStatus{
			Peer:  peers.Peer{Name: fmt.Sprintf("%032d", i), Key: strings.Repeat("U", 56), Tip: peers.Tip{Height: 1 << 31}},
			Heard: testStart.Add(-time.Hour), Score: 9.876543210987654, Ignored: testStart, Times: 1 << 62, Faults: map[peers.Fault]uint64{},
		}
		for f := peers.Silent; f <= peers.Endless; f++ {
			p.Faults[f] = 1 << 63
		}
		known = append(known, p)
	}
	return othersStatus(testStart, known)
}
