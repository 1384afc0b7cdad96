package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestBookHistories replays the histories in testdata/book. Run with -rewrite to
// write what happens now, and review it as a diff.
func TestBookHistories(t *testing.T) {
	datadriven.Walk(t, "testdata/book", func(t *testing.T, path string) {
		h := &bookHistory{t: t, now: time.Unix(1_000_000, 0), names: map[string]string{}, book: newBook(nil)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			h.t, h.d = t, d
			return h.run() + "\n"
		})
	})
}

// keyOf returns the key that a history calls by a label, always the same one.
func keyOf(t testing.TB, label string) nkeys.KeyPair {
	t.Helper()
	raw := sha256.Sum256([]byte(label))
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, raw[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicOf(t testing.TB, label string) string {
	t.Helper()
	public, err := keyOf(t, label).PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// enrolOf returns what a machine asks with a token, both by their labels.
func enrolOf(t testing.TB, token, machine, name string, role protocol.Role) *protocol.Enrol {
	t.Helper()
	e := &protocol.Enrol{
		Ask: protocol.Ask{Kind: protocol.KindEnrol, ID: 7}, Role: role, Name: name,
		Key: publicOf(t, machine), Token: publicOf(t, token),
	}
	var err error
	if e.Proof, err = keyOf(t, token).Sign(e.Proven()); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	return e
}

type bookHistory struct {
	t     *testing.T
	d     *datadriven.TestData
	now   time.Time
	book  *book
	names map[string]string // labels by public key
}

// word returns the i-th argument.
func (h *bookHistory) word(i int) string {
	h.t.Helper()
	if i >= len(h.d.CmdArgs) {
		h.t.Fatalf("%s: %s needs argument %d", h.d.Pos, h.d.Cmd, i+1)
	}
	return h.d.CmdArgs[i].Key
}

// text returns the value of key, or otherwise where the command has none.
func (h *bookHistory) text(key, otherwise string) string {
	if arg, ok := h.d.Arg(key); ok && len(arg.Vals) == 1 {
		return arg.Vals[0]
	}
	return otherwise
}

// public returns the public key of a label, and remembers it.
func (h *bookHistory) public(label string) string {
	key := publicOf(h.t, label)
	h.names[key] = label
	return key
}

func (h *bookHistory) run() string {
	switch h.d.Cmd {
	case "reserve": // reserve NAME...
		for i := range h.d.CmdArgs {
			h.book.reserved = append(h.book.reserved, h.word(i))
		}
		return fmt.Sprint(len(h.book.reserved))
	case "pass": // pass DURATION, also back
		d, err := time.ParseDuration(h.word(0))
		if err != nil {
			h.t.Fatal(err)
		}
		h.now = h.now.Add(d)
		return "now " + h.now.Sub(time.Unix(1_000_000, 0)).String()
	case "issue": // issue TOKEN role=ROLE for=DURATION
		ttl, err := time.ParseDuration(h.text("for", "24h"))
		if err != nil {
			h.t.Fatal(err)
		}
		c, err := h.book.issue(h.now, h.public(h.word(0)), protocol.Role(h.text("role", "worker")), ttl)
		if err != nil {
			return coded(err)
		}
		h.book.apply(c)
		return fmt.Sprintf("%s until +%ds", c.tokens[0].Role, c.tokens[0].Expires-h.now.Unix())
	case "enrol": // enrol TOKEN MACHINE name=NAME role=ROLE proof=OTHER
		e := enrolOf(h.t, h.word(0), h.word(1), h.text("name", "rig"), protocol.Role(h.text("role", "worker")))
		h.public(h.word(1))
		if other := h.text("proof", ""); other != "" {
			e.Proof, _ = keyOf(h.t, other).Sign(e.Proven())
		}
		m, c, err := h.book.enrol(h.now, e)
		if err != nil {
			return coded(err)
		}
		h.book.apply(c)
		return fmt.Sprintf("%s as %s, changed %d", m.Name, m.Role, len(c.tokens)+len(c.machines))
	case "who": // who LABEL
		who, ok := h.book.who(h.public(h.word(0)))
		if !ok {
			return "nobody"
		}
		if who.Role == protocol.RoleJoiner && who.Name == TokenID(h.public(h.word(0))) {
			who.Name = "its id"
		}
		return fmt.Sprintf("%s as %s", who.Name, who.Role)
	case "revoke": // revoke NAME | id LABEL | key LABEL
		what := h.word(0)
		switch what {
		case "id":
			what = TokenID(publicOf(h.t, h.word(1)))
		case "key":
			what = publicOf(h.t, h.word(1))
		}
		c, entries, err := h.book.revoke(h.now, what)
		if err != nil {
			return coded(err)
		}
		h.book.apply(c)
		return h.entries(entries)
	case "list":
		entries, next := h.book.list(h.now, "")
		if next != "" {
			h.t.Fatalf("%s: more than one page", h.d.Pos)
		}
		return h.entries(entries)
	case "prune":
		c := h.book.prune(h.now)
		h.book.apply(c)
		return fmt.Sprintf("%d forgotten", len(c.dropped))
	}
	h.t.Fatalf("%s: no command %q", h.d.Pos, h.d.Cmd)
	return ""
}

func (h *bookHistory) entries(entries []protocol.AccessStatus) string {
	var lines []string
	for _, e := range entries {
		what := "machine " + e.Name
		if e.ID != "" {
			what = "token"
		}
		lines = append(lines, fmt.Sprintf("%s (%s) %s %s", what, h.names[e.Key], e.Role, e.State))
	}
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, "\n")
}

// coded returns the code of an error and the error, without the ids in it.
func coded(err error) string {
	var c protocol.Code
	if !errors.As(err, &c) {
		return "no code: " + err.Error()
	}
	words := strings.Fields(err.Error())
	for i, w := range words {
		if len(w) == 8 && strings.ToUpper(w) == w {
			words[i] = "ID"
		}
	}
	return fmt.Sprintf("%d %s", uint16(c), strings.Join(words, " "))
}

// TestBookBound has no more than so many tokens wait, whoever asks for them; those
// that are over make room.
func TestBookBound(t *testing.T) {
	now, b := time.Unix(1_000_000, 0), newBook(nil)
	for i := range maxWaiting {
		c, err := b.issue(now, publicOf(t, fmt.Sprint(i)), protocol.RoleWorker, time.Hour)
		if err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
		b.apply(c)
	}
	if _, err := b.issue(now, publicOf(t, "x"), protocol.RoleWorker, time.Hour); !errors.Is(err, protocol.Full) {
		t.Errorf("one more: %v, want %v", err, protocol.Full)
	}
	if _, err := b.issue(now.Add(time.Hour), publicOf(t, "x"), protocol.RoleWorker, time.Hour); err != nil {
		t.Errorf("one more when the others ran out: %v", err)
	}
}

// TestBookIDs never has two tokens go by one id, nor a machine by a token's.
func TestBookIDs(t *testing.T) {
	now, b := time.Unix(1_000_000, 0), newBook(nil)
	key := publicOf(t, "a")
	same := key[:1+len(TokenID(key))] + publicOf(t, "b")[1+len(TokenID(key)):]
	c, err := b.issue(now, key, protocol.RoleWorker, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(c)
	if _, err := b.issue(now, same, protocol.RoleWorker, time.Hour); !errors.Is(err, errAmbiguous) {
		t.Errorf("a key that begins the same: %v, want %v", err, errAmbiguous)
	}
	if got, want := b.freeName(TokenID(key)), TokenID(key)+"-2"; got != want {
		t.Errorf("a machine that calls itself as a token is %q, want %q", got, want)
	}
}

// TestBookNames gives every machine of one name another, however many there are
// and however long it is.
func TestBookNames(t *testing.T) {
	b := newBook([]string{"farm_1", "owner"})
	long := strings.Repeat("x", protocol.MaxMachineName)
	for _, wish := range []string{"rig", long, "farm", "owner", "ow"} {
		seen := map[string]bool{}
		for i := range 120 {
			name := b.freeName(wish)
			if err := protocol.CheckMachineName(name); err != nil {
				t.Fatal(err)
			}
			if seen[name] || b.isReserved(name) {
				t.Fatalf("machine %d is called %q like another", i, name)
			}
			seen[name] = true
			b.apply(change{machines: []machine{{Key: fmt.Sprint(wish, i), Name: name}}})
		}
	}
	if b.names["farm"] != "" || b.names["rig"] == "" || b.names["rig-120"] == "" || b.names["farm-2"] == "" || b.names["ow"] == "" {
		t.Errorf("names %v", b.names)
	}
}

// TestListPages goes through more entries than a message holds, and finds each once,
// also when the one that a page ended with is gone.
func TestListPages(t *testing.T) {
	now, b := time.Unix(1_000_000, 0), newBook(nil)
	const n = 3*page + 7
	for i := range n {
		at := now.Add(time.Duration(i/5) * time.Second).Unix()
		if i%2 == 0 {
			b.apply(change{tokens: []token{{Key: publicOf(t, fmt.Sprint(i)), Role: protocol.RoleCoordinator, Issued: at, Expires: at + 1<<30}}})
		} else {
			name := fmt.Sprintf("%s-%03d", strings.Repeat("n", 20), i)
			b.apply(change{machines: []machine{{Key: publicOf(t, fmt.Sprint(i)), Name: name, Role: protocol.RoleCoordinator, Joined: at}}})
		}
	}
	seen, last, pages := map[string]bool{}, int64(0), 0
	for after := ""; ; pages++ {
		entries, next := b.list(now, after)
		for i := range entries {
			entries[i].Online = 12000
		}
		reply := &protocol.TokenReply{Reply: protocol.Reply{Kind: protocol.KindTokenList, ID: 1}, Entries: entries, After: next}
		data := protocol.Encode(reply)
		if len(data) > protocol.MaxMessage {
			t.Fatalf("a page of %d bytes", len(data))
		}
		if err := protocol.Decode(data, new(protocol.TokenReply)); err != nil {
			t.Fatal(err)
		}
		ask := &protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenList}, After: next}
		if err := ask.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if seen[e.Key] || e.Since < last {
				t.Fatalf("page %d: %+v again, or out of order", pages, e)
			}
			seen[e.Key], last = true, e.Since
		}
		if next == "" {
			break
		}
		b.apply(change{dropped: []string{entries[len(entries)-1].Key}})
		after = next
	}
	if len(seen) != n || pages != 3 {
		t.Errorf("%d entries on %d full pages, want %d on 3", len(seen), pages, n)
	}
}

func keyFrom(t testing.TB, seed string) nkeys.KeyPair {
	t.Helper()
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func mustPublic(t testing.TB, seed string) string {
	t.Helper()
	public, err := PublicKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// rawSeed returns the 32 bytes of a seed.
func rawSeed(t testing.TB, seed string) string {
	t.Helper()
	_, raw, err := nkeys.DecodeSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
