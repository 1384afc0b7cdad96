package access

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// testNow is when merging is tested.
var testNow = time.Unix(1_000_000, 0)

// told reads machines as "LABEL NAME HOME JOINED [REVOKED] [ROLE]".
func toldOf(t testing.TB, lines ...string) (machines []protocol.Machine) {
	t.Helper()
	for _, line := range lines {
		m := protocol.Machine{Role: protocol.RoleWorker}
		words := strings.Fields(line)
		if last := words[len(words)-1]; protocol.CheckRole(protocol.Role(last)) == nil {
			m.Role, words = protocol.Role(last), words[:len(words)-1]
		}
		m.Key, m.Name, m.Home = publicOf(t, words[0]), words[1], words[2]
		if _, err := fmt.Sscan(strings.Join(words[3:], " ")+" 0", &m.Joined, &m.Revoked); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		machines = append(machines, m)
	}
	return machines
}

// written returns the machines of a book in the same form, by label, those that are
// not let in with a bar before them.
func written(t testing.TB, b *book, labels ...string) string {
	t.Helper()
	var lines []string
	for _, label := range labels {
		m, ok := b.machines[publicOf(t, label)]
		if !ok {
			continue
		}
		line := fmt.Sprintf("%s %s %s %d", label, m.Name, b.tell(m).Home, m.Joined)
		if m.Revoked != 0 {
			line += fmt.Sprint(" ", m.Revoked)
		} else if !b.has(m) {
			line = "|" + line
		}
		if m.Role != protocol.RoleWorker {
			line += " " + string(m.Role)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// TestMergeRules tells a book of things, one after the other.
func TestMergeRules(t *testing.T) {
	labels := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name string
		told []string
		want string
		news int // how many of what is told last
	}{
		{"a machine", []string{"a rig beta 10"}, "a rig beta 10", 1},
		{"the same again", []string{"a rig beta 10", "a rig beta 10"}, "a rig beta 10", 0},
		{"one that joined here, they say", []string{"a rig alpha 10"}, "", 0},
		{"one that joined here in the end, they say", []string{"a rig beta 10", "a rig alpha 9"}, "a rig beta 10", 0},
		{"revoked", []string{"a rig beta 10", "a rig beta 10 500000"}, "a rig beta 10 500000", 1},
		{"not revoked after all", []string{"a rig beta 10 500000", "a rig beta 10"}, "a rig beta 10 500000", 0},
		{"revoked earlier", []string{"a rig beta 10 500000", "a rig beta 10 400000"}, "a rig beta 10 400000", 1},
		{"revoked later", []string{"a rig beta 10 400000", "a rig beta 10 500000"}, "a rig beta 10 400000", 0},
		{"joined earlier", []string{"a rig beta 10", "a rig beta 9"}, "a rig beta 9", 1},
		{"joined earlier elsewhere", []string{"a rig beta 10", "a rig gamma 9"}, "a rig gamma 9", 1},
		{"joined later", []string{"a rig beta 10", "a rig gamma 11"}, "a rig beta 10", 0},
		{"joined elsewhere at that time", []string{"a rig gamma 10", "a rig beta 10"}, "a rig beta 10", 1},
		{"another name", []string{"a rig beta 10", "a box beta 9"}, "a rig beta 10", 0},
		{"another role", []string{"a rig beta 10", "a rig beta 9 coordinator"}, "a rig beta 10", 0},
		{"revoked under another name", []string{"a rig beta 10", "a box beta 9 500000"}, "a rig beta 10 500000", 1},
		{"two of a name", []string{"a rig beta 10", "b rig gamma 11"}, "a rig beta 10, |b rig gamma 11", 1},
		{"two of a name, the other way", []string{"b rig gamma 11", "a rig beta 10"}, "a rig beta 10, |b rig gamma 11", 1},
		{"two that joined at once", []string{"b rig gamma 10", "a rig beta 10", "c rig beta 10"}, firstOf(t, 10, "a", "b", "c"), 1},
		{"the second of a name is revoked", []string{"a rig beta 10", "b rig gamma 11", "b rig gamma 11 500000"}, "a rig beta 10, b rig gamma 11 500000", 1},
		{"the first of a name is revoked", []string{"a rig beta 10", "b rig gamma 11", "a rig beta 10 500000"}, "a rig beta 10 500000, b rig gamma 11", 1},
		{"the first of three is revoked", []string{"a rig beta 10", "c rig beta 12", "b rig gamma 11", "a rig beta 10 500000"}, "a rig beta 10 500000, b rig gamma 11, |c rig beta 12", 1},
		{"the second turns out to be the first", []string{"a rig beta 10", "b rig gamma 11", "b rig gamma 9"}, "|a rig beta 10, b rig gamma 9", 1},
		{"a founder whose name a process could have", []string{"a rig_1 rig_1 10 coordinator", "b rig gamma 11"}, "a rig_1 rig_1 10 coordinator, |b rig gamma 11", 1},
		{"long forgotten", []string{"a rig beta 10 11"}, "a rig beta 10 11", 1},
	} {
		b := newBook([]string{"alpha"})
		news := 0
		for _, line := range tt.told {
			c, err := b.merge(testNow, "beta", toldOf(t, line))
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			b.apply(c)
			news = len(c.machines)
		}
		if got := written(t, b, labels...); got != tt.want || news != tt.news {
			t.Errorf("%s: %s, %d news, want %s, %d", tt.name, got, news, tt.want, tt.news)
		}
	}
}

// firstOf is what is written of machines that all joined at a time under one name.
func firstOf(t *testing.T, joined int, labels ...string) string {
	t.Helper()
	least := slices.MinFunc(labels, func(a, b string) int { return strings.Compare(publicOf(t, a), publicOf(t, b)) })
	home := map[string]string{"a": "beta", "b": "gamma", "c": "beta"}
	var lines []string
	for _, label := range labels {
		line := fmt.Sprintf("%s rig %s %d", label, home[label], joined)
		if label != least {
			line = "|" + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// TestMergeInAnyOrder has three nodes enrol and revoke on their own, and one more hear
// of what they know in any order, in parts and again: it ends with the same book. The
// machines that joined this one stay what and who they are, whatever is told of them,
// and others that are said to have did not.
func TestMergeInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) // fixed seed: failures repeat
	homes, roles := []string{"alpha", "beta", "gamma"}, []protocol.Role{protocol.RoleWorker, protocol.RoleCoordinator, protocol.RoleObserver}
	var labels []string
	for i := range 12 {
		labels = append(labels, fmt.Sprint("m", i))
	}
	joined := []machine{ // here; the first is the node itself
		{Key: publicOf(t, "self"), Name: "delta", Role: protocol.RoleCoordinator, Joined: 9},
		{Key: publicOf(t, "own1"), Name: "rig-1", Role: protocol.RoleWorker, Joined: 3},
		{Key: publicOf(t, "own2"), Name: "rig-2", Role: protocol.RoleWorker, Joined: 4},
	}
	var invented []string
	for round := range 200 {
		var all []protocol.Machine
		for _, m := range joined {
			for range rng.IntN(3) {
				all = append(all, protocol.Machine{
					Key: m.Key, Name: m.Name, Role: m.Role, Home: append(homes, "delta")[rng.IntN(4)], Joined: rng.Int64N(5),
				})
			}
		}
		for i := range 3 {
			label := fmt.Sprint("x", i)
			all = append(all, protocol.Machine{Key: publicOf(t, label), Name: joined[i].Name, Role: joined[i].Role, Home: "delta"})
			invented = append(invented, publicOf(t, label))
		}
		all = append(all, protocol.Machine{Key: publicOf(t, "thief"), Name: "delta", Role: protocol.RoleCoordinator, Home: "beta"})
		for i, label := range labels {
			m := protocol.Machine{Key: publicOf(t, label), Name: fmt.Sprint("rig-", rng.IntN(4)), Role: roles[i%3], Home: homes[i%3], Joined: rng.Int64N(5)}
			for range 1 + rng.IntN(4) { // as different nodes know it
				known := m
				if rng.IntN(2) == 0 {
					known.Joined, known.Home = rng.Int64N(5), homes[rng.IntN(3)]
				}
				if rng.IntN(3) == 0 {
					known.Revoked = testNow.Unix() - rng.Int64N(3)
				}
				all = append(all, known)
			}
		}
		var want string
		for try := range 6 {
			b := newBook([]string{"delta"})
			b.self = joined[0].Key
			b.apply(change{machines: joined})
			told := slices.Clone(all)
			if try > 0 {
				told = append(told, all[:rng.IntN(len(all))]...)
			}
			rng.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
			for len(told) > 0 {
				n := 1 + rng.IntN(len(told))
				c, err := b.merge(testNow, "beta", told[:n])
				if err != nil {
					t.Fatal(err)
				}
				b.apply(c)
				told = told[n:]
			}
			got := written(t, b, labels...)
			if try == 0 {
				want = got
			} else if got != want {
				t.Fatalf("round %d: %s\nwant %s", round, got, want)
			}
			if c, _ := b.merge(testNow, "beta", all); len(c.machines) != 0 {
				t.Fatalf("round %d: told again, %d are news", round, len(c.machines))
			}
			for _, m := range joined {
				if got := b.machines[m.Key]; got != m || !b.has(m) {
					t.Fatalf("round %d: %+v joined here and is %+v, has its name %v", round, m, got, b.has(m))
				}
			}
			for _, key := range invented {
				if m, known := b.machines[key]; known {
					t.Fatalf("round %d: joined here because others say so: %+v", round, m)
				}
			}
			checkNames(t, b)
		}
	}
}

// checkNames works out anew who has which name.
func checkNames(t *testing.T, b *book) {
	t.Helper()
	want := map[string]machine{}
	for _, m := range b.machines {
		name := protocol.MachineOf(m.Name)
		if holder, held := want[name]; m.Revoked == 0 && (!held || b.first(m, holder)) {
			want[name] = m
		}
	}
	if len(want) != len(b.names) {
		t.Fatalf("%d names, want %d", len(b.names), len(want))
	}
	for name, m := range want {
		if b.names[name] != m.Key {
			t.Fatalf("name %s is of %s, want %s", name, b.names[name], m.Key)
		}
	}
}

// TestMergeBounds keeps so many machines of others, and no machine under the key of a
// token; what joins here still has room.
func TestMergeBounds(t *testing.T) {
	b := newBook([]string{"alpha"})
	c, err := b.issue(testNow, publicOf(t, "token"), protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(c)
	var many []protocol.Machine
	for i := range maxTold - 1 {
		many = append(many, protocol.Machine{Key: fmt.Sprintf("U%055d", i), Name: fmt.Sprint("m", i), Role: protocol.RoleWorker, Home: []string{"zero", "beta"}[i%2], Joined: 10})
	}
	for i, from := range []string{"beta_1", "gamma"} {
		if c, err = b.merge(testNow, from, many[i*maxTeller:min((i+1)*maxTeller, len(many))]); err != nil || len(c.machines) != maxTeller-i {
			t.Fatalf("%d machines, %v", len(c.machines), err)
		}
		b.apply(c)
	}
	if c, err = b.merge(testNow, "beta_2", toldOf(t, "a x beta 10")); !errors.Is(err, protocol.Full) || len(c.machines) != 0 {
		t.Fatalf("of the one that told the most: %d machines, %v, want %v", len(c.machines), err, protocol.Full)
	}
	c, err = b.merge(testNow, "delta", toldOf(t, "token rig beta 10", "a x beta 10", "b y beta 10"))
	if !errors.Is(err, protocol.Full) || len(c.machines) != 1 || c.machines[0].Key != publicOf(t, "a") {
		t.Fatalf("a token, one that fits and one that does not: %+v, %v, want the second and %v", c.machines, err, protocol.Full)
	}
	b.apply(c)
	many[0].Revoked = testNow.Unix()
	if c, err = b.merge(testNow, "delta", many); err != nil || len(c.machines) != 1 {
		t.Errorf("the revocation of one that is known: %d changes, %v", len(c.machines), err)
	}
	if _, c, err = b.enrol(testNow, enrolOf(t, "token", "own", "rig", protocol.RoleWorker)); err != nil {
		t.Errorf("one that joins here: %v", err)
	}
	b.apply(c)
	b.apply(change{dropped: []string{many[0].Key, many[1].Key}})
	if c, err = b.merge(testNow, "delta", toldOf(t, "b y beta 10", "c z beta 10", "d w beta 10")); !errors.Is(err, protocol.Full) || len(c.machines) != 2 {
		t.Errorf("when two are forgotten: %d changes, %v", len(c.machines), err)
	}
	b.apply(c)
	var revoked []protocol.Machine
	for i := range maxTeller + 1 {
		revoked = append(revoked, protocol.Machine{Key: fmt.Sprintf("R%055d", i), Name: "r", Role: protocol.RoleWorker, Home: "beta", Revoked: testNow.Unix()})
	}
	if c, err = b.merge(testNow, "omega", revoked); !errors.Is(err, protocol.Full) || len(c.machines) != maxTeller {
		t.Fatalf("revoked ones: %d changes, %v, want %d, %v", len(c.machines), err, maxTeller, protocol.Full)
	}
	b.apply(c)
	b.apply(change{dropped: []string{many[2].Key}})
	if c, err = b.merge(testNow, "delta", toldOf(t, "d w beta 10")); err != nil || len(c.machines) != 1 {
		t.Errorf("beside the revoked ones of another: %d changes, %v", len(c.machines), err)
	}
}

// TestMergeForgets lets no revocation come back that was forgotten, and keeps one as
// long that another told with a wrong clock.
func TestMergeForgets(t *testing.T) {
	now, old := testNow.Add(2*keepRevoked), testNow.Unix()-1
	b := newBook([]string{"alpha"})
	c, err := b.merge(now, "beta", toldOf(t, fmt.Sprint("a rig beta 10 ", old)))
	if err != nil || len(c.machines) != 0 {
		t.Errorf("revoked a year ago: %+v, %v, want it passed over", c.machines, err)
	}
	for _, line := range []string{"a rig beta 10", "a rig beta 10 11"} {
		c, _ = b.merge(now, "beta", toldOf(t, line))
		b.apply(c)
	}
	if c = b.prune(now.Add(keepRevoked)); len(c.dropped) != 0 {
		t.Error("a revocation by a clock of 1970 is forgotten at once")
	}
	if c = b.prune(now.Add(keepRevoked + time.Second)); len(c.dropped) != 1 {
		t.Errorf("later %d are forgotten, want 1", len(c.dropped))
	}
}

// TestEnrolInAMesh chooses names that are free in the whole book, and lists whose home
// is elsewhere.
func TestEnrolInAMesh(t *testing.T) {
	b := newBook([]string{"alpha", "owner"})
	c, _ := b.merge(testNow, "beta", toldOf(t, "a rig beta 10", "b box_1 box_1 5 coordinator"))
	b.apply(c)
	for i, want := range []string{"rig-2", "box-2"} {
		token := fmt.Sprint("token ", i)
		c, err := b.issue(testNow, publicOf(t, token), protocol.RoleWorker, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		b.apply(c)
		m, c, err := b.enrol(testNow, enrolOf(t, token, token+" machine", strings.TrimSuffix(want, "-2"), protocol.RoleWorker))
		if err != nil || m.Name != want {
			t.Errorf("enrolled as %q, %v, want %q", m.Name, err, want)
		}
		b.apply(c)
	}
	var homes []string
	entries, _ := b.list(testNow, "")
	for _, e := range entries {
		if e.ID == "" {
			homes = append(homes, e.Name+"@"+e.Home)
		}
	}
	slices.Sort(homes)
	if got, want := strings.Join(homes, " "), "box-2@ box_1@box_1 rig-2@ rig@beta"; got != want {
		t.Errorf("machines and homes %s, want %s", got, want)
	}
	if _, entries, err := b.revoke(testNow, "rig"); err != nil || len(entries) != 1 || entries[0].Home != "beta" {
		t.Errorf("one of another coordinator is revoked: %+v, %v", entries, err)
	}
}

func selfOf(t testing.TB, label, name string, joined int64) protocol.Machine {
	return protocol.Machine{Key: publicOf(t, label), Name: name, Role: protocol.RoleCoordinator, Home: name, Joined: joined}
}

// TestFound puts the coordinator itself into its book, start after start.
func TestFound(t *testing.T) {
	mem := vfs.NewMem()
	k, st := openKeeper(t, mem)
	founder := toldOf(t, "founder zero zero 5 coordinator")
	want := func(step, want string) {
		t.Helper()
		if got := written(t, k.book, "k1", "k2", "founder"); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	for range 2 {
		if err := k.Found(testNow, selfOf(t, "k1", "alpha", 10)); err != nil {
			t.Fatal(err)
		}
	}
	want("alone", "k1 alpha alpha 10 coordinator")
	if _, count := k.Count(); count != 1 {
		t.Errorf("founding twice counts as %d changes, want 1", count)
	}
	if !k.Unused(testNow, protocol.RoleWorker) || len(k.Shadowed()) != 0 || !k.IsCoordinator(publicOf(t, "k1")) {
		t.Errorf("unused %v, shadowed %v, trusted %v", k.Unused(testNow, protocol.RoleWorker), k.Shadowed(), k.IsCoordinator(publicOf(t, "k1")))
	}
	if _, err := k.Revoke(testNow, "alpha"); !errors.Is(err, protocol.Malformed) {
		t.Errorf("revoking oneself: %v, want %v", err, protocol.Malformed)
	}
	if err := k.Found(testNow, selfOf(t, "k1", "alpha-x", 10)); err != nil {
		t.Errorf("another name while nobody knows the old one: %v", err)
	}
	want("renamed", "k1 alpha-x alpha 10 coordinator")
	if err := k.Found(testNow, selfOf(t, "k1", "alpha", 10)); err != nil {
		t.Fatal(err)
	}

	// It joins another: from now on it goes by the key of that.
	if err := k.Found(testNow, selfOf(t, "k2", "alpha", 20), founder...); err != nil {
		t.Fatal(err)
	}
	want("joined", fmt.Sprintf("k1 alpha alpha 10 %d coordinator, k2 alpha alpha 20 coordinator, founder zero zero 5 coordinator", testNow.Unix()))
	for _, tt := range []struct {
		label   string
		trusted bool
	}{{"k1", false}, {"k2", true}, {"founder", true}, {"nobody", false}} {
		if got := k.IsCoordinator(publicOf(t, tt.label)); got != tt.trusted {
			t.Errorf("%s is trusted: %v", tt.label, got)
		}
	}
	if err := k.Found(testNow, selfOf(t, "k2", "alpha-x", 20)); !errors.Is(err, ErrOtherName) {
		t.Errorf("another name in a mesh: %v, want %v", err, ErrOtherName)
	}
	if err := k.Found(testNow, selfOf(t, "k1", "alpha", 10)); !errors.Is(err, ErrRevoked) {
		t.Errorf("under the old key again: %v, want %v", err, ErrRevoked)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	before := written(t, k.book, "k1", "k2", "founder")
	k, st = openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	want("after a restart", before)
	if len(k.Shadowed()) != 0 {
		t.Errorf("shadowed %v", k.Shadowed())
	}
	if err := k.Found(testNow, protocol.Machine{}); err == nil {
		t.Error("a coordinator without a key is found")
	}
}

// TestTrustedOnRoutes is for unrevoked coordinators alone that have their name.
func TestTrustedOnRoutes(t *testing.T) {
	k, st := openKeeper(t, vfs.NewMem())
	defer func() { _ = st.Close() }()
	news, err := k.Merge(testNow, "zero", toldOf(t,
		"a beta zero 10 coordinator", "b gamma zero 10 500000 coordinator", "c rig zero 10", "d beta gamma 11 coordinator",
	))
	if err != nil || len(news) != 4 {
		t.Fatalf("%d news, %v", len(news), err)
	}
	for label, trusted := range map[string]bool{"a": true, "b": false, "c": false, "d": false, "e": false} {
		if got := k.IsCoordinator(publicOf(t, label)); got != trusted {
			t.Errorf("%s is trusted: %v", label, got)
		}
	}
	if name, ok := k.Coordinator(publicOf(t, "a")); name != "beta" || !ok {
		t.Errorf("a is %q, %v", name, ok)
	}
	if barred := k.Barred(); len(barred) != 1 || barred[0].Key != publicOf(t, "d") {
		t.Errorf("barred %+v, want d", barred)
	}
	if _, in := k.Who(publicOf(t, "d")); in {
		t.Error("the second of a name is let in")
	}
	if who, in := k.Who(publicOf(t, "c")); !in || who.Name != "rig" {
		t.Errorf("a machine of another coordinator is %+v, %v", who, in)
	}
	if _, err := k.Revoke(testNow, publicOf(t, "a")); err != nil {
		t.Fatal(err)
	}
	if _, in := k.Who(publicOf(t, "d")); !in || !k.IsCoordinator(publicOf(t, "d")) {
		t.Error("the second of a name is not let in when the first is revoked")
	}
}

// TestOldRecords reads a store that an earlier version wrote.
func TestOldRecords(t *testing.T) {
	mem := vfs.NewMem()
	_, st := openKeeper(t, mem)
	batch := st.NewBatch()
	batch.Set(store.Coordinator, []byte(machineKeys+publicOf(t, "m")), fmt.Appendf(nil, `{"key":%q,"name":"rig","role":"worker","joined":7}`, publicOf(t, "m")))
	pending, err := batch.Apply()
	if err != nil || pending.Wait() != nil || st.Close() != nil {
		t.Fatal(err)
	}
	k, st := openKeeper(t, mem)
	defer func() { _ = st.Close() }()
	machines, _, _, _ := k.Changes(0, 0)
	if want := toldOf(t, "m rig alpha 7"); !slices.Equal(machines, want) {
		t.Errorf("machines %+v, want %+v", machines, want)
	}
	if entries, _ := k.List(testNow, ""); len(entries) != 1 || entries[0].Home != "" {
		t.Errorf("listed as %+v", entries)
	}
}
