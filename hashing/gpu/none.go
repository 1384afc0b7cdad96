//go:build nogpu || (!linux && !darwin) || android || (!amd64 && !arm64)

package gpu

// Find says that this build can't use devices.
func Find() Listing { return Listing{State: NotBuilt} }

// Likely says that there is no graphics card for this build.
func Likely() bool { return false }
