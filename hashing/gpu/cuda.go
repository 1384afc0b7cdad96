//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// cuda is the functions of NVIDIA's driver, as cuda.h declares them. Where a name has
// a second version the library exports it with _v2. What is a pointer to something
// opaque there is an object here, and a result is zero or what went wrong.
type cuda struct {
	getErrorName   func(code result, name **byte) result
	getErrorString func(code result, text **byte) result

	init               func(flags uint32) result
	driverGetVersion   func(version *int32) result
	deviceGetCount     func(count *int32) result
	deviceGet          func(device *int32, index int32) result
	deviceGetName      func(name *byte, room, device int32) result
	deviceTotalMem     func(size *uintptr, device int32) result
	deviceGetAttribute func(value *int32, name, device int32) result
	deviceGetPCIBusID  func(address *byte, room, device int32) result

	primaryCtxSetFlags func(device int32, flags uint32) result
	primaryCtxRetain   func(context *object, device int32) result
	primaryCtxRelease  func(device int32) result
	ctxSetCurrent      func(context object) result

	moduleLoadDataEx  func(module *object, image *byte, n uint32, options *int32, values *uintptr) result
	moduleGetFunction func(function *object, module object, name *byte) result
	moduleUnload      func(module object) result

	memAlloc          func(address *uint64, size uintptr) result
	memFree           func(address uint64) result
	memHostAlloc      func(memory *unsafe.Pointer, size uintptr, flags uint32) result
	memFreeHost       func(memory unsafe.Pointer) result
	memsetD32Async    func(address uint64, value uint32, n uintptr, stream object) result
	memcpyDtoHAsync   func(to unsafe.Pointer, from uint64, size uintptr, stream object) result
	launchKernel      func(function object, gridX, gridY, gridZ, blockX, blockY, blockZ, shared uint32, stream object, arguments *unsafe.Pointer, extra *uintptr) result
	streamCreate      func(stream *object, flags uint32) result
	streamSynchronize func(stream object) result
	streamDestroy     func(stream object) result
	eventCreate       func(event *object, flags uint32) result
	eventRecord       func(event, stream object) result
	eventSynchronize  func(event object) result
	eventDestroy      func(event object) result
}

// result is a CUresult.
type result int32

// contextActive is what setting flags says of a context that somebody uses already.
const contextActive result = 708

// cudaError is a function of the driver that failed.
type cudaError struct {
	call       string
	code       result
	name, text string // as the driver has them
}

func (e *cudaError) Error() string { return fmt.Sprintf("%s: %s, %s", e.call, e.name, e.text) }

// failed returns an error unless code is zero.
func (cu *cuda) failed(call string, code result) error {
	if code == 0 {
		return nil
	}
	var name, text *byte
	if cu.getErrorName(code, &name) != 0 || cu.getErrorString(code, &text) != 0 || name == nil || text == nil {
		return &cudaError{call, code, fmt.Sprintf("CUDA error %d", code), "which the driver has no name for"}
	}
	return &cudaError{call, code, goString(name), goString(text)}
}

// goString reads a C string of the driver's as one line, the first 200 bytes.
func goString(start *byte) string {
	n := 0
	for n < 200 && *(*byte)(unsafe.Add(unsafe.Pointer(start), n)) != 0 {
		n++
	}
	return text(unsafe.Slice(start, n))
}

// loadCUDA loads the first of the libraries that is there. It is never unloaded: the
// driver leaves threads behind. The error is that of the first name, which every
// machine with the driver has; the others are places that few have.
func loadCUDA(names []string) (*cuda, error) {
	runtime.LockOSThread() // what went wrong is asked for in a second call, and kept for each thread
	defer runtime.UnlockOSThread()
	var first error
	for _, name := range names {
		library, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		cu := &cuda{}
		for name, function := range cu.symbols() {
			symbol, err := purego.Dlsym(library, name)
			if err != nil {
				return nil, err
			}
			purego.RegisterFunc(function, symbol)
		}
		return cu, nil
	}
	if first == nil {
		first = errors.New("no name to look for")
	}
	return nil, first
}

func (cu *cuda) symbols() map[string]any {
	return map[string]any{
		"cuGetErrorName":                &cu.getErrorName,
		"cuGetErrorString":              &cu.getErrorString,
		"cuInit":                        &cu.init,
		"cuDriverGetVersion":            &cu.driverGetVersion,
		"cuDeviceGetCount":              &cu.deviceGetCount,
		"cuDeviceGet":                   &cu.deviceGet,
		"cuDeviceGetName":               &cu.deviceGetName,
		"cuDeviceTotalMem_v2":           &cu.deviceTotalMem,
		"cuDeviceGetAttribute":          &cu.deviceGetAttribute,
		"cuDeviceGetPCIBusId":           &cu.deviceGetPCIBusID,
		"cuDevicePrimaryCtxSetFlags_v2": &cu.primaryCtxSetFlags,
		"cuDevicePrimaryCtxRetain":      &cu.primaryCtxRetain,
		"cuDevicePrimaryCtxRelease_v2":  &cu.primaryCtxRelease,
		"cuCtxSetCurrent":               &cu.ctxSetCurrent,
		"cuModuleLoadDataEx":            &cu.moduleLoadDataEx,
		"cuModuleGetFunction":           &cu.moduleGetFunction,
		"cuModuleUnload":                &cu.moduleUnload,
		"cuMemAlloc_v2":                 &cu.memAlloc,
		"cuMemFree_v2":                  &cu.memFree,
		"cuMemHostAlloc":                &cu.memHostAlloc,
		"cuMemFreeHost":                 &cu.memFreeHost,
		"cuMemsetD32Async":              &cu.memsetD32Async,
		"cuMemcpyDtoHAsync_v2":          &cu.memcpyDtoHAsync,
		"cuLaunchKernel":                &cu.launchKernel,
		"cuStreamCreate":                &cu.streamCreate,
		"cuStreamSynchronize":           &cu.streamSynchronize,
		"cuStreamDestroy_v2":            &cu.streamDestroy,
		"cuEventCreate":                 &cu.eventCreate,
		"cuEventRecord":                 &cu.eventRecord,
		"cuEventSynchronize":            &cu.eventSynchronize,
		"cuEventDestroy_v2":             &cu.eventDestroy,
	}
}
