package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// askers is how many workers ask for leases at once.
const askers = 32

// Leases measures how many leases a second one coordinator grants to workers
// that ask for one after the other, each request read, booked, signed and
// answered.
func Leases(ctx context.Context, o Options) ([]Row, error) {
	d := o.Time
	if d == 0 {
		d = 2 * time.Second
	}
	r, err := newRig(ctx, chain.Bitcoin())
	if err != nil {
		return nil, err
	}
	defer r.close()

	var granted atomic.Uint64
	var asking sync.WaitGroup
	errs := make([]error, askers)
	begin := time.Now()
	asked, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for i := range askers {
		asking.Go(func() {
			f, err := newFinder(ctx, r)
			if err != nil {
				errs[i] = err
				return
			}
			defer f.close()
			for asked.Err() == nil {
				n, err := f.lease(ctx)
				if err != nil {
					errs[i] = err
					return
				}
				granted.Add(n)
			}
		})
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return []Row{{Kind: KindLeases, Name: "granted", Threads: askers, PerSecond: float64(granted.Load()) / time.Since(begin).Seconds()}}, nil
}

// lease reports nothing and asks for one point, which makes one lease, and gives
// it back as done with the next request.
func (f *finder) lease(ctx context.Context) (uint64, error) {
	ask := protocol.Progress{
		Ask:     f.ask(protocol.KindLease),
		Sitting: protocol.Sitting{JobID: f.job.JobID, Slot: f.slot},
		Leases:  f.done, Want: 1,
	}
	var reply protocol.ProgressReply
	if err := f.request(ctx, &ask, &reply); err != nil {
		return 0, err
	}
	if reply.Code != protocol.OK {
		return 0, reply.Code
	}
	f.done = nil
	for _, l := range reply.Leases {
		f.done = append(f.done, protocol.Done{ID: l.ID, Points: l.Points})
	}
	return uint64(len(reply.Leases)), nil
}
