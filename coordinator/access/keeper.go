package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// Keys of the records in the coordinator's space: a prefix and a public nkey.
const (
	tokenKeys   = "access/token/"
	machineKeys = "access/machine/"
)

// Keeper keeps the tokens and the machines of one coordinator in its store. What it
// changed is on the disk when a call returns. It is safe for concurrent use.
type Keeper struct {
	store *store.Store

	epoch    uint64       // of the count of changes, another one at each start
	changing sync.Mutex   // one change is decided and written at a time
	mu       sync.RWMutex // guards book, and is not held while a disk is waited for
	book     *book
}

// OpenKeeper reads the records. Machines never get a name that lets them speak
// under one of the reserved ones, which are those of the coordinator's own clients:
// first its own.
func OpenKeeper(st *store.Store, reserved ...string) (*Keeper, error) {
	b := newBook(reserved)
	if err := load(st, tokenKeys, func(t token) { b.apply(change{tokens: []token{t}}) }); err != nil {
		return nil, err
	}
	if err := load(st, machineKeys, func(m machine) { b.apply(change{machines: []machine{m}}) }); err != nil {
		return nil, err
	}
	return &Keeper{store: st, book: b, epoch: rand.Uint64()}, nil
}

func load[T any](st *store.Store, prefix string, add func(T)) error {
	return st.Iterate(store.Coordinator, []byte(prefix), func(key, value []byte) error {
		var record T
		if err := json.Unmarshal(value, &record); err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		add(record)
		return nil
	})
}

// Issued is a new token, of which only the public key is kept.
type Issued struct {
	Role    protocol.Role
	Expires time.Time
	Seed    string
}

// Issue makes a token that can be traded once, within ttl, for role. A refusal
// wraps a [protocol.Code].
func (k *Keeper) Issue(now time.Time, role protocol.Role, ttl time.Duration) (*Issued, error) {
	for {
		seed, key, err := NewKey()
		if err != nil {
			return nil, err
		}
		var made change
		err = k.change(now, func(b *book) (change, error) {
			var err error
			made, err = b.issue(now, key, role, ttl)
			return made, err
		})
		if errors.Is(err, errAmbiguous) {
			continue // one in billions
		}
		if err != nil {
			return nil, err
		}
		return &Issued{Role: role, Expires: time.Unix(made.tokens[0].Expires, 0), Seed: seed}, nil
	}
}

// Enrol trades a token for a machine's place and returns the machine's name. Sent
// again by the same machine it answers the same. A refusal wraps a [protocol.Code].
func (k *Keeper) Enrol(now time.Time, e *protocol.Enrol) (Identity, error) {
	var m machine
	err := k.change(now, func(b *book) (c change, err error) {
		m, c, err = b.enrol(now, e)
		return c, err
	})
	return Identity{m.Role, m.Name}, err
}

// Proves says whether the sender of e holds the seed of a token that is known here,
// whatever became of it.
func (k *Keeper) Proves(e *protocol.Enrol) bool {
	k.mu.RLock()
	_, known := k.book.tokens[e.Token]
	k.mu.RUnlock()
	return known && proven(e)
}

// Revoke takes back what goes by that token id, machine name or public key and
// returns it as it is from now on. A refusal wraps a [protocol.Code].
func (k *Keeper) Revoke(now time.Time, what string) (entries []protocol.AccessStatus, err error) {
	err = k.change(now, func(b *book) (c change, err error) {
		c, entries, err = b.revoke(now, what)
		return c, err
	})
	return entries, err
}

// List returns a page of the tokens and machines, the oldest first. after is empty
// for the first page, and next is empty on the last one.
func (k *Keeper) List(now time.Time, after string) (entries []protocol.AccessStatus, next string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.book.list(now, after)
}

// Who returns whose key that is, and whether its bearer may come in.
func (k *Keeper) Who(key string) (Identity, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.book.who(key)
}

// Unused says whether no machine has ever joined and no token for role waits for
// one that could.
func (k *Keeper) Unused(now time.Time, role protocol.Role) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return !k.book.joined() && !k.book.awaits(now, role)
}

// Shadowed returns the machines that joined under a name that is reserved now: they
// are not let in.
func (k *Keeper) Shadowed() (names []string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, key := range k.book.names {
		if m := k.book.machines[key]; k.book.isReserved(m.Name) && !k.book.isSelf(m) {
			names = append(names, m.Name)
		}
	}
	return names
}

// change has decide make a change, and everybody see it once it is on the disk,
// with what is to be forgotten by now.
func (k *Keeper) change(now time.Time, decide func(*book) (change, error)) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	k.mu.RLock()
	pruned := k.book.prune(now)
	k.mu.RUnlock()
	if err := k.write(pruned); err != nil {
		return err
	}
	k.mu.RLock()
	c, err := decide(k.book)
	k.mu.RUnlock()
	if err != nil {
		return err
	}
	return k.write(c)
}

func (k *Keeper) write(c change) error {
	if len(c.tokens)+len(c.machines)+len(c.dropped) == 0 {
		return nil
	}
	batch := k.store.NewBatch()
	for _, t := range c.tokens {
		batch.Set(store.Coordinator, []byte(tokenKeys+t.Key), record(t))
	}
	for _, m := range c.machines {
		batch.Set(store.Coordinator, []byte(machineKeys+m.Key), record(m))
	}
	for _, key := range c.dropped {
		batch.Delete(store.Coordinator, []byte(tokenKeys+key))
		batch.Delete(store.Coordinator, []byte(machineKeys+key))
	}
	pending, err := batch.Apply()
	if err == nil {
		err = pending.Wait()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.Unavailable, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.book.apply(c)
	return nil
}

func record(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("access: " + err.Error()) // strings and numbers only
	}
	return data
}

// PublicKey returns the public nkey of a seed.
func PublicKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", fmt.Errorf("seed: %w", err)
	}
	return pair.PublicKey()
}

// NewKey makes an nkey and returns its seed and its public key.
func NewKey() (seed, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", err
	}
	s, err := pair.Seed()
	if err != nil {
		return "", "", err
	}
	public, err = pair.PublicKey()
	return string(s), public, err
}
