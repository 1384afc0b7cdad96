package access

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// maxWaiting bounds the tokens that wait to be traded: each is a door left open.
	maxWaiting = 1000
	// keepOver is how long a token that is over is kept and a machine that was revoked
	// is listed, so that whoever comes with one hears what became of it.
	keepOver = 7 * 24 * time.Hour
	// keepRevoked is how long a revocation is kept: a coordinator that was away for
	// less and still tells of the machine does not bring it back.
	keepRevoked = 180 * 24 * time.Hour
	// page is how many entries a list tells at once, what one message may hold.
	page = 32
)

// token is the record of one token: never its seed, which only its text holds.
// Times are unix seconds, 0 for never.
type token struct {
	Key     string        `json:"key"` // its public nkey
	Role    protocol.Role `json:"role"`
	Issued  int64         `json:"issued"`
	Expires int64         `json:"expires"`
	Used    int64         `json:"used,omitempty"`
	Machine string        `json:"machine,omitempty"` // the public nkey that it was traded for
	Revoked int64         `json:"revoked,omitempty"`
}

// machine is the record of one machine that traded a token, here or elsewhere, or of
// a coordinator that founded a mesh.
type machine struct {
	Key     string        `json:"key"`
	Name    string        `json:"name"`
	Role    protocol.Role `json:"role"`
	Joined  int64         `json:"joined"`
	Revoked int64         `json:"revoked,omitempty"`
	// Home is the coordinator that others say it joined, empty where this one let it
	// join, or is it.
	Home string `json:"home,omitempty"`
	// Told is the coordinator that told of it first.
	Told string `json:"told,omitempty"`
	// Noted is when others told of its revocation, by the clock here: theirs may be
	// wrong, and yet it has to be kept.
	Noted int64 `json:"noted,omitempty"`
}

// The states of entries, as lists tell them.
const (
	stateWaiting = "waiting"
	stateUsed    = "used"
	stateExpired = "expired"
	stateRevoked = "revoked"
	stateJoined  = "joined"
)

// TokenID is the short form of a token's public key that lists show.
func TokenID(key string) string { return protocol.JoinerName(key) }

func (t *token) state(now time.Time) string {
	switch {
	case t.Revoked != 0:
		return stateRevoked
	case t.Used != 0:
		return stateUsed
	case now.Unix() >= t.Expires:
		return stateExpired
	}
	return stateWaiting
}

// over returns when the token stopped being good for anything, or will.
func (t *token) over() int64 {
	for _, at := range []int64{t.Revoked, t.Used} {
		if at != 0 {
			return at
		}
	}
	return t.Expires
}

// change is what a decision alters: records to write and records to forget.
type change struct {
	tokens   []token
	machines []machine
	dropped  []string // public keys of either
}

// book knows all tokens and machines, and decides. What it decides is a change,
// which counts once apply is called: in between it is written to the disk.
type book struct {
	tokens   map[string]token   // by public key
	machines map[string]machine // by public key
	// names are those of machines that were not revoked, without what tells apart
	// their processes, and the key of the one machine that has each.
	names   map[string]string
	told    map[string]int // machines that others told of, by who did
	elses   int            // of those that were not revoked
	changes changeLog      // of machines
	// reserved are the names of this process's own clients, and of the owner's. The
	// first is the coordinator's.
	reserved []string
	self     string // the coordinator's own key on routes, empty where it has none
}

func newBook(reserved []string) *book {
	return &book{
		tokens: map[string]token{}, machines: map[string]machine{}, names: map[string]string{},
		told: map[string]int{}, changes: newChangeLog(), reserved: reserved,
	}
}

func (b *book) apply(c change) {
	for _, t := range c.tokens {
		b.tokens[t.Key] = t
	}
	for _, m := range c.machines {
		b.forget(m.Key)
		b.machines[m.Key] = m
		b.countTold(m, 1)
		b.settle(m)
		b.changes.note(m.Key)
	}
	for _, key := range c.dropped {
		delete(b.tokens, key)
		b.forget(key)
		b.changes.drop(key)
	}
}

func (b *book) forget(key string) {
	b.countTold(b.machines[key], -1)
	delete(b.machines, key)
}

// countTold counts a machine that others told of.
func (b *book) countTold(m machine, n int) {
	if m.Home == "" {
		return
	}
	b.told[m.Told] += n
	if m.Revoked == 0 {
		b.elses += n
	}
}

// issue makes the token with that public key one that can be traded.
func (b *book) issue(now time.Time, key string, role protocol.Role, ttl time.Duration) (change, error) {
	if err := protocol.CheckRole(role); err != nil {
		return change{}, fmt.Errorf("%w: %w", protocol.Malformed, err)
	}
	if ttl <= 0 || ttl > protocol.MaxTokenTTL {
		return change{}, fmt.Errorf("%w: a token for %v, want up to %v", protocol.Malformed, ttl, protocol.MaxTokenTTL)
	}
	if n := b.waiting(now); n >= maxWaiting {
		return change{}, fmt.Errorf("%w: %d tokens wait to be traded", protocol.Full, n)
	}
	if !b.unknown(key) {
		return change{}, errAmbiguous
	}
	expires := now.Add(ttl + time.Second - 1).Unix() // never less than was asked for
	return change{tokens: []token{{Key: key, Role: role, Issued: now.Unix(), Expires: expires}}}, nil
}

// errAmbiguous says that another key has to be made: the short form of this one is
// taken.
var errAmbiguous = fmt.Errorf("%w: the id of the new token is taken", protocol.Busy)

// unknown says whether nothing goes by the short form of a key yet.
func (b *book) unknown(key string) bool {
	id := TokenID(key)
	for other := range b.tokens {
		if TokenID(other) == id {
			return false
		}
	}
	return b.names[id] == ""
}

// waiting counts the tokens that could be traded now.
func (b *book) waiting(now time.Time) (n int) {
	for _, t := range b.tokens {
		if t.state(now) == stateWaiting {
			n++
		}
	}
	return n
}

// enrol trades a token. The machine is the one that the token was traded for,
// also when it was traded before by the same key, and nothing changes.
func (b *book) enrol(now time.Time, e *protocol.Enrol) (machine, change, error) {
	t, ok := b.tokens[e.Token]
	if !ok || !proven(e) {
		return machine{}, change{}, protocol.NoToken
	}
	switch t.state(now) {
	case stateRevoked:
		return machine{}, change{}, fmt.Errorf("%w %s", protocol.TokenRevoked, ago(now, t.Revoked))
	case stateUsed:
		m, ok := b.machines[t.Machine]
		switch {
		case e.Key != t.Machine:
			return machine{}, change{}, fmt.Errorf("%w %s", protocol.TokenUsed, ago(now, t.Used))
		case !ok || m.Revoked != 0:
			return machine{}, change{}, fmt.Errorf("%w: the machine that it let join was revoked", protocol.TokenRevoked)
		case e.Role != t.Role:
			return machine{}, change{}, wrongRole(t, e)
		}
		return m, change{}, nil
	case stateExpired:
		return machine{}, change{}, fmt.Errorf("%w %s", protocol.TokenExpired, ago(now, t.Expires))
	}
	if e.Role != t.Role {
		return machine{}, change{}, wrongRole(t, e)
	}
	if _, taken := b.machines[e.Key]; taken || b.tokens[e.Key].Key != "" {
		return machine{}, change{}, fmt.Errorf("%w: that key has joined before: a machine makes a new one for every token", protocol.Malformed)
	}
	m := machine{Key: e.Key, Name: b.freeName(e.Name), Role: t.Role, Joined: now.Unix()}
	t.Used, t.Machine = now.Unix(), e.Key
	return m, change{tokens: []token{t}, machines: []machine{m}}, nil
}

func wrongRole(t token, e *protocol.Enrol) error {
	return fmt.Errorf("%w: for %s, not %s", protocol.WrongRole, t.Role, e.Role)
}

// ago says when something happened, for people.
func ago(now time.Time, at int64) string {
	return fmt.Sprintf("%v ago", now.Sub(time.Unix(at, 0)).Truncate(time.Second))
}

// proven says whether the sender of e holds the seed of its token.
func proven(e *protocol.Enrol) bool {
	key, err := nkeys.FromPublicKey(e.Token)
	return err == nil && key.Verify(e.Proven(), e.Proof) == nil
}

// freeName returns the first of wish, wish-2, wish-3, ... that nobody has.
func (b *book) freeName(wish string) string {
	name := wish
	for i := 2; !b.free(name); i++ {
		suffix := "-" + strconv.Itoa(i)
		name = wish[:min(len(wish), protocol.MaxMachineName-len(suffix))] + suffix
	}
	return name
}

func (b *book) free(name string) bool {
	if b.names[protocol.MachineOf(name)] != "" || b.isReserved(name) {
		return false
	}
	for key := range b.tokens { // whose joiners have that inbox
		if TokenID(key) == name {
			return false
		}
	}
	return true
}

// isReserved says whether a machine of that name could speak as one of the
// coordinator's own clients.
func (b *book) isReserved(name string) bool {
	return slices.ContainsFunc(b.reserved, func(own string) bool { return protocol.OwnsName(name, own) })
}

// Identity is who somebody proved to be: a machine, or for [protocol.RoleJoiner]
// the holder of a token.
type Identity struct {
	Role protocol.Role
	Name string
}

// who returns whose key that is. Holders of tokens that are over are known too:
// they may still ask what became of it.
func (b *book) who(key string) (Identity, bool) {
	if m, ok := b.machines[key]; ok {
		return Identity{m.Role, m.Name}, b.has(m) && !b.isReserved(m.Name)
	}
	if _, ok := b.tokens[key]; ok {
		return Identity{protocol.RoleJoiner, protocol.JoinerName(key)}, true
	}
	return Identity{}, false
}

// revoke takes back what goes by that token id, machine name or public key, and
// returns the entries as they are from then on. A used token stands for the machine
// that it let join. What was revoked before, or is over, stays as it is.
func (b *book) revoke(now time.Time, what string) (change, []protocol.AccessStatus, error) {
	var c change
	machines := map[string]bool{}
	if key := b.names[protocol.MachineOf(what)]; key != "" && b.machines[key].Name == what {
		machines[key] = true
	}
	if _, ok := b.machines[what]; ok {
		machines[what] = true
	}
	tokens := 0
	for key, t := range b.tokens {
		if key != what && TokenID(key) != what {
			continue
		}
		tokens++
		switch t.state(now) {
		case stateUsed:
			machines[t.Machine] = true
		case stateWaiting:
			t.Revoked = now.Unix()
			c.tokens = append(c.tokens, t)
		default:
			return change{}, nil, fmt.Errorf("%w: token %s is %s already", protocol.NotFound, TokenID(key), t.state(now))
		}
	}
	for key := range machines {
		m, ok := b.machines[key]
		switch {
		case !ok || m.Revoked != 0:
			return change{}, nil, fmt.Errorf("%w: that machine is revoked already", protocol.NotFound)
		case key == b.self:
			return change{}, nil, fmt.Errorf("%w: %s is this coordinator itself: another one can revoke it", protocol.Malformed, m.Name)
		}
		m.Revoked = max(now.Unix(), m.Joined)
		c.machines = append(c.machines, m)
	}
	if len(machines) == 0 && tokens == 0 {
		return change{}, nil, fmt.Errorf("%w: no token or machine %.60q", protocol.NotFound, what)
	}
	return c, b.entries(now, &c), nil
}

// entries are the records of a change as lists tell them.
func (b *book) entries(now time.Time, c *change) (entries []protocol.AccessStatus) {
	for _, t := range c.tokens {
		entries = append(entries, protocol.AccessStatus{
			ID: TokenID(t.Key), Key: t.Key, Role: t.Role, State: t.state(now), Since: t.Issued, Expires: t.Expires,
		})
	}
	for _, m := range c.machines {
		state := stateJoined
		if m.Revoked != 0 {
			state = stateRevoked
		}
		e := protocol.AccessStatus{Name: m.Name, Key: m.Key, Role: m.Role, State: state, Since: m.Joined}
		if !b.isOwn(m) {
			e.Home = m.Home
		}
		entries = append(entries, e)
	}
	return entries
}

// list returns a page of all tokens and machines, the oldest first, from after on.
// after is empty or what the page before returned as next, which is empty on the
// last one.
func (b *book) list(now time.Time, after string) (entries []protocol.AccessStatus, next string) {
	var all change
	for _, t := range b.tokens {
		all.tokens = append(all.tokens, t)
	}
	for _, m := range b.machines {
		if m.Revoked == 0 || m.over() >= now.Add(-keepOver).Unix() {
			all.machines = append(all.machines, m)
		}
	}
	entries = slices.DeleteFunc(b.entries(now, &all), func(e protocol.AccessStatus) bool { return place(e) <= after })
	slices.SortFunc(entries, func(a, b protocol.AccessStatus) int { return cmp.Compare(place(a), place(b)) })
	if len(entries) > page {
		entries = entries[:page]
		next = place(entries[page-1])
	}
	return entries, next
}

// place says where in lists an entry stands: a text, so that it means the same
// when that entry is gone.
func place(e protocol.AccessStatus) string { return fmt.Sprintf("%011d %.20s", e.Since, e.Key) }

// prune forgets what has been over for long enough.
func (b *book) prune(now time.Time) (c change) {
	for key, t := range b.tokens {
		if t.over() < now.Add(-keepOver).Unix() {
			c.dropped = append(c.dropped, key)
		}
	}
	for key, m := range b.machines {
		if m.Revoked != 0 && m.over() < now.Add(-keepRevoked).Unix() {
			c.dropped = append(c.dropped, key)
		}
	}
	slices.Sort(c.dropped)
	return c
}

// joined says whether a machine has ever joined here, as far as it is remembered.
func (b *book) joined() bool {
	for _, m := range b.machines {
		if b.isOwn(m) && !b.isSelf(m) {
			return true
		}
	}
	return false
}

// awaits says whether a token for role can be traded.
func (b *book) awaits(now time.Time, role protocol.Role) bool {
	for _, t := range b.tokens {
		if t.Role == role && t.state(now) == stateWaiting {
			return true
		}
	}
	return false
}
