package protocol

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/hashing"
)

// TestLargestMessages writes the largest of what Validate lets pass and a coordinator
// or worker sends: all of it fits in a message.
func TestLargestMessages(t *testing.T) {
	const most = math.MaxUint64
	id, name := JobID{most, most}, strings.Repeat("n", maxName)
	head := Reply{Kind: strings.Repeat("k", maxName), ID: most}
	job := &Job{
		Kind: KindRefresh, Coordinator: name, JobID: id, Height: math.MaxUint32, Version: math.MaxUint32, Bits: 0x1f00ffff,
		Time: math.MaxUint32, MinTime: math.MaxUint32, MaxTime: math.MaxUint32, Rolls: 1, SpacingMS: 1 << 40,
		Coinbase1: make(Bytes, maxCoinbaseHalf), Coinbase2: make(Bytes, maxCoinbaseHalf), Branch: make([]hashing.Hash, maxBranch),
	}
	terms := Terms{Number: most, ShareBits: 0x1f00ffff, HomePoints: ColumnPoints}
	var leases []Lease
	var done []Done
	var gone []uint64
	for range MaxListed {
		leases = append(leases, Lease{ID: most, First: 1 << 63, Points: 1<<63 - 1, ExpiresMS: 1 << 40})
		done = append(done, Done{most, most})
		gone = append(gone, most)
	}
	var addresses []string
	for range MaxAddresses {
		addresses = append(addresses, strings.Repeat("a", 250)+":4222")
	}
	refusal := head
	refusal.Detail = strings.Repeat("<", 1000)
	var nodes []Node
	for range MaxNodes {
		nodes = append(nodes, *largestNode(t))
	}
	var machines []Machine
	for range MaxMachines {
		machines = append(machines, Machine{
			Key: pingKey, Name: name, Role: RoleCoordinator, Home: name, Joined: meshSeconds, Revoked: meshSeconds,
		})
	}
	var devices []Device
	for range MaxDevices {
		devices = append(devices, Device{Name: strings.Repeat("n", maxDeviceName), State: strings.Repeat("s", maxDeviceState), RateHS: 1.2345678901234567e17, Shares: most})
	}
	for _, m := range []Message{
		job,
		&NodesReply{Reply: head, Nodes: nodes, After: name},
		&AskNodes{Ask: Ask{KindNodes, most}, After: name},
		&MachinesReply{Reply: head, Epoch: most, After: most, More: true, Machines: machines},
		&Hold{Kind: KindHold, Coordinator: name, JobID: id, UntilMS: math.MaxInt64, Reason: strings.Repeat("<", 200)},
		&JoinReply{Reply: head, Epoch: most, Slot: maxSlot - 1, Exchange: make(Bytes, 32), Yours: make(Bytes, 32), Terms: terms, Job: job, Leases: leases},
		&CurrentReply{Reply: head, Job: job, Leases: leases},
		&ProgressReply{Reply: head, Current: id, Holding: true, Terms: terms, Leases: leases, Gone: gone},
		&EnrolReply{
			Reply: head, Name: name[:MaxMachineName], Role: RoleCoordinator, CA: strings.Repeat("\n", 4096), Addresses: addresses,
			Mesh: pingKey, Routes: slices.Repeat(addresses, MaxRoutes/MaxAddresses),
		},
		&Progress{Ask: Ask{KindProgress, most}, Sitting: Sitting{id, maxSlot - 1}, Leases: done, Want: most, RateHS: 1.2345678901234567e17, DeclaredHS: 1.2345678901234567e17, Devices: devices},
		&Join{
			Ask: Ask{KindJoin, most}, Name: name, Version: strings.Repeat("<", maxText), Kernel: strings.Repeat("<", maxText), Host: strings.Repeat("<", maxText),
			Threads: maxThreads, DeclaredHS: 1.2345678901234567e17, Exchange: make(Bytes, 32), Devices: devices,
		},
		&SyncHeaders{Ask: Ask{KindHeaders, most}, Locator: make([]hashing.Hash, MaxSyncHashes)},
		&SyncBlocks{Ask: Ask{KindBlocks, most}, Hashes: make([]hashing.Hash, MaxSyncHashes), Offset: MaxSyncBlock - 1},
		&BlockAnnounced{Kind: KindAnnounced, Coordinator: name, Height: math.MaxUint32, Chainwork: strings.Repeat("f", 64)},
		&refusal,
	} {
		if err := m.Validate(); err != nil {
			t.Errorf("%T: %v", m, err)
		}
		if n := len(Encode(m)); n > MaxMessage {
			t.Errorf("%T: %d bytes, at most %d", m, n, MaxMessage)
		}
	}
}
