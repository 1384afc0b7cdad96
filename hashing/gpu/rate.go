package gpu

import (
	"context"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// Rate returns how many hashes a second the device does in a search with so many
// versions, measured for about so long once its launches have found their size. A
// cancelled ctx cuts it short.
func (d *Device) Rate(ctx context.Context, versions int, long time.Duration) (float64, error) {
	rolled := make([]uint32, versions)
	for i := range rolled {
		rolled[i] = hashing.RollVersion(0x20000000, uint32(i))
	}
	s := hashing.NewSearch(hashing.Header{}, rolled, hashing.Target{})
	hits := make([]hashing.Hit, versions)
	for begin := time.Now(); time.Since(begin) < long/3 && ctx.Err() == nil; {
		if _, _, err := d.Scan(ctx, &s, 0, d.Nonces(versions, long/30), hits); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	done, _, err := d.Scan(ctx, &s, 0, d.Nonces(versions, long*2/3), hits)
	return float64(done) * float64(versions) / time.Since(begin).Seconds(), err
}
