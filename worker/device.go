package worker

import "github.com/jbcnet/jbc/hashing"

// device is what tries points for one miner: a CPU thread, later a GPU. A miner
// owns its device and calls it from one goroutine.
type device interface {
	// slice is how many points of a job with rolls versions one scan may try, so
	// that it ends soon enough for a cancel to be seen.
	slice(rolls int) int
	// begin is called first, on the goroutine that will scan.
	begin()
	// scan is [hashing.Kernel.Scan].
	scan(s *hashing.Search, first uint32, n int, hits []hashing.Hit) (done, found int)
	// close gives back what the device holds.
	close()
}
