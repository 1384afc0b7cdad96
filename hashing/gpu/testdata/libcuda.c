// A look-alike of NVIDIA's driver library for tests without a card. Its functions have
// the signatures of cuda.h and hold their caller to the manual: whoever passes something
// wrong ends the process. It runs no PTX: it hashes by the arguments of a launch, in the
// plainest way. CUDA_LOOKS_LIKE in the environment has it fail.

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct context *CUcontext;
typedef struct module *CUmodule;
typedef struct function *CUfunction;
typedef struct stream *CUstream;
typedef struct event *CUevent;

enum {
	INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_PTX = 218, NOT_FOUND = 500, OUT_OF_RESOURCES = 701, LAUNCH_FAILED = 719,
	CAPACITY = 256, GROUP = 64, WORDS = 2 + 2 * CAPACITY, ARGUMENTS = 26, CARDS = 2,
};

struct context { int retained; };
struct module { int versions; struct function { struct module *of; } scan; };
struct launch { int versions; uint32_t words[16][8], w16, w17, part[4], first, count, top; CUdeviceptr found; uint32_t items; };
struct work { enum { FILL, LAUNCH, COPY } kind; CUdeviceptr at; void *to; size_t size; struct launch launch; struct work *next; };
struct stream { struct work *head, **tail; };
struct event { CUstream in; };

static struct context primary;
static _Thread_local CUcontext current;
static int objects; // that nobody has given back
static struct { uint32_t *words; CUdeviceptr address; void *host; } memory[64];
static int initialized, launches, lost;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

static int mode(const char *name)
{
	const char *set = getenv("CUDA_LOOKS_LIKE");
	return set && strcmp(set, name) == 0;
}

static void check(int right, const char *call, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "libcuda look-alike: %s: %s\n", call, what);
	abort();
}

static void unlock(pthread_mutex_t **held) { pthread_mutex_unlock(*held); }

// ENTER begins a function: one at a time, and after cuInit.
#define ENTER                                                                     \
	pthread_mutex_t *held __attribute__((cleanup(unlock), unused)) = &lock;   \
	pthread_mutex_lock(&lock);                                                \
	check(initialized, __func__, "before cuInit")

// IN_CONTEXT begins one that needs the context on this thread.
#define IN_CONTEXT                                                                              \
	ENTER;                                                                                  \
	check(current == &primary && primary.retained > 0, __func__, "the context is not current"); \
	if (lost)                                                                               \
		return lost

CUresult cuGetErrorName(CUresult code, const char **name)
{
	*name = code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : code == INVALID_PTX ? "CUDA_ERROR_INVALID_PTX" :
		code == OUT_OF_RESOURCES ? "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES" : code == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : NULL;
	return *name ? 0 : INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult code, const char **text)
{
	*text = code == NO_DEVICE ? "no CUDA-capable device is detected" : "so it seems";
	return 0;
}

static void theirs(int signal) { check(0, "signal handler", strsignal(signal)); }

CUresult cuInit(unsigned flags)
{
	check(flags == 0, __func__, "flags");
	for (int i = 0; i < 3; i++) // as drivers with a compiler do
		signal((int[]){SIGINT, SIGTERM, SIGSEGV}[i], theirs);
	if (mode("no device"))
		return NO_DEVICE;
	initialized = 1;
	return 0;
}

CUresult cuDriverGetVersion(int *version) { ENTER; *version = 13010; return 0; }
CUresult cuDeviceGetCount(int *count) { ENTER; *count = CARDS; return 0; }

CUresult cuDeviceGet(CUdevice *device, int index)
{
	ENTER;
	check(index >= 0 && index < CARDS, __func__, "index");
	*device = 40 + index; // not the index itself
	return 0;
}

static int ordinal(CUdevice device, const char *call)
{
	check(device >= 40 && device < 40 + CARDS, call, "device");
	return device - 40;
}

CUresult cuDeviceGetName(char *name, int room, CUdevice device)
{
	ENTER;
	snprintf(name, (size_t)room, ordinal(device, __func__) ? "NVIDIA Ancient" : "NVIDIA Look-alike");
	return 0;
}

CUresult cuDeviceGetPCIBusId(char *address, int room, CUdevice device)
{
	ENTER;
	snprintf(address, (size_t)room, "0000:%02x:00.0", 0x17 + ordinal(device, __func__));
	return 0;
}

CUresult cuDeviceTotalMem_v2(size_t *size, CUdevice device)
{
	ENTER;
	ordinal(device, __func__);
	*size = (size_t)141 << 30;
	return 0;
}

CUresult cuDeviceGetAttribute(int *value, int name, CUdevice device)
{
	ENTER;
	int ancient = ordinal(device, __func__);
	switch (name) {
	case 16: *value = 132; return 0;
	case 75: *value = ancient ? 6 : 9; return 0;
	case 76: *value = ancient ? 1 : 0; return 0;
	}
	return INVALID_VALUE;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
	ENTER;
	check(ordinal(device, __func__) == 0 && flags == 4, __func__, "want blocking synchronization");
	return 0;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	ENTER;
	check(ordinal(device, __func__) == 0, __func__, "the ancient card");
	primary.retained++;
	*context = &primary;
	return 0;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	ENTER;
	check(ordinal(device, __func__) == 0 && primary.retained > 0, __func__, "never retained");
	if (--primary.retained == 0) {
		check(objects == 0 || lost, __func__, "something was not given back");
		objects = lost = 0;
		memset(memory, 0, sizeof memory);
	}
	return 0;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	ENTER;
	check(context == NULL || context == &primary, __func__, "context");
	current = context;
	return 0;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, int *options, void **values)
{
	IN_CONTEXT;
	check(n == 2 && options[0] == 5 && options[1] == 6 && (uintptr_t)values[1] >= 256, __func__, "want a log for errors");
	if (mode("bad compiler")) {
		snprintf(values[0], (uintptr_t)values[1], "ptxas fatal   : looks\nalike");
		return INVALID_PTX;
	}
	int parameters = 0, first = 0;
	const char *text = strstr(image, ".visible .entry scan(");
	check(text && strlen(image) > 100000, __func__, "no PTX of the program");
	for (const char *at = text; (at = strstr(at, "\t.param")); at++)
		parameters++;
	check(parameters == ARGUMENTS, __func__, "parameters");
	if (strstr(text, ".param .u32 scan_param_0,"))
		first = 4;
	else
		sscanf(strstr(text, "scan_param_0["), "scan_param_0[%d]", &first);
	*module = calloc(1, sizeof **module);
	(*module)->versions = first / 4;
	(*module)->scan.of = *module;
	objects++;
	return 0;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	IN_CONTEXT;
	if (strcmp(name, "scan"))
		return NOT_FOUND;
	*function = &module->scan;
	return 0;
}

CUresult cuModuleUnload(CUmodule module) { IN_CONTEXT; free(module); objects--; return 0; }

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size)
{
	IN_CONTEXT;
	check(size == WORDS * sizeof(uint32_t), __func__, "size");
	for (int i = 0; i < 64; i++) {
		if (memory[i].words)
			continue;
		memory[i].words = memset(malloc(size), 0xa5, size);
		*address = memory[i].address = 0xdead00000000u + ((uint64_t)i << 12); // no address of the host's
		objects++;
		return 0;
	}
	return 2;
}

static uint32_t *at(CUdeviceptr address, const char *call)
{
	for (int i = 0; i < 64; i++)
		if (memory[i].words && memory[i].address == address)
			return memory[i].words;
	check(0, call, "device memory");
	return NULL;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
	IN_CONTEXT;
	free(at(address, __func__));
	memory[(address >> 12) & 63].words = NULL;
	objects--;
	return 0;
}

CUresult cuMemHostAlloc(void **host, size_t size, unsigned flags)
{
	IN_CONTEXT;
	check(size == WORDS * sizeof(uint32_t) && flags == 0, __func__, "size or flags");
	*host = calloc(1, size);
	for (int i = 0; i < 64; i++) {
		if (memory[i].host)
			continue;
		memory[i].host = *host;
		objects++;
		return 0;
	}
	return 2;
}

static int pinned(const void *host)
{
	for (int i = 0; i < 64; i++)
		if (memory[i].host == host)
			return i;
	check(host == NULL, "host memory", "not pinned");
	return -1;
}

CUresult cuMemFreeHost(void *host)
{
	IN_CONTEXT;
	memory[pinned(host)].host = NULL;
	free(host);
	objects--;
	return 0;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
	IN_CONTEXT;
	check(flags == 1, __func__, "want one that waits for no other");
	*stream = calloc(1, sizeof **stream);
	(*stream)->tail = &(*stream)->head;
	objects++;
	return 0;
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	IN_CONTEXT;
	check(stream->head == NULL, __func__, "it has work to do");
	free(stream);
	objects--;
	return 0;
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
	IN_CONTEXT;
	check(flags == 3, __func__, "want blocking synchronization and no timing");
	*event = calloc(1, sizeof **event);
	objects++;
	return 0;
}

CUresult cuEventDestroy_v2(CUevent event) { IN_CONTEXT; free(event); objects--; return 0; }

// queue adds to what a stream has to do; cuEventSynchronize does it.
static struct work *queue(CUstream stream)
{
	struct work *w = calloc(1, sizeof *w);
	*stream->tail = w;
	stream->tail = &w->next;
	return w;
}

CUresult cuMemsetD32Async(CUdeviceptr address, unsigned value, size_t n, CUstream stream)
{
	IN_CONTEXT;
	check(value == 0 && n == 2 && at(address, __func__), __func__, "want the two words in front cleared");
	struct work *w = queue(stream);
	w->kind = FILL;
	w->at = address;
	return 0;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream)
{
	IN_CONTEXT;
	check(size == WORDS * sizeof(uint32_t) && pinned(to) >= 0 && at(from, __func__), __func__, "size");
	struct work *w = queue(stream);
	w->kind = COPY;
	w->at = from;
	w->to = to;
	return 0;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ, unsigned shared, CUstream stream, void **arguments, void **extra)
{
	IN_CONTEXT;
	check(gridX > 0 && gridY == 1 && gridZ == 1 && blockX == GROUP && blockY == 1 && blockZ == 1, __func__, "grid");
	check(function == &function->of->scan && shared == 0 && extra == NULL, __func__, "arguments");
	if (mode("small card"))
		return OUT_OF_RESOURCES;
	struct work *w = queue(stream);
	struct launch *l = &w->launch;
	w->kind = LAUNCH;
	l->versions = function->of->versions;
	l->items = gridX * blockX;
	for (int i = 0; i < 16; i++)
		memcpy(l->words[i], arguments[i], 4 * (size_t)l->versions);
	uint32_t *single[] = {&l->w16, &l->w17, &l->part[0], &l->part[1], &l->part[2], &l->part[3], &l->first, &l->count, &l->top};
	for (int i = 0; i < 9; i++)
		memcpy(single[i], arguments[16 + i], 4);
	memcpy(&l->found, arguments[25], 8);
	check(l->part[2] == (rotr(l->w16, 7) ^ rotr(l->w16, 18) ^ l->w16 >> 3) + 640, __func__, "part31");
	check(l->part[3] == (rotr(l->w17, 7) ^ rotr(l->w17, 18) ^ l->w17 >> 3) + l->w16, __func__, "part32");
	check(at(l->found, __func__) && l->count <= l->items && l->items - l->count < GROUP, __func__, "count");
	return 0;
}

CUresult cuEventRecord(CUevent event, CUstream stream) { IN_CONTEXT; event->in = stream; return 0; }

// SHA-256, as FIPS 180-4 has it.
static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void expand(uint32_t w[64], int from)
{
	for (int t = from; t < 64; t++) {
		uint32_t a = w[t - 15], b = w[t - 2];
		w[t] = w[t - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[t - 7] + (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
	}
}

// rounds does those from one on, on a state named as the standard names it.
static void rounds(uint32_t s[8], const uint32_t w[64], int from)
{
	for (int t = from; t < 64; t++) {
		uint32_t e = s[4], a = s[0];
		uint32_t t1 = s[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + K[t] + w[t];
		uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof *s);
		s[0] = t1 + t2;
		s[4] += t1;
	}
}

// top_word returns that of a header's hash: rounds 0 to 3 were done by the host.
static uint32_t top_word(const struct launch *l, int version, uint32_t nonce)
{
	uint32_t w[64] = {0}, s[8], word3 = __builtin_bswap32(nonce);
	w[3] = word3;
	w[4] = 0x80000000;
	w[15] = 640;
	w[16] = l->w16;
	w[17] = l->w17;
	w[18] = l->part[0] + (rotr(word3, 7) ^ rotr(word3, 18) ^ word3 >> 3);
	expand(w, 19);
	for (int i = 0; i < 8; i++)
		s[i] = l->words[8 + (i + 4) % 8][version]; // round 4 calls e what the standard calls a
	s[0] += word3;
	s[4] += word3;
	rounds(s, w, 4);
	memset(w, 0, sizeof w);
	for (int i = 0; i < 8; i++)
		w[i] = s[i] + l->words[i][version];
	w[8] = 0x80000000;
	w[15] = 256;
	expand(w, 16);
	uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	rounds(h, w, 0);
	return __builtin_bswap32(h[7] + 0x5be0cd19);
}

static void scan(const struct launch *l)
{
	uint32_t *found = at(l->found, "scan");
	for (uint32_t i = 0; i < l->count; i++) {
		for (int v = 0; v < l->versions; v++) {
			if (top_word(l, v, l->first + i) > l->top)
				continue;
			uint32_t n = found[0]++;
			if (n >= CAPACITY) {
				found[1] = 1;
				continue;
			}
			found[2 + 2 * n] = l->first + i;
			found[3 + 2 * n] = (uint32_t)v;
		}
	}
}

// finish has a stream do all that it has to.
static CUresult finish(CUstream stream)
{
	for (struct work *w; (w = stream->head); free(w)) {
		uint32_t *words = at(w->kind == LAUNCH ? w->launch.found : w->at, __func__);
		if (w->kind == FILL)
			memset(words, 0, 8);
		else if (w->kind == COPY)
			memcpy(w->to, words, WORDS * sizeof *words);
		else if (launches++ == 20 && mode("lost card"))
			return lost = LAUNCH_FAILED;
		else
			scan(&w->launch);
		if (!(stream->head = w->next))
			stream->tail = &stream->head;
	}
	return 0;
}

CUresult cuEventSynchronize(CUevent event) { IN_CONTEXT; return event->in ? finish(event->in) : 0; }

CUresult cuStreamSynchronize(CUstream stream) { IN_CONTEXT; return finish(stream); }
