package gpu

import (
	"context"
	"math"
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
	warm, cool := context.WithTimeout(ctx, long/3)
	defer cool()
	for warm.Err() == nil { // a scan that is cut short has as many launches as fit: their size follows rows of them
		if _, _, err := d.Scan(warm, &s, 0, math.MaxInt32, hits); err != nil {
			return 0, err
		}
	}
	done, begin := 0, time.Now()
	for {
		more, _, err := d.Scan(ctx, &s, 0, d.Nonces(versions, long*2/3), hits)
		took := time.Since(begin)
		if done += more; err != nil || took > long/3 || ctx.Err() != nil {
			return float64(done) * float64(versions) / took.Seconds(), err
		}
	}
}
