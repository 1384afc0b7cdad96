//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

// Find lists the devices of this machine: NVIDIA's cards by CUDA, what else there is by
// OpenCL. It loads both libraries and every driver that they know, which can take a
// second.
func Find() Listing { return find(cudaNames, openCLNames) }

// find is Find with the names of the libraries to look for.
func find(cudaNames, openCLNames []string) Listing {
	var cuda, openCL finding
	before := readSignals()
	before.guard(func() {
		cuda, openCL = findCUDA(cudaNames, before), findOpenCL(openCLNames, before)
	})
	return merge(closedFiles(), cuda, openCL)
}
