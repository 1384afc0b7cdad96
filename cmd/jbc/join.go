package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

func newJoin(s *shell) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "join [TOKEN]",
		Short: "Give this machine a place at a coordinator on another one",
		Long: "Give this machine a place at a coordinator on another one, in exchange for the token\n" +
			"that jbc coordinator --listen or jbc token new printed there. Without TOKEN, or with\n" +
			"\"-\" for it, it is read from standard input, where no list of processes shows it; a\n" +
			"token is good once and for a limited time. From then on jbc worker finds its\n" +
			"coordinator by itself.",
		Example: "  jbc join                     # then paste the token\n  jbc join jbc1-...\n  ssh farm jbc token new 2>/dev/null | jbc join",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(fmt.Errorf("%s takes one token, got %d words", cmd.CommandPath(), len(args)), "paste it in one piece, or start jbc join without it and paste it then")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args, "")
			if text == "" || text == "-" {
				var err error
				if text, err = s.readToken(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return s.join(cmd.Context(), text, name)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "this machine's `name` on the network (default the host name)")
	return cmd
}

// maxPasted bounds what is read as a token.
const maxPasted = 8 << 10

// readToken reads a token, or the whole line that was printed with it: from a
// terminal the first line that is not empty, else everything.
func (s *shell) readToken(in io.Reader) (string, error) {
	in = io.LimitReader(in, maxPasted)
	var (
		text []byte
		err  error
	)
	if f, ok := in.(*io.LimitedReader).R.(*os.File); ok && isTerminal(f) {
		fmt.Fprintln(s.err, "paste the token and press Enter:")
		lines := bufio.NewScanner(in)
		for len(text) == 0 && lines.Scan() {
			text = []byte(strings.TrimSpace(lines.Text()))
		}
		err = lines.Err()
	} else {
		text, err = io.ReadAll(in)
	}
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) > 2 && words[0] == "jbc" && words[1] == "join" {
		words = words[2:]
	}
	return strings.Join(words, " "), nil
}

// join trades the token for a place, keeps that, and says what comes next.
func (s *shell) join(ctx context.Context, text, name string) error {
	token, err := protocol.ParseToken(text)
	if err != nil {
		return usageError(err, "copy the whole word from jbc1- to its end, as jbc coordinator --listen or jbc token new printed it")
	}
	if name == "" {
		name = protocol.MakeMachineName(hostName())
	}
	if err := protocol.CheckMachineName(name); err != nil {
		return usageError(err, "choose another with --name")
	}
	path, err := s.joinedPath(token.Role)
	if err != nil {
		return err
	}
	e, err := newEnrolment(token, name, filepath.Dir(path))
	if err != nil {
		return err
	}
	conn, address, err := e.connect(ctx, s)
	if err != nil {
		return err
	}
	defer conn.Close()
	m, err := e.trade(ctx, conn)
	if err != nil {
		return err
	}
	m.Addresses = mergeAddresses(address, m.Addresses, token.Addresses)
	before, beforeErr := access.LoadMembership(path)
	if err := saveJoined(m, path); err != nil {
		return withHint(fmt.Errorf("joined, and the join can't be kept: %w", err), "put that right and run the same command again: the token is good for this machine still")
	}
	e.forget()
	next := map[protocol.Role]string{
		protocol.RoleWorker:      fmt.Sprintf("jbc worker --threads %d", runtime.NumCPU()),
		protocol.RoleObserver:    "jbc status",
		protocol.RoleCoordinator: "jbc coordinator --join " + path,
	}[m.Role]
	if m.Mesh != "" {
		next += " --listen 0.0.0.0:4222"
	}
	fmt.Fprintf(s.out, "joined %s as %s: %s\n", m.Network, m.Name, next)
	switch {
	case beforeErr == nil:
		fmt.Fprintf(s.out, "instead of %s, joined as %s on %s\n", before.Network, before.Name, before.Joined.Local().Format(time.DateOnly))
	case !access.IsMissing(beforeErr):
		fmt.Fprintf(s.out, "instead of a join that could not be used: %s\n", oneLine(beforeErr.Error()))
	}
	return nil
}

// mergeAddresses returns the address that answered, then the others that are known,
// each once and not more than are allowed.
func mergeAddresses(answered string, lists ...[]string) []string {
	merged := []string{answered}
	for _, address := range slices.Concat(lists...) {
		if !slices.Contains(merged, address) && len(merged) < protocol.MaxAddresses {
			merged = append(merged, address)
		}
	}
	return merged
}

// enrolment is one machine's attempt to trade a token.
type enrolment struct {
	token   *protocol.Token
	secret  nkeys.KeyPair // of the token
	public  string        // the token's key
	name    string        // that the machine would like
	seed    []byte        // of the machine's own key
	pending string        // file that keeps the seed until the trade is done
}

// newEnrolment makes the machine's key, or finds it where an earlier attempt with
// the same token was not answered: that one may have been successful.
func newEnrolment(token *protocol.Token, name, dir string) (*enrolment, error) {
	e := &enrolment{token: token, name: name}
	var err error
	if e.secret, err = nkeys.FromSeed([]byte(token.Seed)); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if e.public, err = e.secret.PublicKey(); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	e.pending = filepath.Join(dir, "pending-"+protocol.JoinerName(e.public)+".nk")
	e.seed, err = access.Secret(e.pending, func() ([]byte, error) {
		key, err := nkeys.CreateUser()
		if err != nil {
			return nil, err
		}
		return key.Seed()
	})
	return e, err
}

// forget removes what was kept for another attempt.
func (e *enrolment) forget() { _ = os.Remove(e.pending) } // of no use to anybody: no place goes with it

const (
	// dialTime is how long one address is tried.
	dialTime = 3 * time.Second
	// enrolTime is how long the answer may take, a synced write included.
	enrolTime = 10 * time.Second
)

// connect tries the token's addresses in turn.
func (e *enrolment) connect(ctx context.Context, s *shell) (conn *nats.Conn, address string, err error) {
	process := protocol.JoinerName(e.public)
	opts := append(protocol.ConnectOptions(process), logErrors(s.log),
		nats.Secure(access.PinnedTLS(e.token.CA)), nats.TLSHandshakeFirst(), nats.Nkey(e.public, e.secret.Sign),
		nats.CustomInboxPrefix(protocol.InboxPrefix(process)),
		nats.RetryOnFailedConnect(false), nats.NoReconnect(), nats.Timeout(dialTime))
	var tried []attempt
	for _, address := range e.token.Addresses {
		conn, err := nats.Connect("tls://"+address, opts...)
		if err == nil {
			return conn, address, nil
		}
		s.log.Debug("not reached", "address", address, "err", err)
		tried = append(tried, attempt{address, err})
		if ctx.Err() != nil {
			return nil, "", errInterrupted
		}
	}
	return nil, "", e.unreached(tried, time.Now())
}

// attempt is an address that was tried in vain.
type attempt struct {
	address string
	err     error
}

// unreached says why no address led anywhere: the most telling of the attempts, or
// all of them.
func (e *enrolment) unreached(tried []attempt, now time.Time) error {
	rank := func(err error) int {
		switch {
		case protocol.IsRefused(err):
			return 0
		case errors.Is(err, access.ErrNotPinned):
			return 1
		case protocol.Obstacle(err) != "":
			return 2
		}
		return 3
	}
	first := slices.MinFunc(tried, func(a, b attempt) int { return cmp.Compare(rank(a.err), rank(b.err)) })
	switch text, hint := protocol.Explain(first.err); rank(first.err) {
	case 0: // the key of an earlier attempt is kept: the server may only have had too many joiners
		return withHint(fmt.Errorf("the coordinator %s at %s does not know this token, which was revoked or long ago, or too many are joining there just now%s", e.token.Coordinator, first.address, e.expired(now)), "run the same command again in a minute; else "+hintNewToken)
	case 1:
		return withHint(fmt.Errorf("something else answers at %s: %w", first.address, access.ErrNotPinned),
			"is that address the coordinator's, and the token its own? If its data directory was made anew, "+hintNewToken)
	case 2:
		return withHint(fmt.Errorf("%s: %w", first.address, &said{text, first.err}), hint)
	}
	var each []string
	for _, a := range tried {
		each = append(each, a.address+" ("+reason(a.err)+")")
	}
	return withHint(fmt.Errorf("the coordinator %s is at none of: %s%s", e.token.Coordinator, strings.Join(each, ", "), e.expired(now)),
		"is it running, and does a firewall let this machine through? Its --advertise HOST:PORT adds an address to new tokens")
}

// expired adds, for people, that the token ran out by this machine's clock. What
// counts is the coordinator's.
func (e *enrolment) expired(now time.Time) string {
	if now.Before(e.token.Expires) {
		return ""
	}
	return "; it ran out at " + e.token.Expires.Local().Format(time.DateTime) + " by this machine's clock"
}

// reason says in short why a connection was not made.
func reason(err error) string {
	var netErr *net.OpError
	switch {
	case errors.Is(err, nats.ErrTimeout), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer"
	case errors.Is(err, nats.ErrNoServers): // what nats.go makes of a refused connection
		return "connection refused"
	case netErr != nil:
		return netErr.Err.Error()
	}
	return err.Error()
}

const hintNewToken = "ask for a new one: jbc token new on the coordinator's machine"

// trade asks for the place.
func (e *enrolment) trade(ctx context.Context, conn *nats.Conn) (*access.Membership, error) {
	own, err := nkeys.FromSeed(e.seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.pending, err)
	}
	key, err := own.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.pending, err)
	}
	ask := &protocol.Enrol{
		Ask:  protocol.Ask{Kind: protocol.KindEnrol, ID: randomID()},
		Role: e.token.Role, Name: e.name, Key: key, Token: e.public,
	}
	if ask.Proof, err = e.secret.Sign(ask.Proven()); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	request := &nats.Msg{Subject: protocol.NewSubjects(e.token.Network).Enrol(e.token.Coordinator), Data: protocol.Encode(ask)}
	msg, err := conn.RequestMsgWithContext(ctx, request)
	if err != nil {
		return nil, withHint(fmt.Errorf("the coordinator %s does not answer: %w", e.token.Coordinator, err), "run the same command again: the token is still good for this machine")
	}
	return e.read(ask, request, msg)
}

// read makes a place of the reply that the coordinator signed to that request.
func (e *enrolment) read(ask *protocol.Enrol, request, msg *nats.Msg) (*access.Membership, error) {
	from := "coordinator " + e.token.Coordinator
	var reply protocol.EnrolReply
	if err := protocol.Verify(e.token.Key, protocol.ReplyTo(request), msg.Header.Get(protocol.SignatureHeader), msg.Data); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if err := protocol.Decode(msg.Data, &reply); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	switch {
	case reply.ID != ask.ID || reply.Kind != ask.Kind:
		return nil, fmt.Errorf("%s answered another request", from)
	case reply.Code != protocol.OK:
		return nil, e.refused(&reply.Reply)
	case reply.Role != ask.Role:
		return nil, fmt.Errorf("%s gave role %q for %q", from, reply.Role, ask.Role)
	}
	if err := access.CheckCA(reply.CA, e.token.CA); err != nil {
		return nil, fmt.Errorf("%s: its CA: %w", from, err)
	}
	return &access.Membership{
		Network: e.token.Network, Coordinator: e.token.Coordinator, Key: e.token.Key,
		Role: reply.Role, Name: reply.Name, Addresses: reply.Addresses, CA: reply.CA,
		Seed: string(e.seed), Joined: time.Now().UTC().Truncate(time.Second),
		Mesh: reply.Mesh, Routes: reply.Routes,
	}, nil
}

// refused says why the coordinator does not take the token, and what to do.
func (e *enrolment) refused(reply *protocol.Reply) error {
	says := map[protocol.Code]string{
		protocol.NoToken:      "does not know this token",
		protocol.TokenUsed:    "had this token from another machine already, and it is good once",
		protocol.TokenExpired: "says that this token ran out at " + e.token.Expires.Local().Format(time.DateTime),
		protocol.TokenRevoked: "has revoked this token",
		protocol.WrongRole:    "issued this token for another role",
	}[reply.Code]
	if says == "" {
		return withHint(fmt.Errorf("coordinator %s: %w", e.token.Coordinator, refusal{reply}), "run the same command again in a while")
	}
	e.forget()
	return withHint(fmt.Errorf("coordinator %s %s: %w", e.token.Coordinator, says, &said{reply.Code.String(), reply.Code}), hintNewToken)
}
