//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"
)

// program is what devices run.
//
//go:embed kernel.cl
var program string

// signalsEvery is how often signal handlers are looked at while a device scans. A
// driver that compiles again for another size of launch may set its own again.
const signalsEvery = 100 * time.Millisecond

const (
	buildLog  = 0x1183 // of clGetProgramBuildInfo
	readWrite = 1      // of clCreateBuffer

	wordBytes   = 4
	foundHeader = 2 // words in front of the hits: how many, and whether there are more
)

// Open makes a device of a [Listing] ready: its driver compiles the program, which can
// take seconds, and a short test has to find what it should. Close it in the end.
//
// No driver can be interrupted. When ctx ends first Open returns its error at once; what
// the driver is at goes on in the background, and is given back when that is done.
func Open(ctx context.Context, info Info, opts Options) (*Device, error) {
	return open(ctx, info, opts, program)
}

// open is Open with the program to compile.
func open(ctx context.Context, info Info, opts Options, source string) (*Device, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if info.handle.cl == nil {
		return nil, errors.New("the device is of no listing")
	}
	type opening struct {
		device *Device
		err    error
	}
	opened := make(chan opening)
	go func() {
		var o opening
		info.handle.cl.signals.guard(func() { o.device, o.err = compile(info, opts, source) })
		select {
		case opened <- o:
		case <-ctx.Done():
			if o.device != nil {
				_ = o.device.Close() // nobody is left to be told
			}
		}
	}()
	select {
	case o := <-opened:
		return o.device, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("device %s: %w", info.Name, ctx.Err())
	}
}

// compile is open without a way out.
func compile(info Info, opts Options, source string) (*Device, error) {
	q := &queue{cl: info.handle.cl, device: info.handle.device, checked: time.Now()}
	if err := q.open(source, opts.Versions); err != nil {
		return nil, fmt.Errorf("device %s: %w", info.Name, errors.Join(err, q.close()))
	}
	d, err := newDevice(info, opts, q)
	if err != nil {
		return nil, err
	}
	if err := q.warm(); err != nil {
		return nil, errors.Join(d.wrap(err), d.Close())
	}
	return d, nil
}

// queue is a device with the program on it.
type queue struct {
	cl     *opencl
	device object

	context, queue, program, kernel, buffer object

	set        *parameters // what the kernel's arguments hold
	found      [foundHeader + 2*capacity]uint32
	candidates []candidate
	checked    time.Time // when signal handlers were last looked at
}

// open sets everything up; what there is by the time of an error is for close.
func (q *queue) open(source string, versions int) error {
	cl := q.cl
	var code status
	q.context = cl.createContext(nil, 1, &q.device, 0, 0, &code)
	if err := failed("clCreateContext", code); err != nil {
		return err
	}
	q.queue = cl.createCommandQueue(q.context, q.device, 0, &code)
	if err := failed("clCreateCommandQueue", code); err != nil {
		return err
	}
	if err := q.build(source, fmt.Sprintf("-D VERSIONS=%d -D GROUP=%d -D CAPACITY=%d", versions, group, capacity)); err != nil {
		return err
	}
	q.kernel = cl.createKernel(q.program, cString("scan"), &code)
	if err := failed("clCreateKernel", code); err != nil {
		return err
	}
	q.buffer = cl.createBuffer(q.context, readWrite, unsafe.Sizeof(q.found), nil, &code)
	if err := failed("clCreateBuffer", code); err != nil {
		return err
	}
	return failed("clSetKernelArg", cl.setKernelArg(q.kernel, argumentFound, unsafe.Sizeof(q.buffer), unsafe.Pointer(&q.buffer)))
}

// build compiles source.
func (q *queue) build(source, options string) error {
	cl := q.cl
	var code status
	start, length := unsafe.StringData(source), uintptr(len(source))
	q.program = cl.createProgramWithSource(q.context, 1, &start, &length, &code)
	runtime.KeepAlive(source)
	if err := failed("clCreateProgramWithSource", code); err != nil {
		return err
	}
	code = cl.buildProgram(q.program, 1, &q.device, cString(options), 0, 0)
	if code == 0 {
		return nil
	}
	log := query(func(size uintptr, value *byte, used *uintptr) status {
		return cl.getProgramBuildInfo(q.program, q.device, buildLog, size, value, used)
	})
	return &BuildError{Log: text(log), err: failed("clBuildProgram", code)}
}

// The places of the program's arguments.
const (
	argumentMidstate = 0
	argumentRound3   = 8
	argumentSchedule = 16
	argumentFirst    = 22
	argumentCount    = 23
	argumentTop      = 24
	argumentFound    = 25
)

// setParameters passes those of p by value; the driver copies them.
func (q *queue) setParameters(p *parameters) error {
	if q.set == p {
		return nil
	}
	q.set = nil
	for i := range p.midstate {
		if err := q.setWords(argumentMidstate+i, p.midstate[i]); err != nil {
			return err
		}
		if err := q.setWords(argumentRound3+i, p.round3[i]); err != nil {
			return err
		}
	}
	for i := range p.schedule {
		if err := q.setWords(argumentSchedule+i, p.schedule[i:i+1]); err != nil {
			return err
		}
	}
	if err := q.setWords(argumentTop, []uint32{p.top}); err != nil {
		return err
	}
	q.set = p
	return nil
}

func (q *queue) setWords(index int, words []uint32) error {
	return failed("clSetKernelArg", q.cl.setKernelArg(q.kernel, uint32(index), uintptr(len(words))*wordBytes, unsafe.Pointer(&words[0])))
}

func (q *queue) launch(p *parameters, first, n uint32) (found []candidate, overflow bool, err error) {
	if now := time.Now(); now.Sub(q.checked) > signalsEvery {
		q.checked = now
		q.cl.signals.restore()
	}
	if err := q.setParameters(p); err != nil {
		return nil, false, err
	}
	cl, zero := q.cl, uint32(0)
	if err := failed("clEnqueueFillBuffer", cl.enqueueFillBuffer(q.queue, q.buffer, &zero, wordBytes, 0, foundHeader*wordBytes, 0, nil, nil)); err != nil {
		return nil, false, err
	}
	if err := q.enqueue(first, n, n); err != nil {
		return nil, false, err
	}
	const blocking = 1
	if err := failed("clEnqueueReadBuffer", cl.enqueueReadBuffer(q.queue, q.buffer, blocking, 0, unsafe.Sizeof(q.found), &q.found[0], 0, nil, nil)); err != nil {
		return nil, false, err
	}
	count, more := q.found[0], q.found[1]
	if more != 0 || count > capacity {
		return nil, true, nil
	}
	q.candidates = q.candidates[:0]
	for i := range count {
		q.candidates = append(q.candidates, candidate{nonce: q.found[foundHeader+2*i], version: q.found[foundHeader+2*i+1]})
	}
	return q.candidates, false, nil
}

// enqueue has n nonces tried by at least so many work items.
func (q *queue) enqueue(first, n, items uint32) error {
	if err := errors.Join(q.setWords(argumentFirst, []uint32{first}), q.setWords(argumentCount, []uint32{n})); err != nil {
		return err
	}
	local := uintptr(group)
	global := (uintptr(items) + local - 1) / local * local
	return failed("clEnqueueNDRangeKernel", q.cl.enqueueNDRangeKernel(q.queue, q.kernel, 1, nil, &global, &local, 0, nil, nil))
}

// warm makes a large launch in which no nonce is tried. PoCL compiles again at the first
// one of more than 65535 work items, which takes seconds and should be over by the time
// that somebody scans.
func (q *queue) warm() error {
	const items = 1 << 20
	return errors.Join(q.enqueue(0, 0, items), failed("clFinish", q.cl.finish(q.queue)))
}

// close releases what there is, in the reverse order.
func (q *queue) close() error {
	var errs []error
	release := func(call string, release func(object) status, o *object) {
		if *o != 0 {
			errs = append(errs, failed(call, release(*o)))
			*o = 0
		}
	}
	if q.queue != 0 {
		errs = append(errs, failed("clFinish", q.cl.finish(q.queue)))
	}
	release("clReleaseMemObject", q.cl.releaseMemObject, &q.buffer)
	release("clReleaseKernel", q.cl.releaseKernel, &q.kernel)
	release("clReleaseProgram", q.cl.releaseProgram, &q.program)
	release("clReleaseCommandQueue", q.cl.releaseCommandQueue, &q.queue)
	release("clReleaseContext", q.cl.releaseContext, &q.context)
	return errors.Join(errs...)
}
