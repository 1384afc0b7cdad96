package coordinator

import (
	"fmt"
	"time"
)

// progressTime is how often it is told how far a long chain is fetched.
const progressTime = 2 * time.Second

// progress is what was told of a chain that is fetched.
type progress struct {
	at      time.Time // zero before the first time
	fetched int
}

// due says whether to tell again, and how many blocks came a second since the last
// time. The first time counts from started.
func (p *progress) due(now, started time.Time, fetched int) (perSecond float64, due bool) {
	if p.at.IsZero() {
		p.at = started
	}
	since := now.Sub(p.at)
	if since < progressTime {
		return 0, false
	}
	perSecond = float64(fetched-p.fetched) / since.Seconds()
	p.at, p.fetched = now, fetched
	return perSecond, true
}

// tell logs how far the chain of another coordinator is fetched, now and then.
func (f *follower) tell(now time.Time) {
	rate, due := f.told.due(now, f.started, f.fetched)
	if !due {
		return
	}
	f.c.log.Info("fetching the chain of another", "coordinator", f.peer.Name, "height", f.c.cfg.Chain.Tip().Height,
		"of", max(f.peer.Tip.Height, f.branch.Tip().Height), "blocks", f.fetched, "blocks_per_s", fmt.Sprintf("%.0f", rate))
}
