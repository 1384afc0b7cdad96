//go:build linux

package farm

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// floodMemory is what headers without end may cost a coordinator.
const floodMemory = 64 << 20

// TestHeaderFlood has a liar claim all the work in the world and give headers of next
// to none, a million in the long form, to a coordinator whose chain has more work than
// they have. They cost it neither its memory nor its chain, and the liar is ignored.
func TestHeaderFlood(t *testing.T) {
	n := count(300_000, 1_000_000)
	f := newFarm(t)
	f.natsServer(t)
	network, params := f.network(t, "flood", "--spacing", "60s", "--half-life", "600s", "--hashes", "2", "--time", "2022-01-01T00:00:00Z")
	made := newSmithy(t, params)
	tip := made.grow(params.Genesis.Hash(), 190, 0) // twice as hard every ten blocks
	dir := filepath.Join(f.home, "alpha")
	f.imported(t, network, dir, made.write(tip))
	alpha := start(t, "alpha", f.command("coordinator", "--name", "alpha", "--nats", f.url, "--network", network, "--data-dir", dir))
	eventually(t, patience, "alpha answers", func() bool { return f.statusOn(t, params.ID(), "alpha") != nil })
	before := alpha.usage(t) // what it costs without a liar

	l := &liar{}
	l.endless(params, uint32(n), 60*time.Second)
	l.start(t, f, params)
	began := time.Now()
	alpha.says(t, 3*time.Minute, noHelp, liarName, "less work than it claims")
	took, after := time.Since(began), alpha.usage(t)
	given := l.times(protocol.KindHeaders) * protocol.MaxSyncHeaders
	t.Logf("%d headers in %v: peak memory %s before, %s after; %v of processor time", given, took.Round(time.Millisecond), mib(before.peak), mib(after.peak), after.cpu-before.cpu)
	if given < n {
		t.Errorf("%d headers were asked for, want the %d that were claimed", given, n)
	}
	if grown := after.peak - before.peak; grown > floodMemory {
		t.Errorf("they cost %s, want at most %s", mib(grown), mib(floodMemory))
	}
	if l.times(protocol.KindBlocks) > 0 {
		t.Error("the liar was asked for blocks")
	}
	if st := f.statusOn(t, params.ID(), "alpha"); st == nil || st.Tip != tip {
		t.Errorf("alpha's status is %+v, want tip %s", st, tip)
	}
	if soaking() {
		f.joinsBeside(t, l, network, params, tip)
	}
	alpha.interrupt(t)
}

// joinsBeside starts a coordinator that has nothing beside a liar: to it every header is
// worth something, so that it goes after the blocks, in vain, and then has the chain
// that there is.
func (f *farm) joinsBeside(t *testing.T, l *liar, network string, params *chain.Params, tip hashing.Hash) {
	t.Helper()
	late := start(t, "beta", f.command("coordinator", "--name", "beta", "--nats", f.url, "--network", network, "--data-dir", filepath.Join(f.home, "beta")))
	eventually(t, time.Minute, "beta has alpha's chain", func() bool {
		st := f.statusOn(t, params.ID(), "beta")
		return st != nil && st.Tip == tip
	})
	if l.times(protocol.KindBlocks) == 0 {
		t.Error("beta never asked the liar for blocks")
	}
	late.says(t, patience, noHelp, liarName, "nobody gives the blocks")
	late.interrupt(t)
}
