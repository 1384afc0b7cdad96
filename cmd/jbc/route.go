package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// routeFlags say how a command gets to its coordinator: over a NATS server that is
// named, or where this machine joined.
type routeFlags struct {
	nats natsFlags
	join string
}

func (f *routeFlags) add(cmd *cobra.Command) {
	f.nats.add(cmd, "default where this machine joined, or nats://"+defaultListen)
	cmd.Flags().StringVar(&f.join, "join", "", "`file` that jbc join made (default the one at its usual place)")
}

// byDefault is how the way to this machine's own server was chosen.
const byDefault = "default"

// route is a way to a coordinator.
type route struct {
	url    string
	chosen string // by what, for people
	// member is the place that this machine has there; nil at a NATS server of
	// somebody's own, or without credentials, where coordinators have to be found.
	member *access.Membership
	opts   []nats.Option // without a membership
	inbox  string        // name that an observer's inbox goes by, empty for NATS's own
}

// choose returns the way to take: a server that is named, else a join that is
// named, else one that this user has, else a coordinator on this machine.
func (f *routeFlags) choose(s *shell, want wanted) (*route, error) {
	var (
		member *access.Membership
		path   string
		err    error
	)
	switch {
	case f.join != "" && f.nats.url != "":
		return nil, usageError(fmt.Errorf("a NATS server (%s) and a join (%s) are both given", redact(f.nats.url), f.join), "leave one of them out, or set it to nothing")
	case f.join != "":
		path = f.join
		member, err = loadJoined(path, want)
	case f.nats.url == "":
		member, path, err = s.findJoined(want)
	}
	if err != nil {
		return nil, err
	}
	if member == nil {
		return f.toServer(s)
	}
	if given := f.nats.given(s); given != "" {
		return nil, usageError(fmt.Errorf("%s is given, and this machine joined %s (%s)", given, member.Network, path),
			"say which NATS server it is for with --nats, or leave it out")
	}
	return &route{url: member.URL(), chosen: path, member: member}, nil
}

// toServer returns the way over a server that is named, or the default one.
func (f *routeFlags) toServer(s *shell) (*route, error) {
	opts, err := f.nats.options(s)
	if err != nil {
		return nil, err
	}
	r := &route{url: f.nats.serverURL(), chosen: byDefault, opts: opts, inbox: f.nats.inbox()}
	if f.nats.url != "" {
		r.chosen = "nats"
	}
	return r, nil
}

// options returns how a process of that name connects.
func (r *route) options(process string) ([]nats.Option, error) {
	if r.member == nil {
		return r.opts, nil
	}
	opts, err := r.member.Options(process)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.chosen, err)
	}
	return opts, nil
}

// process returns the name of a process of this machine: what is given, or one that
// no other process has. Where the machine joined, its name comes first.
func (r *route) process(given, machine string) (string, error) {
	if given != "" {
		if err := protocol.CheckName(given); err != nil {
			return "", usageError(err, "choose another with --name")
		}
	}
	if r.member == nil {
		if given == "" {
			given = protocol.MakeName(machine[:min(len(machine), maxHostInName)] + "-" + randomDigits())
		}
		return given, nil
	}
	switch {
	case given == "":
		given = r.member.Name + "_" + randomDigits()
	case !protocol.OwnsName(r.member.Name, given):
		given = r.member.Name + "_" + given
	}
	if err := protocol.CheckName(given); err != nil {
		return "", usageError(fmt.Errorf("%w: this machine joined as %s", err, r.member.Name), "choose a shorter one with --name")
	}
	return given, nil
}

// maxHostInName leaves room in a name for a dash and random digits.
const maxHostInName = 27

// pins are what says which coordinator is meant; empty parts say nothing.
type pins struct{ network, coordinator, key string }

// pin fills in what the membership knows. What was given may say the same.
func (r *route) pin(given pins) (pins, error) {
	m := r.member
	if m == nil {
		return given, nil
	}
	for _, c := range []struct{ flag, given, joined string }{
		{"--network", given.network, m.Network},
		{"--coordinator", given.coordinator, m.Coordinator},
		{"--key", given.key, m.Key},
	} {
		same := c.given == "" || c.given == c.joined
		if c.flag == "--network" {
			same = protocol.Found{Network: m.Network}.On(c.given)
		}
		if !same {
			return pins{}, usageError(fmt.Errorf("%s %q is given, and this machine joined %q (%s)", c.flag, c.given, c.joined, r.chosen),
				"leave the flag out, or say which join is meant with --join, or which NATS server with --nats")
		}
	}
	return pins{m.Network, m.Coordinator, m.Key}, nil
}

// explain adds to an error that keeps a connection away what to try.
func (r *route) explain(err error) error {
	text, hint := protocol.Explain(withoutURL(err))
	if r.member != nil && protocol.IsRefused(err) {
		hint = "it no longer knows this machine, which may have been revoked: join again with a new token (jbc join)"
	}
	if hint == "" {
		hint = "start jbc coordinator on this machine, or say where the server is with --nats or NATS_URL"
		if r.member != nil {
			hint = "is the coordinator running? This machine joined it (" + r.chosen + ")"
		}
	}
	return withHint(fmt.Errorf("NATS server %s: %w", redact(r.url), &said{text, err}), hint)
}

// said is an error in other words.
type said struct {
	text string
	err  error
}

func (e *said) Error() string { return e.text }
func (e *said) Unwrap() error { return e.err }

// given says which of what belongs to a NATS server of somebody's own is set.
func (f *natsFlags) given(s *shell) string {
	for _, setting := range []struct{ value, name string }{
		{f.creds, "--nats-creds (NATS_CREDS)"}, {f.nkey, "--nats-nkey (NATS_NKEY)"},
		{s.conf.String(keyNATSUser), "NATS_USER"}, {s.conf.String(keyNATSPassword), "NATS_PASSWORD"},
		{f.ca, "--nats-ca (NATS_CA)"}, {f.cert, "--nats-cert (NATS_CERT)"}, {f.key, "--nats-key (NATS_KEY)"},
	} {
		if setting.value != "" {
			return setting.name
		}
	}
	return ""
}

// inbox returns the name that an observer's inbox goes by, since a server may let
// it listen to no other: that of the file with its key or credentials.
func (f *natsFlags) inbox() string {
	for _, path := range []string{f.nkey, f.creds} {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if path != "" && protocol.CheckName(name) == nil {
			return name
		}
	}
	return ""
}

var errWorkerOnly = errors.New("this machine joined as a worker, which may not ask for that")

// orWorkerOnly returns why an observer found nobody on this machine: err, or that
// the machine has a worker's join and no other.
func (s *shell) orWorkerOnly(way *route, err error) error {
	if way.chosen != byDefault {
		return err
	}
	if m, _, other := s.findJoined(wanted{roles: []protocol.Role{protocol.RoleWorker}}); other != nil || m == nil {
		return err
	}
	return withHint(errWorkerOnly, "ask on the coordinator's machine, or join as an observer too: jbc token new --role observer there, jbc join here")
}
