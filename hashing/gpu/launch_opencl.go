//go:build !nogpu && ((linux && !android) || darwin) && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/jbcnet/jbc/hashing"
)

// signalsEvery is how often signal handlers are looked at while a device scans. A
// driver that compiles again for another size of launch may set its own again.
const signalsEvery = 100 * time.Millisecond

const (
	buildLog  = 0x1183 // of clGetProgramBuildInfo
	readWrite = 1      // of clCreateBuffer

	wordBytes   = 4
	foundHeader = 2 // words in front of the hits: how many, and whether there are more
)

// opening is a device and what to compile for it.
type opening struct {
	handle
	source string
}

func (h handle) open(versions int) (launcher, error) { return opening{h, program}.open(versions) }

func (h handle) guard(f func()) { h.cl.signals.guard(f) }

func (o opening) open(versions int) (launcher, error) {
	q := &queue{cl: o.cl, device: o.device, checked: time.Now()}
	if err := q.open(o.source, versions); err != nil {
		return nil, errors.Join(err, q.close())
	}
	if err := q.warm(versions); err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

// queue is a device with the program on it. Launches go through one command queue, in
// order; what they found is read through another, which waits for no later launch.
type queue struct {
	cl     *opencl
	device object

	context, queue, reads, program, kernel object
	slots                                  [slots]slot

	set     *parameters // what the kernel's arguments hold
	checked time.Time   // when signal handlers were last looked at
}

// slot is where one launch puts what it finds.
type slot struct {
	buffer     object
	launch     object // the event of the launch on its way
	found      [foundHeader + 2*capacity]uint32
	candidates []candidate
}

// open sets everything up; what there is by the time of an error is for close.
func (q *queue) open(source string, versions int) error {
	cl := q.cl
	var code status
	q.context = cl.createContext(nil, 1, &q.device, 0, 0, &code)
	if err := failed("clCreateContext", code); err != nil {
		return err
	}
	for _, queue := range []*object{&q.queue, &q.reads} {
		*queue = cl.createCommandQueue(q.context, q.device, 0, &code)
		if err := failed("clCreateCommandQueue", code); err != nil {
			return err
		}
	}
	if err := q.build(source, fmt.Sprintf("-D VERSIONS=%d -D GROUP=%d -D CAPACITY=%d", versions, group, capacity)); err != nil {
		return err
	}
	q.kernel = cl.createKernel(q.program, cString("scan"), &code)
	if err := failed("clCreateKernel", code); err != nil {
		return err
	}
	for i := range q.slots {
		at := &q.slots[i]
		at.buffer = cl.createBuffer(q.context, readWrite, unsafe.Sizeof(at.found), nil, &code)
		if err := failed("clCreateBuffer", code); err != nil {
			return err
		}
	}
	return nil
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

func (q *queue) start(slot int, p *parameters, first, n uint32) error {
	if now := time.Now(); now.Sub(q.checked) > signalsEvery {
		q.checked = now
		q.cl.signals.restore()
	}
	if err := q.setParameters(p); err != nil {
		return err
	}
	at, zero := &q.slots[slot], uint32(0)
	if err := failed("clEnqueueFillBuffer", q.cl.enqueueFillBuffer(q.queue, at.buffer, &zero, wordBytes, 0, foundHeader*wordBytes, 0, nil, nil)); err != nil {
		return err
	}
	if err := q.enqueue(at, first, n, n); err != nil {
		return err
	}
	return failed("clFlush", q.cl.flush(q.queue))
}

// enqueue has n nonces tried by at least so many work items.
func (q *queue) enqueue(at *slot, first, n, items uint32) error {
	if err := errors.Join(
		q.setWords(argumentFirst, []uint32{first}), q.setWords(argumentCount, []uint32{n}),
		failed("clSetKernelArg", q.cl.setKernelArg(q.kernel, argumentFound, unsafe.Sizeof(at.buffer), unsafe.Pointer(&at.buffer))),
	); err != nil {
		return err
	}
	local := uintptr(group)
	global := (uintptr(items) + local - 1) / local * local
	return failed("clEnqueueNDRangeKernel", q.cl.enqueueNDRangeKernel(q.queue, q.kernel, 1, nil, &global, &local, 0, nil, &at.launch))
}

func (q *queue) wait(slot int) (found []candidate, overflow bool, err error) {
	const blocking = 1
	at := &q.slots[slot]
	if err := failed("clEnqueueReadBuffer", q.cl.enqueueReadBuffer(q.reads, at.buffer, blocking, 0, unsafe.Sizeof(at.found), &at.found[0], 1, &at.launch, nil)); err != nil {
		return nil, false, err
	}
	if err := q.landed(at); err != nil {
		return nil, false, err
	}
	count, more := at.found[0], at.found[1]
	if more != 0 || count > capacity {
		return nil, true, nil
	}
	at.candidates = at.candidates[:0]
	for i := range count {
		at.candidates = append(at.candidates, candidate{nonce: at.found[foundHeader+2*i], version: at.found[foundHeader+2*i+1]})
	}
	return at.candidates, false, nil
}

// landed gives back the event of a launch.
func (q *queue) landed(at *slot) error {
	launch := at.launch
	if at.launch = 0; launch == 0 {
		return nil
	}
	return failed("clReleaseEvent", q.cl.releaseEvent(launch))
}

// warm makes a large launch in which no nonce is tried. PoCL compiles again at the first
// one of more than 65535 work items, which takes seconds and should be over by the time
// that somebody scans.
func (q *queue) warm(versions int) error {
	const items = 1 << 20
	zeros := hashing.NewSearch(hashing.Header{}, []uint32{0}, hashing.Target{})
	if err := q.setParameters(newParameters(&zeros, 0, 1, versions)); err != nil {
		return err
	}
	at := &q.slots[0]
	return errors.Join(q.enqueue(at, 0, 0, items), failed("clFinish", q.cl.finish(q.queue)), q.landed(at))
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
	for i := range q.slots {
		release("clReleaseEvent", q.cl.releaseEvent, &q.slots[i].launch)
		release("clReleaseMemObject", q.cl.releaseMemObject, &q.slots[i].buffer)
	}
	release("clReleaseKernel", q.cl.releaseKernel, &q.kernel)
	release("clReleaseProgram", q.cl.releaseProgram, &q.program)
	release("clReleaseCommandQueue", q.cl.releaseCommandQueue, &q.reads)
	release("clReleaseCommandQueue", q.cl.releaseCommandQueue, &q.queue)
	release("clReleaseContext", q.cl.releaseContext, &q.context)
	return errors.Join(errs...)
}
