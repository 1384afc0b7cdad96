package gpu

import (
	"context"
	"fmt"
	"time"
)

// findWithin bounds how long drivers are waited for.
const findWithin = 20 * time.Second

// FindContext is [Find], except that a driver that hangs holds nobody: what it is at goes
// on in the background.
func FindContext(ctx context.Context) (Listing, error) {
	found := make(chan Listing, 1)
	go func() { found <- Find() }()
	select {
	case listing := <-found:
		return listing, nil
	case <-ctx.Done():
		return Listing{}, ctx.Err()
	case <-time.After(findWithin):
		return Listing{}, fmt.Errorf("a driver does not list its devices: %w", ErrHung)
	}
}
