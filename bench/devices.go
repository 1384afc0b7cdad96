package bench

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jbcnet/jbc/hashing/gpu"
)

// Devices measures every graphics card, and whatever else can hash beside the kernels,
// with each number of versions at once that its driver builds. A device of which none
// can be measured is an error, after the rows of the others.
func Devices(ctx context.Context, o Options) ([]Row, error) {
	listing, err := gpu.FindContext(ctx)
	if err != nil {
		return nil, err
	}
	long := cmp.Or(o.Time, defaultRow) / rounds
	var rows []Row
	var errs []error
	for i, info := range listing.Devices {
		var failed error
		before := len(rows)
		for j, width := range gpu.Widths() {
			row, err := deviceRow(ctx, info, width, long)
			if ctx.Err() != nil {
				return rows, ctx.Err()
			}
			if err == nil {
				rows = append(rows, row)
			}
			failed = cmp.Or(failed, err)
			if o.Progress != nil {
				o.Progress(float64(i*len(gpu.Widths())+j+1) / float64(len(listing.Devices)*len(gpu.Widths())))
			}
		}
		if len(rows) == before {
			errs = append(errs, failed)
		}
	}
	return rows, errors.Join(errs...)
}

// deviceRow measures one width in as many versions, so that none is idle.
func deviceRow(ctx context.Context, info gpu.Info, width int, long time.Duration) (row Row, err error) {
	d, err := gpu.Open(ctx, info, gpu.Options{Versions: width})
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var mhs []float64
	for range rounds {
		hs, err := d.Rate(ctx, width, long)
		if err != nil {
			return Row{}, err
		}
		mhs = append(mhs, hs/1e6)
	}
	return rateRow(KindDevice, info.Name, 0, width, mhs), nil
}
