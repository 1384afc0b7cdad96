package coordinator

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// Secure is what an embedded server needs to be reached by other machines.
type Secure struct {
	// TLS shows the server's certificate.
	TLS *tls.Config
	// Keeper knows whose key is whose.
	Keeper *access.Keeper
	// Owner is the public nkey of the coordinator's owner.
	Owner string
	// Subjects are the network's, Coordinator the name of the one that is managed.
	Subjects    protocol.Subjects
	Coordinator string
}

const (
	// maxJoiners bounds the connections of those who hold a token: trading it takes
	// a moment.
	maxJoiners = 32
	joinerTime = 10 * time.Second
	// maxOfToken is how many of those one token may have: one that was used up, which
	// others may have read, must not keep all others from joining.
	maxOfToken = 4
	// maxOfKey is how many connections there can be with one key: a machine with 16
	// worker processes, each of which comes back on a second connection while the
	// server has not noticed the end of the first, and commands beside them.
	maxOfKey = 64
	// maxRefused bounds the names that are refused for a while: on a server without
	// credentials anybody can think up more.
	maxRefused = 10_000
	// sweepLogins is how many logins are at least kept before those that ended are
	// looked for.
	sweepLogins = 256
)

// gate decides who comes in, and as whom, and knows who is in.
type gate struct {
	secure *Secure // nil lets everybody do anything
	log    *slog.Logger
	server *server.Server
	// permissions are those of a role under a name.
	permissions func(role protocol.Role, name string) protocol.Permissions
	joinerTime  time.Duration

	mu      sync.Mutex
	own     map[string]access.Identity // by public key: clients of this process
	spared  map[string]bool            // their names, which are never refused
	logins  map[uint64]login           // by the server's number of the connection; some have ended
	ofKey   map[string]map[uint64]bool // their numbers by key, where there are credentials
	sweep   int                        // look for those that ended when there are as many
	refused map[string]time.Time       // until when, by [login.name]
}

// login is who is behind a connection.
type login struct {
	key, machine, process string
	joiner                bool
}

// name is what drops go by: the machine's, or the process's where nothing is known
// of machines.
func (l login) name() string { return cmp.Or(l.machine, l.process) }

func newGate(secure *Secure, log *slog.Logger) *gate {
	g := &gate{
		secure: secure, log: log, sweep: sweepLogins, joinerTime: joinerTime,
		own: map[string]access.Identity{}, spared: map[string]bool{}, logins: map[uint64]login{}, ofKey: map[string]map[uint64]bool{}, refused: map[string]time.Time{},
	}
	if secure != nil {
		g.permissions = func(role protocol.Role, name string) protocol.Permissions {
			return secure.Subjects.Permissions(role, name, secure.Coordinator)
		}
	}
	return g
}

// The reasons for which nobody is let in.
var (
	errAgain     = errors.New("the connection said before who it is")
	errNoKey     = errors.New("no key")
	errSignature = errors.New("the signature is not the key's")
	errUnknown   = errors.New("nobody's key")
	errName      = errors.New("the name is not the machine's")
	errJoiners   = errors.New("too many hold a token at once")
	errRefused   = errors.New("the name is refused for a while")
	errMany      = errors.New("too many connections of that machine")
)

// Check implements [server.Authentication].
func (g *gate) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	process := strings.TrimPrefix(opts.Name, "jbc ") // see protocol.ConnectOptions
	user, err := g.enter(time.Now(), c, process)
	if err != nil {
		g.log.Debug("refused a connection", "from", c.RemoteAddress(), "name", fmt.Sprintf("%.60q", process),
			"key", fmt.Sprintf("%.60q", opts.Nkey), "err", err)
		return false
	}
	if user != nil {
		c.RegisterUser(user)
	}
	return true
}

// enter lets somebody in, with the permissions that the user has, or says why not.
func (g *gate) enter(now time.Time, c server.ClientAuthentication, process string) (*server.User, error) {
	opts, id := c.GetOpts(), c.GetID()
	if g.secure != nil {
		if err := verifyNonce(opts, c.GetNonce()); err != nil {
			return nil, err
		}
	}
	g.mu.Lock() // until the login is noted: whoever revokes a key cuts what is noted
	defer g.mu.Unlock()
	if _, again := g.logins[id]; again {
		return nil, errAgain
	}
	if g.secure == nil {
		l := login{process: process}
		if g.isRefused(now, l) {
			return nil, errRefused
		}
		g.note(id, l)
		return nil, nil
	}
	l := login{key: opts.Nkey, process: process}
	who, err := g.identify(opts.Nkey, process, &l)
	if err != nil {
		return nil, err
	}
	if g.isRefused(now, l) {
		return nil, errRefused
	}
	if l.machine != "" && len(g.ofKey[l.key]) >= maxOfKey && g.standing(l.key) >= maxOfKey {
		return nil, errMany
	}
	p := g.permissions(who.Role, who.Name)
	user := &server.User{Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}}
	if len(p.Publish) == 0 || len(p.Subscribe) == 0 {
		return nil, errUnknown // an empty list would allow everything
	}
	if l.joiner {
		user.ConnectionDeadline = now.Add(g.joinerTime)
	}
	g.note(id, l)
	return user, nil
}

// verifyNonce says whether a client signed the server's nonce with the key that it
// names, as nats-server itself checks it.
func verifyNonce(opts *server.ClientOpts, nonce []byte) error {
	key, err := nkeys.FromPublicKey(opts.Nkey)
	if err != nil || len(nonce) == 0 {
		return errNoKey
	}
	sig, err := base64.RawURLEncoding.DecodeString(opts.Sig)
	if err != nil {
		sig, err = base64.StdEncoding.DecodeString(opts.Sig)
	}
	if err != nil || key.Verify(nonce, sig) != nil {
		return errSignature
	}
	return nil
}

// identify returns the role and the name that permissions are for, and fills in
// the rest of l. The caller holds g.mu.
func (g *gate) identify(key, process string, l *login) (access.Identity, error) {
	if who, ok := g.own[key]; ok {
		l.process = who.Name
		return who, nil
	}
	who, ok := access.Identity{Role: protocol.RoleOwner, Name: OwnerName}, key == g.secure.Owner
	if !ok {
		who, ok = g.secure.Keeper.Who(key)
	}
	switch {
	case !ok:
		return who, errUnknown
	case who.Role == protocol.RoleJoiner:
		if all, own := g.joiners(key); all >= maxJoiners || own >= maxOfToken {
			return who, errJoiners
		}
		l.joiner, l.process = true, who.Name
		return who, nil
	case !protocol.OwnsName(who.Name, process):
		return who, fmt.Errorf("%w: %q", errName, who.Name)
	}
	l.machine, who.Name = who.Name, process
	return who, nil
}

// OwnerName is the machine name of a coordinator's owner.
const OwnerName = "owner"

// admit lets a client of this process in.
func (g *gate) admit(key string, who access.Identity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own[key] = who
}

// spare keeps a client of this process from ever being refused: without it there is
// no farm, and others can have bad messages sent in its name, as replies of the
// coordinator to discovery.
func (g *gate) spare(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spared[name] = true
	if g.secure != nil {
		g.spared[protocol.MachineOf(name)] = true
	}
}

// note keeps a login, and forgets those that ended now and then: the server tells
// nobody of them. The caller holds g.mu.
func (g *gate) note(id uint64, l login) {
	if len(g.logins) >= g.sweep {
		for old := range g.logins {
			if g.server.GetClient(old) == nil {
				g.forget(old)
			}
		}
		g.sweep = max(sweepLogins, 2*len(g.logins))
	}
	g.logins[id] = l
	if l.key == "" {
		return
	}
	if g.ofKey[l.key] == nil {
		g.ofKey[l.key] = map[uint64]bool{}
	}
	g.ofKey[l.key][id] = true
}

// forget drops a login that ended. The caller holds g.mu.
func (g *gate) forget(id uint64) {
	key := g.logins[id].key
	delete(g.logins, id)
	if delete(g.ofKey[key], id); len(g.ofKey[key]) == 0 {
		delete(g.ofKey, key)
	}
}

// standing counts the connections with a key, and forgets those that ended. The
// caller holds g.mu.
func (g *gate) standing(key string) int {
	for id := range g.ofKey[key] {
		if g.server.GetClient(id) == nil {
			g.forget(id)
		}
	}
	return len(g.ofKey[key])
}

// isRefused says whether somebody is refused for a while. The caller holds g.mu.
func (g *gate) isRefused(now time.Time, l login) bool {
	until, ok := g.refused[l.name()]
	return ok && now.Before(until)
}

// joiners counts the connections of those who hold a token, and of that one's.
// The caller holds g.mu.
func (g *gate) joiners(key string) (all, own int) {
	for id, l := range g.logins {
		if l.joiner && g.server.GetClient(id) != nil {
			all++
			if l.key == key {
				own++
			}
		}
	}
	return all, own
}

func (g *gate) online(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.standing(key)
}

// cut ends the connections of whom is true for.
func (g *gate) cut(whom func(login) bool) {
	var ids []uint64
	g.mu.Lock()
	for id, l := range g.logins {
		if whom(l) {
			ids = append(ids, id)
		}
	}
	g.mu.Unlock()
	for _, id := range ids {
		_ = g.server.DisconnectClientByID(id) // an error says that it has gone by itself
	}
}

func (g *gate) refuse(who string, until time.Time) {
	now := time.Now()
	g.mu.Lock()
	if g.spared[who] {
		g.mu.Unlock()
		return
	}
	for name, end := range g.refused {
		if !now.Before(end) {
			delete(g.refused, name)
		}
	}
	if len(g.refused) < maxRefused {
		g.refused[who] = until
	}
	g.mu.Unlock()
	g.cut(func(l login) bool { return l.name() == who && !l.joiner })
}
