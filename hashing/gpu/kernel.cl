// Double SHA-256 of Bitcoin headers over nonces, for VERSIONS versions of a header at
// once: 1, 2, 4 or 8, given by the build.
//
// A header is two blocks of 64 bytes, and its nonce is word 3 of the second. What does
// not depend on the nonce is computed by the host once a search: the state after the
// first block (a midstate a version), the second block's first rounds, and parts of
// its message schedule. The versions differ in the first block alone, so all of them
// share one schedule of the second.
//
// The names are those of FIPS 180-4. Everything is straight-line code after macros:
// no array is indexed by what a compiler could fail to fold.

#if VERSIONS == 1
typedef uint words; // one word of each version's state
#elif VERSIONS == 2
typedef uint2 words;
#elif VERSIONS == 4
typedef uint4 words;
#elif VERSIONS == 8
typedef uint8 words;
#endif

// What OpenCL brings along, or what clang has in its place where it compiles this for
// CUDA, which has no such library.
#ifdef PTX
#define ITEM() (__nvvm_read_ptx_sreg_ctaid_x() * GROUP + __nvvm_read_ptx_sreg_tid_x())
#define COUNT_UP(p) __sync_fetch_and_add((p), 1)
#else
#define ITEM() ((uint)get_global_id(0))
#define COUNT_UP(p) atomic_inc(p)
#endif

__constant uint K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The functions, for one word or for the words of several versions.
#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define CH(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
#define BIG_SIGMA0(x) (ROTR(x, 2) ^ ROTR(x, 13) ^ ROTR(x, 22))
#define BIG_SIGMA1(x) (ROTR(x, 6) ^ ROTR(x, 11) ^ ROTR(x, 25))
#define SIGMA0(x) (ROTR(x, 7) ^ ROTR(x, 18) ^ (x) >> 3)
#define SIGMA1(x) (ROTR(x, 17) ^ ROTR(x, 19) ^ (x) >> 10)
#define SWAP_BYTES(x) ((ROTR(x, 8) & 0xff00ff00u) | (ROTR(x, 24) & 0x00ff00ffu))

// ROUND is a round whose eight state words stay where they are: the caller names them
// one place on each time. kw is the constant plus the message word, which is the same
// for every version.
#define ROUND(a, b, c, d, e, f, g, h, kw)          \
	h += BIG_SIGMA1(e) + CH(e, f, g) + (kw);   \
	d += h;                                    \
	h += BIG_SIGMA0(a) + MAJ(a, b, c);

// HALF_ROUND leaves out the new a, for the end of a hash whose a nobody reads.
#define HALF_ROUND(d, e, f, g, h, kw) d += h + BIG_SIGMA1(e) + CH(e, f, g) + (kw);

// EIGHT_ROUNDS does rounds t to t+7 with their message words; t is a multiple of 8.
#define EIGHT_ROUNDS(t, w0, w1, w2, w3, w4, w5, w6, w7) \
	ROUND(a, b, c, d, e, f, g, h, K[t] + w0)        \
	ROUND(h, a, b, c, d, e, f, g, K[t + 1] + w1)    \
	ROUND(g, h, a, b, c, d, e, f, K[t + 2] + w2)    \
	ROUND(f, g, h, a, b, c, d, e, K[t + 3] + w3)    \
	LATTER_FOUR(t, w4, w5, w6, w7)

#define LATTER_FOUR(t, w4, w5, w6, w7)                  \
	ROUND(e, f, g, h, a, b, c, d, K[t + 4] + w4)    \
	ROUND(d, e, f, g, h, a, b, c, K[t + 5] + w5)    \
	ROUND(c, d, e, f, g, h, a, b, K[t + 6] + w6)    \
	ROUND(b, c, d, e, f, g, h, a, K[t + 7] + w7)

#define SIXTEEN_ROUNDS(t)                                      \
	EIGHT_ROUNDS(t, w0, w1, w2, w3, w4, w5, w6, w7)        \
	EIGHT_ROUNDS(t + 8, w8, w9, w10, w11, w12, w13, w14, w15)

// EXPAND makes word t-16 word t of the schedule; the others are words t-15, t-7 and t-2.
// Words that are 16 apart share a variable.
#define EXPAND(w, minus15, minus7, minus2) w += SIGMA0(minus15) + minus7 + SIGMA1(minus2);

#define EXPAND_0 EXPAND(w0, w1, w9, w14)
#define EXPAND_1_TO_12                                           \
	EXPAND(w1, w2, w10, w15)  EXPAND(w2, w3, w11, w0)        \
	EXPAND(w3, w4, w12, w1)   EXPAND(w4, w5, w13, w2)        \
	EXPAND(w5, w6, w14, w3)   EXPAND(w6, w7, w15, w4)        \
	EXPAND(w7, w8, w0, w5)    EXPAND(w8, w9, w1, w6)         \
	EXPAND(w9, w10, w2, w7)   EXPAND(w10, w11, w3, w8)       \
	EXPAND(w11, w12, w4, w9)  EXPAND(w12, w13, w5, w10)
#define EXPAND_13_TO_15                                          \
	EXPAND(w13, w14, w6, w11) EXPAND(w14, w15, w7, w12)      \
	EXPAND(w15, w0, w8, w13)
#define EXPAND_SIXTEEN EXPAND_0 EXPAND_1_TO_12 EXPAND_13_TO_15

// What padding puts into the message: a single bit, zeros, and the length in bits.
#define END_BIT 0x80000000u
#define HEADER_BITS 640u
#define HASH_BITS 256u

// top_word hashes the eight words of a hash once more and returns the most significant
// word of the result read as a number: the only one that nearly every hash is judged
// by. It is the last of SHA-256's words, so that the last three rounds are not needed at
// all, and of the four before them only half.
static inline uint top_word(uint w0, uint w1, uint w2, uint w3, uint w4, uint w5, uint w6, uint w7)
{
	uint a = 0x6a09e667, b = 0xbb67ae85, c = 0x3c6ef372, d = 0xa54ff53a;
	uint e = 0x510e527f, f = 0x9b05688c, g = 0x1f83d9ab, h = 0x5be0cd19;
	uint w8 = END_BIT, w9 = 0, w10 = 0, w11 = 0, w12 = 0, w13 = 0, w14 = 0, w15 = HASH_BITS;

	SIXTEEN_ROUNDS(0)
	EXPAND_SIXTEEN
	SIXTEEN_ROUNDS(16)
	EXPAND_SIXTEEN
	SIXTEEN_ROUNDS(32)
	EXPAND_0 EXPAND_1_TO_12 // words 48 to 60
	EIGHT_ROUNDS(48, w0, w1, w2, w3, w4, w5, w6, w7)
	ROUND(a, b, c, d, e, f, g, h, K[56] + w8)
	HALF_ROUND(c, d, e, f, g, K[57] + w9)
	HALF_ROUND(b, c, d, e, f, K[58] + w10)
	HALF_ROUND(a, b, c, d, e, K[59] + w11)
	HALF_ROUND(h, a, b, c, d, K[60] + w12)

	const uint last = h + 0x5be0cd19;
	return SWAP_BYTES(last);
}

// report adds a hit to found: how many there are, whether there were more than fit,
// then nonce and version of each.
static inline void report(__global uint *found, uint nonce, uint version)
{
	const uint at = COUNT_UP(&found[0]);
	if (at < CAPACITY) {
		found[2 + 2 * at] = nonce;
		found[3 + 2 * at] = version;
	} else {
		found[1] = 1;
	}
}

// TRY hashes what version v has come to and reports the nonce where the top word is at
// most that of the target. The host looks at the whole hash of those.
#define TRY(v, part)                                                                       \
	if (top_word(a part, b part, c part, d part, e part, f part, g part, h part) <= top) \
		report(found, nonce, v);

// scan tries the nonces [first, first+count), modulo 2^32, one a work item.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void scan(
	// Midstates: word i of every version.
	const words mid0, const words mid1, const words mid2, const words mid3,
	const words mid4, const words mid5, const words mid6, const words mid7,
	// The state after round 3, without the nonce, named as for round 4: what the
	// standard calls e, f, g, h, a, b, c, d.
	const words a3, const words b3, const words c3, const words d3,
	const words e3, const words f3, const words g3, const words h3,
	// Schedule words of the second block, or what is known of them without a nonce.
	const uint w16, const uint w17, const uint part18, const uint part19, const uint part31, const uint part32,
	const uint first, const uint count, const uint top,
	__global uint *found)
{
	const uint item = ITEM();
	if (item >= count)
		return;
	const uint nonce = first + item;
	const uint word3 = SWAP_BYTES(nonce);

	words a = a3 + word3, b = b3, c = c3, d = d3;
	words e = e3 + word3, f = f3, g = g3, h = h3;

	LATTER_FOUR(0, END_BIT, 0, 0, 0)
	EIGHT_ROUNDS(8, 0, 0, 0, 0, 0, 0, 0, HEADER_BITS)

	// Words 16 to 31. Most of their terms are zeros.
	uint w0 = w16;
	uint w1 = w17;
	uint w2 = part18 + SIGMA0(word3);
	uint w3 = part19 + word3;
	uint w4 = SIGMA1(w2) + END_BIT;
	uint w5 = SIGMA1(w3);
	uint w6 = SIGMA1(w4) + HEADER_BITS;
	uint w7 = SIGMA1(w5) + w0;
	uint w8 = SIGMA1(w6) + w1;
	uint w9 = SIGMA1(w7) + w2;
	uint w10 = SIGMA1(w8) + w3;
	uint w11 = SIGMA1(w9) + w4;
	uint w12 = SIGMA1(w10) + w5;
	uint w13 = SIGMA1(w11) + w6;
	uint w14 = SIGMA1(w12) + w7 + SIGMA0(HEADER_BITS);
	uint w15 = SIGMA1(w13) + w8 + part31;
	SIXTEEN_ROUNDS(16)

	w0 = SIGMA1(w14) + w9 + part32;
	EXPAND_1_TO_12 EXPAND_13_TO_15
	SIXTEEN_ROUNDS(32)
	EXPAND_SIXTEEN
	SIXTEEN_ROUNDS(48)

	a += mid0;
	b += mid1;
	c += mid2;
	d += mid3;
	e += mid4;
	f += mid5;
	g += mid6;
	h += mid7;

#if VERSIONS == 1
	TRY(0, )
#else
	TRY(0, .s0)
	TRY(1, .s1)
#endif
#if VERSIONS >= 4
	TRY(2, .s2)
	TRY(3, .s3)
#endif
#if VERSIONS == 8
	TRY(4, .s4)
	TRY(5, .s5)
	TRY(6, .s6)
	TRY(7, .s7)
#endif
}
