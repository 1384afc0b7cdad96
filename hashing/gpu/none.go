//go:build nogpu || (!linux && !darwin) || android || (!amd64 && !arm64)

package gpu

import (
	"context"
	"errors"
)

// handle is nothing: there are no devices to hold.
type handle struct{}

// Find says that this build can't use devices.
func Find() Listing { return Listing{State: NotBuilt} }

// Open opens nothing, since nothing was found.
func Open(context.Context, Info, Options) (*Device, error) { return nil, errors.ErrUnsupported }
