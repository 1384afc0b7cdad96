package protocol

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

// TestPermissionLists pins what every role may do. Whether a server holds them to
// it is tested with the server.
func TestPermissionLists(t *testing.T) {
	s := NewSubjects("dev-1a2b3c4d")
	for _, tt := range []struct {
		role               Role
		publish, subscribe string
	}{
		{RoleWorker, "ask.*.n solved.n $SRV.PING.jbc-coordinator", "job.* solved.* _INBOX.n.>"},
		{RoleObserver, "get.* $SRV.PING.jbc-coordinator", "solved.* block.* tx.* _INBOX.n.>"},
		{
			RoleOwner,
			"ask.*.n solved.n $SRV.PING.jbc-coordinator get.* $SRV.PING.jbc-coordinator admin.home",
			"job.* solved.* _INBOX.n.> solved.* block.* tx.* _INBOX.n.>",
		},
		{
			RoleCoordinator, "job.n block.n tx.n get.* sync.* $SRV.PING.jbc-coordinator _INBOX.>",
			"ask.n.* get.n sync.n enrol.n admin.n solved.* block.* tx.* $SRV.> _INBOX.n.>",
		},
		{RoleJoiner, "enrol.home", "_INBOX.n.>"},
		{"", "", ""},
		{"root", "", ""},
	} {
		p := s.Permissions(tt.role, "n", "home")
		for i := range p.Publish {
			p.Publish[i] = strings.TrimPrefix(p.Publish[i], "jbc.v1.dev-1a2b3c4d.")
		}
		for i := range p.Subscribe {
			p.Subscribe[i] = strings.TrimPrefix(p.Subscribe[i], "jbc.v1.dev-1a2b3c4d.")
		}
		if got := strings.Join(p.Publish, " "); got != tt.publish {
			t.Errorf("%s may publish to %s\nwant %s", tt.role, got, tt.publish)
		}
		if got := strings.Join(p.Subscribe, " "); got != tt.subscribe {
			t.Errorf("%s may subscribe to %s\nwant %s", tt.role, got, tt.subscribe)
		}
	}
}

func TestCheckRole(t *testing.T) {
	for role, ok := range map[Role]bool{
		RoleWorker: true, RoleCoordinator: true, RoleObserver: true,
		RoleOwner: false, RoleJoiner: false, "": false, "Worker": false,
	} {
		if err := CheckRole(role); (err == nil) != ok {
			t.Errorf("CheckRole(%q) = %v, want ok %v", role, err, ok)
		}
	}
}

func TestMachineNames(t *testing.T) {
	long := strings.Repeat("x", 24)
	for name, ok := range map[string]bool{
		"rig": true, "rig-1": true, "-": true, long: true,
		"": false, "rig_1": false, long + "x": false, "rig.1": false, "*": false, "käse": false,
	} {
		if err := CheckMachineName(name); (err == nil) != ok {
			t.Errorf("CheckMachineName(%q) = %v, want ok %v", name, err, ok)
		}
	}
	for text, want := range map[string]string{
		"rig_1.example": "rig-1-example", "": "jbc", "käse": "k-se", strings.Repeat("ab", 20): strings.Repeat("ab", 12), "_": "-",
	} {
		got := MakeMachineName(text)
		if err := CheckMachineName(got); err != nil || got != want {
			t.Errorf("MakeMachineName(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestOwnsName(t *testing.T) {
	for _, tt := range []struct {
		machine, name string
		want          bool
	}{
		{"rig", "rig", true},
		{"rig", "rig_", true},
		{"rig", "rig_4f2a", true},
		{"rig", "rig_a_b", true},
		{"rig", "rig-1", false},
		{"rig", "rig1", false},
		{"rig", "ri", false},
		{"rig", "", false},
		{"rig", "xrig_1", false},
		{"rig", "rig_.x", false},
		{"rig", "rig_*", false},
		{"rig", "rig_>", false},
		{"rig", "rig_" + strings.Repeat("x", 29), false},
		{"rig-2", "rig_2", false},
	} {
		if got := OwnsName(tt.machine, tt.name); got != tt.want {
			t.Errorf("OwnsName(%q, %q) = %v, want %v", tt.machine, tt.name, got, tt.want)
		}
	}
}

// TestJoinerName is one token of a subject and differs from key to key.
func TestJoinerName(t *testing.T) {
	if got := JoinerName(pingKey); got != "BCWI2KLQ" {
		t.Errorf("JoinerName = %q", got)
	}
	for _, short := range []string{"", "U", "UAB"} {
		if got := JoinerName(short); len(got) >= 8 {
			t.Errorf("JoinerName(%q) = %q", short, got)
		}
	}
}

// TestEnrolProof binds a proof to all that an enrolment says.
func TestEnrolProof(t *testing.T) {
	seed, err := nkeys.FromSeed([]byte(tokenSeed))
	if err != nil {
		t.Fatal(err)
	}
	if public, err := seed.PublicKey(); err != nil || public != tokenKey {
		t.Fatalf("the test's token key is %s, want %s (%v)", tokenKey, public, err)
	}
	e := Enrol{Ask: Ask{Kind: KindEnrol, ID: 1}, Role: RoleWorker, Name: "rig", Key: pingKey, Token: tokenKey}
	sig, err := seed.Sign(e.Proven())
	if err != nil {
		t.Fatal(err)
	}
	holds := func(e Enrol) bool { return seed.Verify(e.Proven(), sig) == nil }
	again := e
	again.ID = 2 // the same question, asked again
	if !holds(e) || !holds(again) {
		t.Fatal("the proof does not hold")
	}
	for name, change := range map[string]func(*Enrol){
		"role":               func(e *Enrol) { e.Role = RoleCoordinator },
		"name":               func(e *Enrol) { e.Name = "rig-2" },
		"key":                func(e *Enrol) { e.Key = tokenKey },
		"token":              func(e *Enrol) { e.Token = pingKey },
		"name and key moved": func(e *Enrol) { e.Name, e.Key = e.Name+"\n"+e.Key[:1], e.Key[1:] },
	} {
		other := e
		change(&other)
		if holds(other) {
			t.Errorf("it holds for another %s", name)
		}
		if slices.Equal(other.Proven(), e.Proven()) {
			t.Errorf("another %s is proven by the same bytes", name)
		}
	}
}
