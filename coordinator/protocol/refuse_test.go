package protocol

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// TestDecodeRefuses takes what is sent on the wire and is no message: bytes in,
// code out.
func TestDecodeRefuses(t *testing.T) {
	join := func(field, value string) string {
		m := fields(t, &Join{Ask: Ask{KindJoin, 1}, Name: "w1", Exchange: make(Bytes, 32)})
		m[field] = json.RawMessage(value)
		return encodeFields(t, m)
	}
	for _, tt := range []struct {
		name string
		data string
		into Message
		want Code
	}{
		{"nothing", "", &Join{}, Malformed},
		{"white space", " \n", &Join{}, Malformed},
		{"null", "null", &Join{}, Malformed},
		{"null to a reply", "null", &ClaimReply{}, Malformed},
		{"null to a status reply", "null", &StatusReply{}, Malformed},
		{"a number", "1", &Join{}, Malformed},
		{"an array", "[]", &Join{}, Malformed},
		{"a string", `"join"`, &Join{}, Malformed},
		{"not JSON", "\x00\x01", &Join{}, Malformed},
		{"cut short", join("name", `"w1"`)[:20], &Join{}, Malformed},
		{"a second message behind", join("name", `"w1"`) + "{}", &Join{}, Malformed},
		{"a byte behind", join("name", `"w1"`) + "x", &Join{}, Malformed},
		{"a zero byte behind", join("name", `"w1"`) + "\x00", &Join{}, Malformed},
		{"white space behind", join("name", `"w1"`) + " \n", &Join{}, OK},
		{"at the limit", pad(join("name", `"w1"`), MaxMessage), &Join{}, OK},
		{"over the limit", pad(join("name", `"w1"`), MaxMessage+1), &Join{}, Oversized},
		{"nonsense over the limit", strings.Repeat("[", MaxMessage+1), &Join{}, Oversized},
		{"nested deeply", strings.Repeat("[", MaxMessage), &Join{}, Malformed},
		{"nested deeply in a field nobody knows", `{"x":` + strings.Repeat("[", 8_000) + strings.Repeat("]", 8_000) + `}`, &Join{}, Malformed},

		{"wrong type: name a number", join("name", `1`), &Join{}, Malformed},
		{"wrong type: kind an object", join("kind", `{}`), &Join{}, Malformed},
		{"wrong type: threads a string", join("threads", `"8"`), &Join{}, Malformed},
		{"wrong type: threads a fraction", join("threads", `1.5`), &Join{}, Malformed},
		{"id too short", join("id", `"1"`), &Join{}, Malformed},
		{"id too long", join("id", `"00000000000000001"`), &Join{}, Malformed},
		{"id with a sign", join("id", `"+000000000000001"`), &Join{}, Malformed},
		{"id not hex", join("id", `"000000000000000g"`), &Join{}, Malformed},
		{"id a number", join("id", `1`), &Join{}, Malformed},
		{"id in capitals", join("id", `"00000000DEADBEEF"`), &Join{}, OK},
		{"negative threads", join("threads", `-1`), &Join{}, Malformed},
		{"too many threads", join("threads", `65537`), &Join{}, Malformed},
		{"threads over 64 bits", join("threads", `99999999999999999999`), &Join{}, Malformed},
		{"negative rate", join("declared_hs", `-1`), &Join{}, Malformed},
		{"rate of 0", join("declared_hs", `0`), &Join{}, OK},
		{"the highest rate", join("declared_hs", `1e18`), &Join{}, OK},
		{"too high a rate", join("declared_hs", `1.0000001e18`), &Join{}, Malformed},
		{"rate over 64 bits", join("declared_hs", `1e400`), &Join{}, Malformed},
		{"rate NaN", join("declared_hs", `NaN`), &Join{}, Malformed},
		{"rate infinite", join("declared_hs", `Infinity`), &Join{}, Malformed},
		{"name missing", `{"kind":"join","id":"0000000000000001"}`, &Join{}, Malformed},
		{"name with a dot", join("name", `"a.b"`), &Join{}, Malformed},
		{"name with a wildcard", join("name", `">"`), &Join{}, Malformed},
		{"name too long", join("name", `"`+strings.Repeat("x", 33)+`"`), &Join{}, Malformed},
		{"host too long", join("host", `"`+strings.Repeat("x", 65)+`"`), &Join{}, Malformed},
		{"kernel too long", join("kernel", `"`+strings.Repeat("x", 65)+`"`), &Join{}, Malformed},
		{"version huge", join("version", `"`+strings.Repeat("x", 15_000)+`"`), &Join{}, Malformed},
		{"another kind", join("kind", `"leave"`), &Join{}, Malformed},

		{"exchange of half a byte too few", join("exchange", `"`+strings.Repeat("0", 63)+`"`), &Join{}, Malformed},
		{"exchange that is no hex", join("exchange", `"`+strings.Repeat("z", 64)+`"`), &Join{}, Malformed},
		{"exchange too short", join("exchange", `"`+strings.Repeat("0", 62)+`"`), &Join{}, Malformed},
		{"exchange too long", join("exchange", `"`+strings.Repeat("0", 66)+`"`), &Join{}, Malformed},
		{"exchange missing", `{"kind":"join","id":"0000000000000001","name":"w1"}`, &Join{}, Malformed},
		{"share with a negative roll", `{"kind":"share","id":"0000000000000001","epoch":1,"number":1,"roll":-1}`, &Claim{}, Malformed},
		{"share with a negative epoch", `{"kind":"share","id":"0000000000000001","epoch":-1,"number":1}`, &Claim{}, Malformed},
		{"share of a slot over 32 bits", `{"kind":"share","id":"0000000000000001","epoch":1,"number":1,"slot":4294967296}`, &Claim{}, Malformed},
		{"solved with a short header", `{"coordinator":"a","header":"00","epoch":1,"number":1}`, &Solved{}, Malformed},
		{"progress with negative points", `{"kind":"progress","id":"0000000000000001","epoch":1,"leases":[{"lease":0,"done":-1}]}`, &Progress{}, Malformed},
		{"progress with points over 64 bits", `{"kind":"progress","id":"0000000000000001","epoch":1,"leases":[{"lease":0,"done":18446744073709551616}]}`, &Progress{}, Malformed},
		{"get from below 0", `{"kind":"status","id":"0000000000000001","from":-1}`, &Get{}, Malformed},
	} {
		if got := CodeOf(Decode([]byte(tt.data), tt.into)); got != tt.want {
			t.Errorf("%s: code %d (%v), want %d (%v)", tt.name, got, got, tt.want, tt.want)
		}
	}
}

// TestKindOf tells what to decode a message into.
func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		name, data, kind string
		want             Code
	}{
		{"a kind", `{"kind":"join"}`, "join", OK},
		{"a kind of the future", `{"kind":"teleport","warp":9}`, "teleport", OK},
		{"none", `{}`, "", Malformed},
		{"an empty one", `{"kind":""}`, "", Malformed},
		{"too long a one", `{"kind":"` + strings.Repeat("k", 33) + `"}`, "", Malformed},
		{"a number", `{"kind":7}`, "", Malformed},
		{"null", `null`, "", Malformed},
		{"data behind", `{"kind":"join"}}`, "", Malformed},
		{"over the limit", pad(`{"kind":"join"}`, MaxMessage+1), "", Oversized},
	} {
		kind, err := KindOf([]byte(tt.data))
		if got := CodeOf(err); got != tt.want || err == nil && kind != tt.kind {
			t.Errorf("%s: KindOf = %q, code %d, want %q, code %d", tt.name, kind, got, tt.kind, tt.want)
		}
	}
}

// TestValidateRefuses changes one field of a good message at a time.
func TestValidateRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    Message
	}{
		{"job of another kind", changed(testJob(), func(j *Job) { j.Kind = KindHold })},
		{"job without a coordinator", changed(testJob(), func(j *Job) { j.Coordinator = "" })},
		{"job of a coordinator with a dot", changed(testJob(), func(j *Job) { j.Coordinator = "a.b" })},
		{"job of epoch 0", changed(testJob(), func(j *Job) { j.Epoch = 0 })},
		{"job of number 0", changed(testJob(), func(j *Job) { j.Number = 0 })},
		{"job without rolls", changed(testJob(), func(j *Job) { j.Rolls = 0 })},
		{"job with negative rolls", changed(testJob(), func(j *Job) { j.Rolls = -16 })},
		{"job with rolls that are no power of two", changed(testJob(), func(j *Job) { j.Rolls = 12 })},
		{"job with too many rolls", changed(testJob(), func(j *Job) { j.Rolls = 128 })},
		{"job with rolls over 32 bits", changed(testJob(), func(j *Job) { j.Rolls = 1 << 40 })},
		{"job whose version is rolled already", changed(testJob(), func(j *Job) { j.Version = 0x20002000 })},
		{"job with a huge branch", changed(testJob(), func(j *Job) { j.Branch = make([]hashing.Hash, 33) })},
		{"job with a huge coinbase1", changed(testJob(), func(j *Job) { j.Coinbase1 = make(Bytes, 16<<10+1) })},
		{"job with a huge coinbase2", changed(testJob(), func(j *Job) { j.Coinbase2 = make(Bytes, 16<<10+1) })},
		{"job before its time", changed(testJob(), func(j *Job) { j.Time = j.MinTime - 1 })},
		{"job after its time", changed(testJob(), func(j *Job) { j.Time = j.MaxTime + 1 })},
		{"job without spacing", changed(testJob(), func(j *Job) { j.SpacingMS = 0 })},
		{"job with negative spacing", changed(testJob(), func(j *Job) { j.SpacingMS = -1 })},
		{"job with a spacing of ages", changed(testJob(), func(j *Job) { j.SpacingMS = 1<<40 + 1 })},
		{"job with bits of zero", changed(testJob(), func(j *Job) { j.Bits = 0x1e000000 })},
		{"job with negative bits", changed(testJob(), func(j *Job) { j.Bits = 0x1e83ffff })},
		{"job with bits beyond 256", changed(testJob(), func(j *Job) { j.Bits = 0xff03ffff })},
		{"hold of another kind", changed(testHold(), func(h *Hold) { h.Kind = KindJob })},
		{"hold of epoch 0", changed(testHold(), func(h *Hold) { h.Epoch = 0 })},
		{"hold with a long reason", changed(testHold(), func(h *Hold) { h.Reason = strings.Repeat("x", 201) })},
		{"hold of no coordinator", changed(testHold(), func(h *Hold) { h.Coordinator = "" })},
		{"rejection of another kind", &Rejected{Kind: KindJob, Coordinator: "a", Epoch: 1}},
		{"rejection of epoch 0", &Rejected{Kind: KindRejected, Coordinator: "a"}},
		{"rejection of no coordinator", &Rejected{Kind: KindRejected, Epoch: 1}},
		{"place of epoch 0", &Place{JobID: JobID{0, 1}}},
		{"place of number 0", &Place{JobID: JobID{1, 0}}},
		{"place with a negative roll", &Place{JobID: JobID{1, 1}, Roll: -1}},
		{"place with a roll of 64", &Place{JobID: JobID{1, 1}, Roll: 64}},
		{"solved of no coordinator", &Solved{Kind: KindSolved, Place: Place{JobID: JobID{1, 1}}}},
		{"solved of no job", &Solved{Kind: KindSolved, Coordinator: "a"}},
		{"block of no coordinator", &BlockAnnounced{Kind: KindAnnounced}},
		{"block of another kind", &BlockAnnounced{Kind: KindSolved, Coordinator: "a"}},
		{"block of a short chainwork", &BlockAnnounced{Kind: KindAnnounced, Coordinator: "a", Chainwork: "ff"}},
		{"block of a chainwork that is no number", &BlockAnnounced{Kind: KindAnnounced, Coordinator: "a", Chainwork: strings.Repeat("x", 64)}},
		{"headers of another kind", &SyncHeaders{Ask: Ask{Kind: KindBlocks}, Locator: make([]hashing.Hash, 1)}},
		{"headers after nothing", &SyncHeaders{Ask: Ask{Kind: KindHeaders}}},
		{"headers after too many", &SyncHeaders{Ask: Ask{Kind: KindHeaders}, Locator: make([]hashing.Hash, 65)}},
		{"blocks of another kind", &SyncBlocks{Ask: Ask{Kind: KindHeaders}, Hashes: make([]hashing.Hash, 1)}},
		{"no blocks", &SyncBlocks{Ask: Ask{Kind: KindBlocks}}},
		{"too many blocks", &SyncBlocks{Ask: Ask{Kind: KindBlocks}, Hashes: make([]hashing.Hash, 65)}},
		{"blocks from beyond the largest", &SyncBlocks{Ask: Ask{Kind: KindBlocks}, Hashes: make([]hashing.Hash, 1), Offset: 4_000_000}},
		{"solved of another kind", &Solved{Coordinator: "a", Place: Place{JobID: JobID{1, 1}}}},
		{"claim of another kind", &Claim{Ask: Ask{Kind: KindJoin}, Place: Place{JobID: JobID{1, 1}}}},
		{"claim of a slot beyond the last", &Claim{Ask: Ask{Kind: KindShare}, Place: Place{JobID: JobID{1, 1}}, Slot: 1 << 24}},
		{"claim of no job", &Claim{Ask: Ask{Kind: KindShare}}},
		{"current of another kind", &Current{Ask: Ask{Kind: KindJoin}, Sitting: Sitting{JobID: JobID{1, 1}}}},
		{"current of epoch 0", &Current{Ask: Ask{Kind: KindCurrent}}},
		{"current of a slot beyond the last", &Current{Ask: Ask{Kind: KindCurrent}, Sitting: Sitting{JobID{1, 1}, 1 << 24}}},
		{"progress of another kind", &Progress{Ask: Ask{Kind: KindShare}, Sitting: Sitting{JobID: JobID{1, 1}}}},
		{"progress of epoch 0", &Progress{Ask: Ask{Kind: KindProgress}}},
		{"progress of too many leases", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Leases: make([]Done, 65)}},
		{"progress with a declared rate of NaN", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, DeclaredHS: math.NaN()}},
		{"progress with a device of a negative rate", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: []Device{{RateHS: -1}}}},
		{"progress with a device of a long name", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: []Device{{Name: strings.Repeat("n", 41)}}}},
		{"progress with a device of a long state", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: []Device{{State: strings.Repeat("n", 17)}}}},
		{"progress with a device named for a terminal", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: []Device{{Name: "\x1b[2J"}}}},
		{"progress with a state that JSON escapes", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: []Device{{State: "<"}}}},
		{"progress with 17 devices", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, Devices: make([]Device, 17)}},
		{"join with 17 devices", &Join{Ask: Ask{Kind: KindJoin}, Name: "w1", Exchange: make(Bytes, 32), Devices: make([]Device, 17)}},
		{"progress with a rate of NaN", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, RateHS: math.NaN()}},
		{"progress with an infinite rate", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, RateHS: math.Inf(1)}},
		{"progress with a negative rate", &Progress{Ask: Ask{Kind: KindProgress}, Sitting: Sitting{JobID: JobID{1, 1}}, RateHS: -1}},
		{"join with a rate of NaN", &Join{Ask: Ask{Kind: KindJoin}, Name: "a", DeclaredHS: math.NaN()}},
		{"join with an infinite rate", &Join{Ask: Ask{Kind: KindJoin}, Name: "a", DeclaredHS: math.Inf(1)}},
		{"get of another kind", &Get{Ask: Ask{Kind: KindJoin}}},
		{"get at a long place", &Get{Ask: Ask{Kind: KindBlock}, At: strings.Repeat("0", 65)}},
		{"reply with a long detail", &Reply{Detail: strings.Repeat("x", 1001)}},
		{"claim reply with a long detail", &ClaimReply{Reply: Reply{Detail: strings.Repeat("x", 1001)}}},
		{"status reply without a status", &StatusReply{}},
		{"block reply without a block", &BlockReply{}},

		{"slot in epoch 0", joinReply(func(r *JoinReply) { r.Epoch = 0 })},
		{"slot beyond the last", joinReply(func(r *JoinReply) { r.Slot = 1 << 24 })},
		{"slot with a short exchange", joinReply(func(r *JoinReply) { r.Exchange = r.Exchange[:31] })},
		{"slot with a long exchange", joinReply(func(r *JoinReply) { r.Exchange = append(r.Exchange, 0) })},
		{"slot without an exchange", joinReply(func(r *JoinReply) { r.Exchange = nil })},
		{"slot that repeats no exchange", joinReply(func(r *JoinReply) { r.Yours = nil })},
		{"slot that repeats a long exchange", joinReply(func(r *JoinReply) { r.Yours = append(r.Yours, 0) })},
		{"slot with share bits of zero", joinReply(func(r *JoinReply) { r.Terms.ShareBits = 0 })},
		{"slot with a home of over a column", joinReply(func(r *JoinReply) { r.Terms.HomePoints = ColumnPoints + 1 })},
		{"slot with a lease beyond the line", joinReply(func(r *JoinReply) { r.Leases = []Lease{{First: math.MaxUint64, Points: 1}} })},
		{"slot with too many leases", joinReply(func(r *JoinReply) { r.Leases = make([]Lease, 65) })},
		{"slot with a bad job", joinReply(func(r *JoinReply) { r.Job.Rolls = 3 })},
		{"slot with a bad hold", joinReply(func(r *JoinReply) { r.Job, r.Hold = nil, &Hold{} })},
		{"slot with both job and hold", joinReply(func(r *JoinReply) { r.Hold = testHold() })},
		{"current with both job and hold", &CurrentReply{Job: testJob(), Hold: testHold()}},
		{"current with a bad job", &CurrentReply{Job: &Job{}}},
		{"current with a bad hold", &CurrentReply{Hold: &Hold{}}},
		{"current with a lease beyond the line", &CurrentReply{Leases: []Lease{{First: 1 << 63, Points: 1 << 63}}}},
		{"progress reply with bad terms", &ProgressReply{}},
		{"progress reply with a lease beyond the line", &ProgressReply{Terms: Terms{ShareBits: 0x1f00ffff}, Leases: []Lease{{First: 1, Points: math.MaxUint64}}}},
		{"progress reply with too many gone", &ProgressReply{Terms: Terms{ShareBits: 0x1f00ffff}, Gone: make([]uint64, 65)}},
	} {
		if err := tt.m.Validate(); err == nil {
			t.Errorf("%s: Validate lets it pass", tt.name)
		}
	}
}

// TestRefusalsNeedNoMore has a refusal pass with nothing but its code.
func TestRefusalsNeedNoMore(t *testing.T) {
	for _, m := range []Message{
		&JoinReply{Reply: Reply{Code: Full}}, &CurrentReply{Reply: Reply{Code: UnknownSlot}}, &ProgressReply{Reply: Reply{Code: UnknownSlot}},
		&ClaimReply{Reply: Reply{Code: HighHash}}, &StatusReply{Reply: Reply{Code: Unavailable}}, &BlockReply{Reply: Reply{Code: NotFound}},
	} {
		if err := m.Validate(); err != nil {
			t.Errorf("%T that refuses: %v", m, err)
		}
	}
}

// TestCodes pins the numbers: a code is never given another meaning.
func TestCodes(t *testing.T) {
	for want, c := range map[uint16]Code{
		0: OK, 100: Malformed, 101: Oversized, 102: UnknownKind, 103: BadMAC,
		200: UnknownJob, 201: Stale, 202: HighHash, 203: Known, 204: NotLeased, 205: UnknownSlot, 206: LeaseGone, 207: UnknownTerms,
		300: InvalidBlock, 400: Busy, 401: Full, 404: NotFound, 503: Unavailable,
	} {
		if uint16(c) != want {
			t.Errorf("%v has the number %d, want %d", c, uint16(c), want)
		}
		if codeNames[c] == "" {
			t.Errorf("code %d has no name", want)
		}
	}
	if got := Code(999).String(); got != "code 999" {
		t.Errorf("an unknown code is called %q", got)
	}
	if got := CodeOf(fmt.Errorf("wrapped: %w", Stale)); got != Stale {
		t.Errorf("CodeOf a wrapped code = %v, want %v", got, Stale)
	}
}

// TestHostileMessagesAllocateLittle measures what reading a message costs that was
// made to cost: about twice the message and what the JSON package needs of its own.
func TestHostileMessagesAllocateLittle(t *testing.T) {
	const most = 2*MaxMessage + 32<<10
	fill := func(head, piece, tail string) string {
		n := (MaxMessage - len(head) - len(tail) - len(piece)) / (len(piece) + 1)
		return head + strings.Repeat(piece+",", n) + piece + tail
	}
	for _, tt := range []struct {
		name, data string
		into       Message
	}{
		{"leases reported without content", fill(`{"kind":"progress","leases":[`, `{}`, `]}`), &Progress{}},
		{"leases reported as null", fill(`{"kind":"progress","leases":[`, `null`, `]}`), &Progress{}},
		{"leases reported many times", fill(`{"kind":"progress"`, `"leases":[{},{}]`, `}`), &Progress{}},
		{"fields that nobody knows", fill(`{"kind":"share",`, `"":0`, `}`), &Claim{}},
		{"a long exchange", `{"exchange":"` + strings.Repeat("ab", MaxMessage/2-20) + `"}`, &Join{}},
		{"a long name", `{"name":"` + strings.Repeat("x", MaxMessage-20) + `"}`, &Join{}},
		{"a long name of escapes", `{"name":"` + strings.Repeat(`\n`, MaxMessage/2-20) + `"}`, &Join{}},
		{"an array for a name", fill(`{"name":[`, `0`, `]}`), &Join{}},
		{"a branch of null", fill(`{"branch":[`, `null`, `]}`), &Job{}},
		{"leases granted without content", fill(`{"leases":[`, `{}`, `]}`), &ProgressReply{}},
		{"leases gone", fill(`{"gone":[`, `0`, `]}`), &ProgressReply{}},
		{"leases of a join", fill(`{"leases":[`, `{}`, `]}`), &JoinReply{}},
		{"a locator of null", fill(`{"kind":"headers","locator":[`, `null`, `]}`), &SyncHeaders{}},
		{"hashes of nothing", fill(`{"kind":"blocks","hashes":[`, `""`, `]}`), &SyncBlocks{}},
		{"leases of the moment", fill(`{"leases":[`, `{}`, `]}`), &CurrentReply{}},
	} {
		data := []byte(tt.data)
		if len(data) > MaxMessage {
			t.Fatalf("%s: %d bytes", tt.name, len(data))
		}
		_ = Decode(data, tt.into) // the JSON package remembers types
		if got := allocated(func() { _ = Decode(data, blank(tt.into)) }); got > most {
			t.Errorf("%s: %d bytes are allocated for a message of %d, want at most %d", tt.name, got, len(data), most)
		}
	}
}

// allocated returns the bytes that f allocates, the least of three tries: others
// allocate too.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func changed[T any](m *T, change func(*T)) *T {
	change(m)
	return m
}

func joinReply(change func(*JoinReply)) *JoinReply {
	return changed(&JoinReply{
		Epoch: 1, Exchange: make(Bytes, 32), Yours: make(Bytes, 32), Terms: Terms{Number: 1, ShareBits: 0x1f00ffff}, Job: testJob(),
	}, change)
}

func fields(t *testing.T, m Message) map[string]json.RawMessage {
	t.Helper()
	var out map[string]json.RawMessage
	if err := json.Unmarshal(Encode(m), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// encodeFields writes raw values as they are, right or wrong.
func encodeFields(t *testing.T, m map[string]json.RawMessage) string {
	t.Helper()
	var b strings.Builder
	b.WriteByte('{')
	for name, value := range m {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, value)
	}
	return b.String() + "}"
}

// pad makes a message n bytes long with white space.
func pad(data string, n int) string { return data + strings.Repeat(" ", n-len(data)) }
