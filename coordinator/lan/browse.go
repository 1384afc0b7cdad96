package lan

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/pion/mdns/v2"
)

// Found is a coordinator that was heard of, and where.
type Found struct {
	Coordinator
	Address string // HOST:PORT
}

const (
	// askEvery is how often the network is asked.
	askEvery = time.Second
	// maxFound bounds what is kept of a network that tells nonsense.
	maxFound = 256
)

// Browse asks the local network for coordinators until ctx ends and calls found
// for each, one after the other, again when its address changes.
func Browse(ctx context.Context, found func(Found)) error {
	conn, err := open(mdns.WithQueryInterval(askEvery))
	if err != nil {
		return fmt.Errorf("mdns: %w", err)
	}
	var (
		mu   sync.Mutex
		seen = map[Found]bool{}
	)
	conn.OnServiceDiscovered(func(e mdns.ServiceEvent) {
		f, ok := parse(e)
		mu.Lock()
		defer mu.Unlock()
		if !ok || seen[f] || len(seen) == maxFound || ctx.Err() != nil {
			return
		}
		seen[f] = true
		found(f)
	})
	if err := conn.Browse(ctx, serviceType); err != nil {
		_ = conn.Close() // the first error counts
		return fmt.Errorf("mdns: %w", err)
	}
	<-ctx.Done()
	if err := conn.Close(); err != nil {
		return fmt.Errorf("mdns: %w", err)
	}
	return nil
}

// parse reads an answer, and says whether it is a coordinator's.
func parse(e mdns.ServiceEvent) (f Found, ok bool) {
	f.Coordinator, ok = parseText(e.Instance.Text)
	if !ok || e.Instance.Port == 0 || !e.Addr.IsValid() || e.Addr.IsUnspecified() || e.Addr.IsMulticast() {
		return Found{}, false
	}
	f.Address = net.JoinHostPort(e.Addr.Unmap().String(), strconv.Itoa(int(e.Instance.Port)))
	return f, true
}
