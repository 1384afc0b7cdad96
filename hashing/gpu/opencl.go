//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// opencl is the library's functions, as the headers of OpenCL 1.2 declare them. What
// is a pointer to something opaque there is an object here.
type opencl struct {
	getPlatformIDs          func(room uint32, ids *object, count *uint32) status
	getPlatformInfo         func(platform object, name uint32, size uintptr, value *byte, used *uintptr) status
	getDeviceIDs            func(platform object, kind uint64, room uint32, ids *object, count *uint32) status
	getDeviceInfo           func(device object, name uint32, size uintptr, value *byte, used *uintptr) status
	createContext           func(properties *uintptr, n uint32, devices *object, notify, data uintptr, code *status) object
	createCommandQueue      func(context, device object, properties uint64, code *status) object
	createProgramWithSource func(context object, n uint32, texts **byte, lengths *uintptr, code *status) object
	buildProgram            func(program object, n uint32, devices *object, options *byte, notify, data uintptr) status
	getProgramBuildInfo     func(program, device object, name uint32, size uintptr, value *byte, used *uintptr) status
	createKernel            func(program object, name *byte, code *status) object
	createBuffer            func(context object, flags uint64, size uintptr, host *byte, code *status) object
	setKernelArg            func(kernel object, index uint32, size uintptr, value unsafe.Pointer) status
	enqueueFillBuffer       func(queue, buffer object, pattern *uint32, patternSize, offset, size uintptr, waits uint32, list, event *object) status
	enqueueNDRangeKernel    func(queue, kernel object, dimensions uint32, offset, global, local *uintptr, waits uint32, list, event *object) status
	enqueueReadBuffer       func(queue, buffer object, blocking uint32, offset, size uintptr, to *uint32, waits uint32, list, event *object) status
	flush                   func(queue object) status
	finish                  func(queue object) status
	releaseEvent            func(object) status
	releaseMemObject        func(object) status
	releaseKernel           func(object) status
	releaseProgram          func(object) status
	releaseCommandQueue     func(object) status
	releaseContext          func(object) status

	signals *signals // as they were before the library was there
}

// object is a handle of the library's.
type object uintptr

// status is what a function returns: zero or what went wrong.
type status int32

// Statuses that mean something here.
const (
	deviceNotFound      status = -1
	buildProgramFailure status = -11
	platformNotFound    status = -1001 // the loader has no driver
)

// statusNames are those that people meet.
var statusNames = map[status]string{
	deviceNotFound:      "no device",
	-2:                  "device not available",
	-3:                  "compiler not available",
	-4:                  "out of device memory",
	-5:                  "out of resources",
	-6:                  "out of host memory",
	buildProgramFailure: "it does not compile",
	-36:                 "the command queue is gone",
	-54:                 "work group too large",
	platformNotFound:    "no driver",
}

// callError is a function of the library that failed.
type callError struct {
	call string
	code status
}

func (e *callError) Error() string {
	if name := statusNames[e.code]; name != "" {
		return fmt.Sprintf("%s: OpenCL error %d, %s", e.call, e.code, name)
	}
	return fmt.Sprintf("%s: OpenCL error %d", e.call, e.code)
}

// failed returns an error unless code is zero.
func failed(call string, code status) error {
	if code == 0 {
		return nil
	}
	return &callError{call, code}
}

// loadOpenCL loads the first of the libraries that is there. It is never unloaded:
// drivers leave threads behind.
func loadOpenCL(names []string) (*opencl, error) {
	runtime.LockOSThread() // what went wrong is asked for in a second call, and kept for each thread
	defer runtime.UnlockOSThread()
	var tried []error
	for _, name := range names {
		library, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			tried = append(tried, err)
			continue
		}
		cl := &opencl{}
		for name, function := range cl.symbols() {
			symbol, err := purego.Dlsym(library, name)
			if err != nil {
				return nil, err
			}
			purego.RegisterFunc(function, symbol)
		}
		return cl, nil
	}
	return nil, errors.Join(tried...)
}

func (cl *opencl) symbols() map[string]any {
	return map[string]any{
		"clGetPlatformIDs":          &cl.getPlatformIDs,
		"clGetPlatformInfo":         &cl.getPlatformInfo,
		"clGetDeviceIDs":            &cl.getDeviceIDs,
		"clGetDeviceInfo":           &cl.getDeviceInfo,
		"clCreateContext":           &cl.createContext,
		"clCreateCommandQueue":      &cl.createCommandQueue,
		"clCreateProgramWithSource": &cl.createProgramWithSource,
		"clBuildProgram":            &cl.buildProgram,
		"clGetProgramBuildInfo":     &cl.getProgramBuildInfo,
		"clCreateKernel":            &cl.createKernel,
		"clCreateBuffer":            &cl.createBuffer,
		"clSetKernelArg":            &cl.setKernelArg,
		"clEnqueueFillBuffer":       &cl.enqueueFillBuffer,
		"clEnqueueNDRangeKernel":    &cl.enqueueNDRangeKernel,
		"clEnqueueReadBuffer":       &cl.enqueueReadBuffer,
		"clFlush":                   &cl.flush,
		"clFinish":                  &cl.finish,
		"clReleaseEvent":            &cl.releaseEvent,
		"clReleaseMemObject":        &cl.releaseMemObject,
		"clReleaseKernel":           &cl.releaseKernel,
		"clReleaseProgram":          &cl.releaseProgram,
		"clReleaseCommandQueue":     &cl.releaseCommandQueue,
		"clReleaseContext":          &cl.releaseContext,
	}
}

// query reads a value of any length by one of the library's clGet...Info.
func query(get func(size uintptr, value *byte, used *uintptr) status) []byte {
	var size uintptr
	if get(0, nil, &size) != 0 || size == 0 {
		return nil
	}
	value := make([]byte, size)
	if get(size, &value[0], nil) != 0 {
		return nil
	}
	return value
}

// text is a C string as one line.
func text(value []byte) string {
	s, _, _ := strings.Cut(string(value), "\x00")
	return strings.Join(strings.Fields(s), " ")
}

// cString returns s with the zero at its end.
func cString(s string) *byte { return &append([]byte(s), 0)[0] }
