package protocol

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

var update = flag.Bool("update", false, "write the golden files anew; review them as a diff")

// testJob is a job with something in every field.
func testJob() *Job {
	return &Job{
		Kind: KindJob, Coordinator: "alpha", JobID: JobID{Epoch: 3, Number: 7},
		Height: 125552, Prev: hashing.Hash{0: 0x1d, 31: 0x80}, Version: 0x20000000, Bits: 0x1e03ffff,
		Time: 1_700_000_000, MinTime: 1_699_999_995, MaxTime: 1_700_000_005,
		Coinbase1: Bytes{0x02, 0, 0, 0, 0x01}, Coinbase2: Bytes{0xff, 0xfe},
		Branch: []hashing.Hash{{0: 1}, {31: 2}}, Rolls: 16, SpacingMS: 2000,
	}
}

// TestDeviceName has whatever a driver may say pass as a name.
func TestDeviceName(t *testing.T) {
	for said, want := range map[string]string{
		"NVIDIA H200":                 "NVIDIA H200",
		"Radeon\u2122 <7900> \x1b[2J": "Radeon? ?7900? ?[2J",
		"\xff\xfe":                    "??",
		strings.Repeat("é", 50):       strings.Repeat("?", 40),
		"":                            "",
	} {
		got := DeviceName(said)
		if err := checkDevices([]Device{{Name: got}}); got != want || err != nil {
			t.Errorf("DeviceName(%q) = %q, %v; want %q", said, got, err, want)
		}
	}
}

func testDevices() []Device {
	return []Device{{Name: "NVIDIA H200", State: "mining", RateHS: 7.25e9, Shares: 12}, {Name: "gfx1100", State: "failed"}}
}

func testHold() *Hold {
	return &Hold{
		Kind: KindHold, Coordinator: "alpha", JobID: JobID{Epoch: 3, Number: 7},
		Prev: hashing.Hash{0: 0x1d}, UntilMS: 1_700_000_000_123, Reason: "the next block's time lies too far ahead",
	}
}

func testStatus() *Status {
	return &Status{
		Network: "dev-1a2b3c4d", Height: 9, Tip: hashing.Hash{31: 9}, TipTime: 1_700_000_000,
		Chainwork: "00000000000000000000000000000000000000000000000000000000000000ff", Bits: 0x1e03ffff,
		Coordinator: "alpha", Key: "UABC", Version: "v1.2.3", Job: JobID{3, 7}, Holding: true,
		Workers: []WorkerStatus{{
			Name: "w1", Slot: 2, Host: "rig-1", Version: "v1.2.3", Kernel: "stdlib", Threads: 8,
			DeclaredHS: 1.5e7, MeasuredHS: 1.25e7, MeasuredErr: 0.25, Shares: 16, Blocks: 1, Refused: 2, HeardMS: 1500,
			Leases:  []LeaseStatus{{Lease: Lease{ID: 0, First: 2 << 32, Points: 100, ExpiresMS: 2750}, Done: 40}},
			Devices: testDevices(),
		}},
		Next: 3, Stale: 1, Blocks: 4, Refused: map[Code]uint64{HighHash: 2, Malformed: 1},
		Dropped: []DroppedStatus{{Name: "w9", UntilMS: 1700000060000, Times: 1, Reasons: map[Code]uint64{HighHash: 40, BadMAC: 24}}},
		Idle:    IdleMS{Validation: 0.5, Write: 3.25, Message: 0.125},
		Race: Race{
			Taken: 5, Reorgs: 2, DeepestReorg: 3, LostMS: 125.5, LostHashes: 1882500,
			Followed: FollowedMS{Count: 5, Median: 4.25, P99: 9.5},
		},
		Others: []OtherStatus{{
			Name: "beta", Key: "UDEF", Height: 8, Chainwork: "00000000000000000000000000000000000000000000000000000000000000ee",
			HeardMS: 1500, Score: 2.5, UntilMS: 1700000060000, Times: 1, Faults: map[string]uint64{"silent": 2},
		}},
		Known: 2,
	}
}

// goldens has every message with something in every field, and those that have
// another face: a refusal, a hold instead of a job. The names are those of the
// files in testdata.
var goldens = []struct {
	name string
	m    Message
}{
	{"job", testJob()},
	{"refresh", func() *Job {
		j := testJob()
		j.Kind, j.Rolls, j.Version, j.Branch = KindRefresh, 1, 0x20002000, nil
		return j
	}()},
	{"hold", testHold()},
	{"rejected", &Rejected{
		Kind: KindRejected, Coordinator: "alpha", Epoch: 3, Hash: hashing.Hash{0: 5}, Prev: hashing.Hash{0: 4}, Code: HighHash,
	}},
	{"solved", &Solved{
		Kind: KindSolved, Coordinator: "alpha", Header: hashing.Header{0: 1, 79: 2},
		Place: Place{JobID: JobID{3, 7}, Point: 0x0000000100000002, Roll: 15},
	}},
	{"block_announced", &BlockAnnounced{Kind: KindAnnounced, Coordinator: "alpha", Height: 9, Hash: hashing.Hash{31: 9}, Header: hashing.Header{0: 1}}},

	{"block_announced_work", &BlockAnnounced{
		Kind: KindAnnounced, Coordinator: "alpha", Height: 9, Hash: hashing.Hash{31: 9}, Header: hashing.Header{0: 1},
		Chainwork: "00000000000000000000000000000000000000000000000000000000000000ff",
	}},

	{"join", &Join{
		Ask: Ask{KindJoin, 0xfedcba9876543210}, Name: "w1", Version: "v1.2.3", Kernel: "stdlib",
		Threads: 8, DeclaredHS: 1.5e7, Host: "rig-1", Exchange: bytes.Repeat([]byte{0xcd}, 32),
	}},
	{"join_devices", &Join{
		Ask: Ask{KindJoin, 0xfedcba9876543210}, Name: "w1", Version: "v1.2.3",
		DeclaredHS: 7.5e9, Host: "rig-1", Exchange: bytes.Repeat([]byte{0xcd}, 32), Devices: testDevices(),
	}},
	{"join_reply_job", &JoinReply{
		Reply: Reply{Kind: KindJoin, ID: 1}, Epoch: 3, Slot: 2,
		Exchange: bytes.Repeat([]byte{0xab}, 32), Yours: bytes.Repeat([]byte{0xcd}, 32),
		Terms: Terms{Number: 1, ShareBits: 0x1f00ffff, HomePoints: 1000}, Job: testJob(),
		Leases: []Lease{{First: 2 << 32, Points: 1000, ExpiresMS: 2750}},
	}},
	{"join_reply_hold", &JoinReply{
		Reply: Reply{Kind: KindJoin, ID: 1}, Epoch: 3, Slot: 2,
		Exchange: bytes.Repeat([]byte{0xab}, 32), Yours: bytes.Repeat([]byte{0xcd}, 32),
		Terms: Terms{Number: 1, ShareBits: 0x1f00ffff, HomePoints: 1000}, Hold: testHold(),
	}},
	{"join_reply_refused", &JoinReply{Reply: Reply{Kind: KindJoin, ID: 1, Code: Full, Detail: "no slot free"}}},

	{"current", &Current{Ask: Ask{KindCurrent, 2}, Sitting: Sitting{JobID{3, 7}, 2}}},
	{"current_reply", &CurrentReply{
		Reply: Reply{Kind: KindCurrent, ID: 2}, Job: testJob(),
		Leases: []Lease{{ID: 9, First: 0x0100000000000000, Points: 500, ExpiresMS: 2750}},
	}},

	{"progress", &Progress{
		Ask: Ask{KindProgress, 3}, Sitting: Sitting{JobID{3, 7}, 2}, Leases: []Done{{0, 400}, {9, 1 << 33}}, Want: 1000, RateHS: 1.25e7,
	}},
	{"progress_devices", &Progress{
		Ask: Ask{KindProgress, 3}, Sitting: Sitting{JobID{3, 7}, 2}, Leases: []Done{{0, 400}}, RateHS: 1.25e7, DeclaredHS: 7.5e9, Devices: testDevices(),
	}},
	{"lease", &Progress{Ask: Ask{KindLease, 4}, Sitting: Sitting{JobID{3, 7}, 2}, Leases: []Done{}, Want: 1000}},
	{"leave", &Progress{Ask: Ask{KindLeave, 5}, Sitting: Sitting{JobID{3, 7}, 2}, Leases: []Done{{0, 400}}}},
	{"progress_reply", &ProgressReply{
		Reply: Reply{Kind: KindProgress, ID: 3}, Current: JobID{3, 8},
		Terms:  Terms{Number: 2, ShareBits: 0x1f00ffff, HomePoints: 1 << 32},
		Leases: []Lease{{ID: 10, First: 0xffffffff00000000, Points: 10, ExpiresMS: 2750}}, Gone: []uint64{9},
	}},

	{"share", &Claim{
		Ask: Ask{KindShare, 6}, Place: Place{JobID{3, 7}, 0x0000000200000010, 3}, Slot: 2, Terms: 1,
	}},
	{"solution", &Claim{
		Ask: Ask{KindSolution, 7}, Place: Place{JobID{3, 7}, 0x0000000200000010, 3}, Slot: 2, Terms: 1,
	}},
	{"claim_reply", &ClaimReply{Reply: Reply{Kind: KindSolution, ID: 7}, Hash: hashing.Hash{31: 9}, Height: 9}},

	{"status", &Get{Ask: Ask{KindStatus, 8}, From: 3}},
	{"status_reply", &StatusReply{Reply: Reply{Kind: KindStatus, ID: 8}, Status: testStatus()}},
	{"block", &Get{Ask: Ask{KindBlock, 9}, At: "125552"}},
	{"block_reply", &BlockReply{Reply: Reply{Kind: KindBlock, ID: 9}, Block: &BlockInfo{
		Height: 9, Hash: hashing.Hash{31: 9}, Header: hashing.Header{0: 1}, Prev: hashing.Hash{31: 8}, Time: 1_700_000_000,
		Data: "<b>&", Miner: "alpha", Address: "jbcd1q", Chainwork: "ff", Main: true,
	}}},
	{"sync_headers", &SyncHeaders{Ask: Ask{KindHeaders, 15}, Locator: []hashing.Hash{{31: 9}, {31: 8}, {0: 1}}}},
	{"sync_blocks", &SyncBlocks{Ask: Ask{KindBlocks, 16}, Hashes: []hashing.Hash{{31: 9}, {0: 1}}, Offset: 16_000}},
	{"enrol", &Enrol{
		Ask: Ask{KindEnrol, 11}, Role: RoleWorker, Name: "rig-1", Key: pingKey, Token: tokenKey, Proof: bytes.Repeat([]byte{0xef}, 64),
	}},
	{"enrol_reply", &EnrolReply{
		Reply: Reply{Kind: KindEnrol, ID: 11}, Name: "rig-1-2", Role: RoleWorker,
		CA: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", Addresses: []string{"192.0.2.7:4222", "[2001:db8::7]:4222"},
	}},
	{"enrol_reply_coordinator", &EnrolReply{
		Reply: Reply{Kind: KindEnrol, ID: 11}, Name: "beta", Role: RoleCoordinator,
		CA: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", Addresses: []string{"192.0.2.7:4222"},
		Mesh: pingKey, Routes: []string{"192.0.2.7:6222", "[2001:db8::9]:6222"},
	}},
	{"token_new", &TokenAsk{Ask: Ask{KindTokenNew, 12}, Role: RoleObserver, TTLMS: 86_400_000}},
	{"token_new_reply", &TokenReply{Reply: Reply{Kind: KindTokenNew, ID: 12}, Token: "jbc1-AQ", Entries: []AccessStatus{}}},
	{"token_list", &TokenAsk{Ask: Ask{KindTokenList, 13}, After: "01700000000 UBCWI2KLQGCGTCHORR6Y"}},
	{"token_list_reply", &TokenReply{
		Reply: Reply{Kind: KindTokenList, ID: 13}, After: "01700000001 UABQAQDAQCBMBCCA",
		Entries: []AccessStatus{
			{ID: "BCWI2KLQ", Key: pingKey, Role: RoleWorker, State: "waiting", Since: 1_700_000_000, Expires: 1_700_086_400},
			{Name: "rig-1", Key: tokenKey, Role: RoleWorker, State: "joined", Since: 1_700_000_001, Online: 2},
			{Name: "rig-2", Key: pingKey, Role: RoleWorker, Home: "beta", State: "joined", Since: 1_700_000_001},
		},
	}},
	{"token_revoke", &TokenAsk{Ask: Ask{KindTokenRevoke, 14}, What: "rig-1"}},

	{"nodes", &AskNodes{Ask: Ask{KindNodes, 17}, After: "alpha"}},
	{"nodes_reply", &NodesReply{Reply: Reply{Kind: KindNodes, ID: 17}, Nodes: []Node{*testNode(), *bareNode()}, After: "gamma"}},
	{"machines", &AskMachines{Ask: Ask{KindMachines, 18}, Epoch: 0xfedcba9876543210, After: 9}},
	{"machines_reply", &MachinesReply{
		Reply: Reply{Kind: KindMachines, ID: 18}, Epoch: 0xfedcba9876543210, After: 11, More: true,
		Machines: []Machine{
			{Key: pingKey, Name: "alpha_1", Role: RoleCoordinator, Home: "alpha_1", Joined: 1_700_000_000},
			{Key: tokenKey, Name: "rig-1", Role: RoleWorker, Home: "beta", Joined: 1_700_000_001, Revoked: 1_700_000_002},
		},
	}},

	{"reply_refused", &Reply{Kind: KindShare, ID: 10, Code: BadMAC, Detail: "wrong MAC"}},
}

// TestGolden pins the bytes of every message, both ways: what we send and what we
// read. The files are indented for review; white space means nothing in JSON.
func TestGolden(t *testing.T) {
	for _, tt := range goldens {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join("testdata", tt.name+".json")
			if *update {
				var indented bytes.Buffer
				if err := json.Indent(&indented, Encode(tt.m), "", "  "); err != nil {
					t.Fatal(err)
				}
				indented.WriteByte('\n')
				if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, golden); err != nil {
				t.Fatal(err)
			}
			if got := Encode(tt.m); string(got) != want.String() {
				t.Errorf("Encode = %s\nwant     %s", got, want.String())
			}
			read := blank(tt.m)
			if err := Decode(golden, read); err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if !reflect.DeepEqual(read, tt.m) {
				t.Errorf("Decode = %+v\nwant     %+v", read, tt.m)
			}
		})
	}
}

// blank returns an empty message of the same type.
func blank(m Message) Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
}

// TestUnknownFieldsPass lets a newer version say more.
func TestUnknownFieldsPass(t *testing.T) {
	for _, tt := range goldens {
		data := append([]byte(`{"to_come":{"deep":[1,{"x":null}]},`), Encode(tt.m)[1:]...)
		read := blank(tt.m)
		if err := Decode(data, read); err != nil {
			t.Errorf("%s with an unknown field: %v", tt.name, err)
		} else if !reflect.DeepEqual(read, tt.m) {
			t.Errorf("%s with an unknown field = %+v, want %+v", tt.name, read, tt.m)
		}
	}
}

// TestRepeatedFields has the last one count, for the kind as for the rest, so that
// two readers of one message never see two kinds.
func TestRepeatedFields(t *testing.T) {
	data := []byte(`{"kind":"share","id":"0000000000000001","kind":"status","from":1,"from":2}`)
	if kind, err := KindOf(data); kind != KindStatus || err != nil {
		t.Errorf("KindOf = %q, %v, want %q", kind, err, KindStatus)
	}
	var get Get
	if err := Decode(data, &get); err != nil || get.Kind != KindStatus || get.From != 2 {
		t.Errorf("Decode = %+v, %v, want kind %q from 2", get, err, KindStatus)
	}
}
