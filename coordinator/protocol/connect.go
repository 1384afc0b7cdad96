package protocol

import (
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectOptions are what every connection of a coordinator or a worker needs on
// top of its address and credentials. NATS's defaults notice a dead link after
// four minutes and deliver, on reconnecting, what was published before: shares of
// long gone jobs. Here a dead link is noticed in 2.5 s, nothing is buffered, and
// reconnecting goes on for ever, twice a second or more.
func ConnectOptions(name string) []nats.Option {
	return []nats.Option{
		nats.Name("jbc " + name),
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.Timeout(2 * time.Second),
		nats.CustomReconnectDelay(func(int) time.Duration {
			return 200*time.Millisecond + rand.N(300*time.Millisecond)
		}),
	}
}
