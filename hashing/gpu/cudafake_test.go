//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"fmt"
	"syscall"
	"testing"
	"unsafe"
)

// fakeDriver is NVIDIA's driver with one card, as far as it is used here. It runs the
// PTX that it is given, one thread after the other, when somebody waits for it.
type fakeDriver struct {
	t        testing.TB
	fail     func(call string) result // what a function answers instead, zero for itself
	contexts int                      // retained
	current  map[int]object           // context of each OS thread
	objects  map[object]any
	memory   map[uint64][]uint32
	host     map[unsafe.Pointer][]uint32
	last     object
	lost     result // what every call answers once a launch has failed
	threads  int    // of all launches
}

// What objects are.
type (
	fakeModule struct{ program *ptxProgram }
	fakeStream struct{ queued []func() result }
	fakeEvent  struct{ done func() result }
)

// There is one context and one function.
const (
	fakeContext  object = 0xc0
	fakeFunction object = 0xf0
)

// Results of cuda.h.
const (
	invalidValue   result = 1
	outOfMemory    result = 2
	noCard         result = 100
	invalidContext result = 201
	invalidPTX     result = 218
	invalidHandle  result = 400
	nameNotFound   result = 500
	illegalAddress result = 700
	launchFailed   result = 719
)

// fakeCard makes a card of a driver that runs PTX.
func fakeCard(t testing.TB) (Info, *fakeDriver) {
	f := &fakeDriver{
		t: t, current: map[int]object{}, objects: map[object]any{},
		memory: map[uint64][]uint32{}, host: map[unsafe.Pointer][]uint32{}, last: 0x1000,
	}
	return Info{Name: "fake", opener: &card{cu: f.driver(), signals: readSignals()}}, f
}

// left says what nobody has given back.
func (f *fakeDriver) left() string {
	if f.contexts+len(f.objects)+len(f.memory)+len(f.host) == 0 {
		return ""
	}
	return fmt.Sprintf("%d contexts, objects %v, %d pieces of memory and %d of the host's", f.contexts, f.objects, len(f.memory), len(f.host))
}

// enter is what every function begins with. Those that need a context only work on a
// thread that has it.
func (f *fakeDriver) enter(call string, needsContext bool) result {
	if f.fail != nil {
		if code := f.fail(call); code != 0 {
			return code
		}
	}
	if needsContext && f.current[syscall.Gettid()] != fakeContext {
		f.t.Errorf("%s on a thread without the context", call)
		return invalidContext
	}
	return f.lost
}

func (f *fakeDriver) add(thing any) object {
	f.last++
	f.objects[f.last] = thing
	return f.last
}

// remove forgets an object of the kind T.
func remove[T any](f *fakeDriver, call string, o object) result {
	if code := f.enter(call, true); code != 0 {
		return code
	}
	if _, ok := f.objects[o].(T); !ok {
		f.t.Errorf("%s of %#x: %T", call, o, f.objects[o])
		return invalidHandle
	}
	delete(f.objects, o)
	return 0
}

// driver returns the functions.
func (f *fakeDriver) driver() *cuda {
	return &cuda{
		getErrorName:       func(code result, name **byte) result { *name = cString(fmt.Sprintf("FAKE_%d", code)); return 0 },
		getErrorString:     func(_ result, text **byte) result { *text = cString("said\nthe fake"); return 0 },
		primaryCtxSetFlags: func(int32, uint32) result { return f.enter("cuDevicePrimaryCtxSetFlags", false) },
		primaryCtxRetain:   f.retain,
		primaryCtxRelease:  func(int32) result { f.contexts--; return 0 },
		ctxSetCurrent: func(context object) result {
			f.current[syscall.Gettid()] = context
			return f.enter("cuCtxSetCurrent", false)
		},
		moduleLoadDataEx:  f.loadModule,
		moduleGetFunction: f.getFunction,
		moduleUnload:      func(o object) result { return remove[fakeModule](f, "cuModuleUnload", o) },
		memAlloc:          f.allocate,
		memFree:           f.free,
		memHostAlloc:      f.allocateHost,
		memFreeHost:       f.freeHost,
		memsetD32Async:    f.fill,
		memcpyDtoHAsync:   f.copy,
		launchKernel:      f.launch,
		streamCreate: func(o *object, flags uint32) result {
			return f.create("cuStreamCreate", o, &fakeStream{}, flags == nonBlocking)
		},
		streamSynchronize: f.finish,
		streamDestroy:     f.destroyStream,
		eventCreate:       func(o *object, flags uint32) result { return f.create("cuEventCreate", o, &fakeEvent{}, flags == 3) },
		eventDestroy:      func(o object) result { return remove[*fakeEvent](f, "cuEventDestroy", o) },
		eventRecord:       f.record,
		eventSynchronize:  f.synchronize,
	}
}

func (f *fakeDriver) retain(context *object, device int32) result {
	code := f.enter("cuDevicePrimaryCtxRetain", false)
	if code == 0 {
		*context = fakeContext
		f.contexts++
	}
	return code
}

func (f *fakeDriver) create(call string, o *object, thing any, valid bool) result {
	code := f.enter(call, true)
	if !valid {
		return invalidValue
	}
	if code == 0 {
		*o = f.add(thing)
	}
	return code
}

// loadModule parses the PTX, and writes what it does not like into the log.
func (f *fakeDriver) loadModule(module *object, image *byte, n uint32, options *int32, values *uintptr) result {
	if code := f.enter("cuModuleLoadDataEx", true); code != 0 {
		return code
	}
	length := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(image), length)) != 0 {
		length++
	}
	program, err := parsePTX(string(unsafe.Slice(image, length)))
	if err == nil {
		*module = f.add(fakeModule{program})
		return 0
	}
	names, given := unsafe.Slice(options, n), unsafe.Slice(values, n)
	if n != 2 || names[0] != 5 || names[1] != 6 {
		f.t.Errorf("options %v, want a log for errors and its size", names)
		return invalidValue
	}
	// The address is one of Go's, which the driver gets as a number.
	log := unsafe.Slice(*(**byte)(unsafe.Pointer(&given[0])), given[1])
	log[copy(log[:len(log)-1], err.Error())] = 0
	return invalidPTX
}

func (f *fakeDriver) getFunction(function *object, module object, name *byte) result {
	if code := f.enter("cuModuleGetFunction", true); code != 0 {
		return code
	}
	m, ok := f.objects[module].(fakeModule)
	if !ok {
		return invalidHandle
	}
	if goString(name) != m.program.name {
		return nameNotFound
	}
	*function = fakeFunction
	return 0
}

func (f *fakeDriver) allocate(address *uint64, size uintptr) result {
	code := f.enter("cuMemAlloc", true)
	if code == 0 {
		*address = 0x7f0000000000 + uint64(f.last)<<12
		f.last++
		f.memory[*address] = make([]uint32, size/wordBytes)
		for i := range f.memory[*address] {
			f.memory[*address][i] = 0xa5a5a5a5 // nobody has cleared it
		}
	}
	return code
}

func (f *fakeDriver) free(address uint64) result {
	code := f.enter("cuMemFree", true)
	if f.memory[address] == nil {
		return invalidValue
	}
	delete(f.memory, address)
	return code
}

func (f *fakeDriver) allocateHost(memory *unsafe.Pointer, size uintptr, _ uint32) result {
	code := f.enter("cuMemHostAlloc", true)
	if code == 0 {
		words := make([]uint32, size/wordBytes)
		*memory = unsafe.Pointer(&words[0])
		f.host[*memory] = words
	}
	return code
}

func (f *fakeDriver) freeHost(memory unsafe.Pointer) result {
	code := f.enter("cuMemFreeHost", true)
	if f.host[memory] == nil {
		return invalidValue
	}
	delete(f.host, memory)
	return code
}

// queue adds to what a stream has to do.
func (f *fakeDriver) queue(call string, stream object, do func() result) result {
	if code := f.enter(call, true); code != 0 {
		return code
	}
	s, ok := f.objects[stream].(*fakeStream)
	if !ok {
		f.t.Errorf("%s in stream %#x", call, stream)
		return invalidHandle
	}
	s.queued = append(s.queued, do)
	return 0
}

func (f *fakeDriver) fill(address uint64, value uint32, n uintptr, stream object) result {
	return f.queue("cuMemsetD32Async", stream, func() result {
		for i := range n {
			word := f.word(address + uint64(i)*wordBytes)
			if word == nil {
				return illegalAddress
			}
			*word = value
		}
		return 0
	})
}

func (f *fakeDriver) copy(to unsafe.Pointer, from uint64, size uintptr, stream object) result {
	return f.queue("cuMemcpyDtoHAsync", stream, func() result {
		words, source := f.host[to], f.memory[from]
		if words == nil || source == nil || size > uintptr(len(words)*wordBytes) || size > uintptr(len(source)*wordBytes) {
			f.t.Errorf("a copy of %d bytes from %#x to memory that the card does not see", size, from)
			return invalidValue
		}
		copy(words[:size/wordBytes], source)
		return 0
	})
}

// word returns what an address of the card is of.
func (f *fakeDriver) word(address uint64) *uint32 {
	for start, words := range f.memory {
		if at := address - start; at < uint64(len(words))*wordBytes && at%wordBytes == 0 {
			return &words[at/wordBytes]
		}
	}
	return nil
}

// launch takes the values of the arguments at once, as the program declares them.
func (f *fakeDriver) launch(function object, gridX, gridY, gridZ, blockX, blockY, blockZ, shared uint32, stream object, arguments *unsafe.Pointer, extra *uintptr) result {
	var program *ptxProgram
	for _, o := range f.objects {
		if m, ok := o.(fakeModule); ok {
			program = m.program
		}
	}
	if program == nil || function != fakeFunction || gridX < 1 || gridY != 1 || gridZ != 1 || blockX < 1 || blockX > 1024 || blockY != 1 || blockZ != 1 || shared != 0 || extra != nil {
		return invalidValue
	}
	var params []byte
	for i, value := range unsafe.Slice(arguments, len(program.params)) {
		p := program.params[i]
		params = append(params, make([]byte, p.offset-len(params))...)
		params = append(params, unsafe.Slice((*byte)(value), p.size)...)
	}
	return f.queue("cuLaunchKernel", stream, func() result {
		registers := make([]uint64, program.registers)
		for block := gridX; block > 0; block-- { // in no order that anybody may rely on
			for thread := range blockX {
				f.threads++
				if err := program.run(registers, block-1, thread, params, f.word); err != nil {
					f.t.Log(err)
					return illegalAddress
				}
			}
		}
		return 0
	})
}

// record has an event wait for what a stream has to do by now.
func (f *fakeDriver) record(event, stream object) result {
	if code := f.enter("cuEventRecord", true); code != 0 {
		return code
	}
	e, isEvent := f.objects[event].(*fakeEvent)
	s, isStream := f.objects[stream].(*fakeStream)
	if !isEvent || !isStream {
		return invalidHandle
	}
	queued := s.queued
	s.queued = nil
	e.done = func() result {
		all := queued
		queued = nil
		return f.work(all)
	}
	return 0
}

// work does what was queued. What fails is lost for good.
func (f *fakeDriver) work(queued []func() result) result {
	for _, do := range queued {
		if f.lost = do(); f.lost != 0 {
			break
		}
	}
	return f.lost
}

func (f *fakeDriver) destroyStream(stream object) result {
	if s, ok := f.objects[stream].(*fakeStream); ok && len(s.queued) > 0 && f.lost == 0 {
		f.t.Error("a stream is destroyed before it is done")
	}
	return remove[*fakeStream](f, "cuStreamDestroy", stream)
}

// finish has a stream do what no event was recorded behind.
func (f *fakeDriver) finish(stream object) result {
	if code := f.enter("cuStreamSynchronize", true); code != 0 {
		return code
	}
	s, ok := f.objects[stream].(*fakeStream)
	if !ok {
		return invalidHandle
	}
	queued := s.queued
	s.queued = nil
	return f.work(queued)
}

func (f *fakeDriver) synchronize(event object) result {
	if code := f.enter("cuEventSynchronize", true); code != 0 {
		return code
	}
	e, ok := f.objects[event].(*fakeEvent)
	if !ok {
		return invalidHandle
	}
	if e.done == nil {
		return 0
	}
	return e.done()
}
