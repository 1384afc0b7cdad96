//go:build nogpu || (!linux && !darwin) || android || (!amd64 && !arm64)

package gpu

// Find says that this build can't use devices.
func Find() Listing { return Listing{State: NotBuilt} }
