package bench

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

// Live measures what a worker makes of its kernel: its own count of hashes on a
// running job of a real coordinator, in turn with the bare kernel on as many
// threads. The network is Bitcoin's, so that blocks do not interrupt.
func Live(ctx context.Context, o Options) ([]Row, error) {
	threads := o.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	each := o.Time / rounds
	if each == 0 {
		each = time.Second
	}
	defer leaveRoom(threads)()
	r, err := newRig(ctx, chain.Bitcoin())
	if err != nil {
		return nil, err
	}
	defer r.close()

	k := hashing.FastestKernel(manyVersions)
	var live, bare []float64
	for round := range rounds {
		bare = append(bare, measure(ctx, kernelContender(k, manyVersions).start, threads, each)/1e6)
		mhs, err := r.liveRate(ctx, k, threads, each)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		live = append(live, mhs)
		if o.Progress != nil {
			o.Progress(float64(round+1) / rounds)
		}
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = live[i] / bare[i]
	}
	slices.Sort(live)
	slices.Sort(ratios)
	return []Row{{
		Kind: KindLive, Name: k.Name, Threads: threads, Versions: manyVersions,
		MHS: live[len(live)/2], MinMHS: live[0], MaxMHS: live[len(live)-1], OfKernel: ratios[len(ratios)/2],
	}}, nil
}

// liveRate returns the MH/s that a worker counts over a while of steady mining.
func (r *rig) liveRate(ctx context.Context, k hashing.Kernel, threads int, d time.Duration) (mhs float64, err error) {
	w, stop, err := r.mine(ctx, k, threads)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	begin, before := time.Now(), w.Stats().Hashes
	if err := pause(ctx, d); err != nil {
		return 0, err
	}
	hashes := w.Stats().Hashes - before
	return float64(hashes) / time.Since(begin).Seconds() / 1e6, nil
}
