//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"embed"
	"fmt"
	"runtime"
	"unsafe"
)

// ptx is kernel.cl as the driver takes it, for each number of versions at once.
//
//go:embed kernel1.ptx kernel2.ptx kernel4.ptx kernel8.ptx
var ptx embed.FS

func ptxName(versions int) string { return fmt.Sprintf("kernel%d.ptx", versions) }

// card is a device as NVIDIA's driver knows it.
type card struct {
	cu      *cuda
	device  int32
	signals *signals // as they were before the driver was there
}

func (c *card) guard(f func()) { c.signals.guard(f) }

// open has the driver compile the PTX for the card.
func (c *card) open(versions int) (launcher, error) {
	image, err := ptx.ReadFile(ptxName(versions))
	if err != nil {
		return nil, err
	}
	return c.load(image)
}

// load is open with the PTX to compile.
func (c *card) load(image []byte) (launcher, error) {
	l := &streams{cu: c.cu, device: c.device}
	if err := l.open(image); err != nil {
		_ = l.close() // what failed first says more
		return nil, err
	}
	return l, nil
}

// streams is a card with the program on it. A slot is a stream with memory of its own,
// so that one launch begins where the last of the other leaves units free.
//
// What the driver calls the current context is the thread's, from open to close.
type streams struct {
	cu     *cuda
	device int32

	retained                  bool // the context has to be released
	context, module, function object
	slots                     [slots]stream

	set       *parameters // what arguments hold
	arguments arguments
	pointers  [argumentFound + 1]unsafe.Pointer // to each of them

	lost bool // a launch has failed
}

// stream is one of the slots.
type stream struct {
	stream, done object
	buffer       uint64         // the card's address of what it finds
	host         unsafe.Pointer // memory that the card can write to
	candidates   []candidate
}

// report is what a launch writes: how many hits there are, whether there are more, and
// those.
type report [foundHeader + 2*capacity]uint32

// arguments are those of the program, whose values the driver takes from here.
type arguments struct {
	words             [argumentSchedule][8]uint32 // as many of each as there are versions
	schedule          [argumentFirst - argumentSchedule]uint32
	first, count, top uint32
	found             uint64
}

// Flags and options of cuda.h.
const (
	blockingSync  = 4     // of a context: a thread that waits leaves its CPU
	nonBlocking   = 1     // of a stream: it waits for no other
	eventFlags    = 1 | 2 // blocking sync, no timing
	jitErrorLog   = 5
	jitErrorBytes = 6
)

// open sets everything up; what there is by the time of an error is for close.
func (l *streams) open(image []byte) error {
	cu := l.cu
	if code := cu.primaryCtxSetFlags(l.device, blockingSync); code != contextActive {
		if err := cu.failed("cuDevicePrimaryCtxSetFlags", code); err != nil {
			return err
		}
	}
	if err := cu.failed("cuDevicePrimaryCtxRetain", cu.primaryCtxRetain(&l.context, l.device)); err != nil {
		return err
	}
	l.retained = true
	if err := cu.failed("cuCtxSetCurrent", cu.ctxSetCurrent(l.context)); err != nil {
		return err
	}
	if err := l.build(image); err != nil {
		return err
	}
	if err := cu.failed("cuModuleGetFunction", cu.moduleGetFunction(&l.function, l.module, cString("scan"))); err != nil {
		return err
	}
	l.point()
	for i := range l.slots {
		if err := l.slots[i].open(cu); err != nil {
			return err
		}
	}
	return nil
}

// open makes the parts of a slot.
func (s *stream) open(cu *cuda) error {
	if err := cu.failed("cuStreamCreate", cu.streamCreate(&s.stream, nonBlocking)); err != nil {
		return err
	}
	if err := cu.failed("cuEventCreate", cu.eventCreate(&s.done, eventFlags)); err != nil {
		return err
	}
	if err := cu.failed("cuMemAlloc", cu.memAlloc(&s.buffer, unsafe.Sizeof(report{}))); err != nil {
		return err
	}
	return cu.failed("cuMemHostAlloc", cu.memHostAlloc(&s.host, unsafe.Sizeof(report{}), 0))
}

// build compiles image.
func (l *streams) build(image []byte) error {
	log := make([]byte, 4096)
	options := [...]int32{jitErrorLog, jitErrorBytes}
	var pinner runtime.Pinner // values has addresses that Go does not see
	pinner.Pin(&log[0])
	defer pinner.Unpin()
	values := [...]uintptr{uintptr(unsafe.Pointer(&log[0])), uintptr(len(log))}
	code := l.cu.moduleLoadDataEx(&l.module, cString(string(image)), uint32(len(options)), &options[0], &values[0])
	if code != 0 {
		return &BuildError{Log: text(log), err: l.cu.failed("cuModuleLoadDataEx", code)}
	}
	return nil
}

// point makes pointers point to the arguments.
func (l *streams) point() {
	a, at := &l.arguments, 0
	add := func(p unsafe.Pointer) {
		l.pointers[at] = p
		at++
	}
	for i := range a.words {
		add(unsafe.Pointer(&a.words[i]))
	}
	for i := range a.schedule {
		add(unsafe.Pointer(&a.schedule[i]))
	}
	add(unsafe.Pointer(&a.first))
	add(unsafe.Pointer(&a.count))
	add(unsafe.Pointer(&a.top))
	add(unsafe.Pointer(&a.found))
}

// failed is [cuda.failed] for launches.
func (l *streams) failed(call string, code result) error {
	l.lost = l.lost || code != 0
	return l.cu.failed(call, code)
}

func (l *streams) start(slot int, p *parameters, first, n uint32) error {
	s, cu := &l.slots[slot], l.cu
	l.setArguments(p, s, first, n)
	if err := l.failed("cuMemsetD32Async", cu.memsetD32Async(s.buffer, 0, foundHeader, s.stream)); err != nil {
		return err
	}
	blocks := (n-1)/group + 1
	if err := l.failed("cuLaunchKernel", cu.launchKernel(l.function, blocks, 1, 1, group, 1, 1, 0, s.stream, &l.pointers[0], nil)); err != nil {
		return err
	}
	if err := l.failed("cuMemcpyDtoHAsync", cu.memcpyDtoHAsync(s.host, s.buffer, unsafe.Sizeof(report{}), s.stream)); err != nil {
		return err
	}
	return l.failed("cuEventRecord", cu.eventRecord(s.done, s.stream))
}

// setArguments writes what a launch gets by value; the driver copies it.
func (l *streams) setArguments(p *parameters, s *stream, first, n uint32) {
	a := &l.arguments
	if l.set != p {
		for i := range p.midstate {
			copy(a.words[argumentMidstate+i][:], p.midstate[i])
			copy(a.words[argumentRound3+i][:], p.round3[i])
		}
		a.schedule, a.top, l.set = p.schedule, p.top, p
	}
	a.first, a.count, a.found = first, n, s.buffer
}

func (l *streams) wait(slot int) (found []candidate, overflow bool, err error) {
	s := &l.slots[slot]
	if err := l.failed("cuEventSynchronize", l.cu.eventSynchronize(s.done)); err != nil {
		return nil, false, err
	}
	words := (*report)(s.host)
	count, more := words[0], words[1]
	if more != 0 || count > capacity {
		return nil, true, nil
	}
	s.candidates = s.candidates[:0]
	for i := range count {
		s.candidates = append(s.candidates, candidate{nonce: words[foundHeader+2*i], version: words[foundHeader+2*i+1]})
	}
	return s.candidates, false, nil
}

// close gives back what there is, in the reverse order, once the launches have ended.
// After one that failed the driver says the same to every call: that is no news.
func (l *streams) close() error {
	if !l.retained {
		return nil
	}
	var first error
	cu := l.cu
	do := func(call string, code result) {
		if err := cu.failed(call, code); first == nil {
			first = err
		}
	}
	for i := range l.slots {
		l.slots[i].close(cu, do)
	}
	if l.module != 0 {
		do("cuModuleUnload", cu.moduleUnload(l.module))
	}
	do("cuCtxSetCurrent", cu.ctxSetCurrent(0))
	do("cuDevicePrimaryCtxRelease", cu.primaryCtxRelease(l.device))
	lost := l.lost
	*l = streams{}
	if lost {
		return nil
	}
	return first
}

// close gives back the parts of a slot, and tells do how that went.
func (s *stream) close(cu *cuda, do func(call string, code result)) {
	if s.stream != 0 {
		do("cuStreamSynchronize", cu.streamSynchronize(s.stream))
	}
	if s.host != nil {
		do("cuMemFreeHost", cu.memFreeHost(s.host))
	}
	if s.buffer != 0 {
		do("cuMemFree", cu.memFree(s.buffer))
	}
	if s.done != 0 {
		do("cuEventDestroy", cu.eventDestroy(s.done))
	}
	if s.stream != 0 {
		do("cuStreamDestroy", cu.streamDestroy(s.stream))
	}
}
