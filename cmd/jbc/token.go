package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

func newToken(s *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Say which machines may join this one's coordinator",
		Long: "Say which machines may join the coordinator that runs on this one with --listen.\n" +
			"A token lets one machine join, once, before it runs out.",
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenNew(s), newTokenList(s), newTokenRevoke(s))
	return cmd
}

// ownerFlags say whose owner asks.
type ownerFlags struct {
	network, dataDir, join string
}

func (f *ownerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "", "name, `id` or file of the coordinator's network (default the one that is kept here)")
	flags.StringVar(&f.dataDir, "data-dir", "", "the coordinator's data `directory` (default $XDG_DATA_HOME/jbc/NETWORK)")
	flags.StringVar(&f.join, "join", "", "owner's `file` (default "+ownerFile+" of the data directory)")
}

// open connects as the coordinator's owner.
func (f *ownerFlags) open(s *shell) (*observer, error) {
	var err error
	if f.network, err = wantedNetwork(f.network); err != nil {
		return nil, err
	}
	want := wanted{roles: []protocol.Role{protocol.RoleOwner}, network: f.network, dataDir: f.dataDir}
	way := &route{}
	if f.join != "" {
		way.chosen = f.join
		way.member, err = loadJoined(f.join, want)
	} else {
		way.member, way.chosen, err = s.findJoined(want)
	}
	if err != nil {
		return nil, err
	}
	if way.member == nil {
		return nil, withHint(errors.New("no coordinator of this user listens to other machines"),
			"on its machine, as its user: jbc coordinator --listen HOST:PORT; on a NATS server of your own users are made with jbc nats-config")
	}
	way.url = way.member.URL()
	pinned, err := way.pin(pins{network: f.network})
	if err != nil {
		return nil, err
	}
	conn, err := way.connect(s)
	if err != nil {
		return nil, err
	}
	return &observer{
		conn: conn, found: protocol.Found{Network: pinned.network, Name: pinned.coordinator, Key: pinned.key},
		subject: protocol.NewSubjects(pinned.network).Admin(pinned.coordinator),
	}, nil
}

// askOwned asks a coordinator as its owner.
func (f *ownerFlags) askOwned(ctx context.Context, s *shell, ask *protocol.TokenAsk) (*protocol.TokenReply, error) {
	o, err := f.open(s)
	if err != nil {
		return nil, err
	}
	defer o.close()
	return o.askToken(ctx, ask)
}

// askToken asks for something about tokens.
func (o *observer) askToken(ctx context.Context, ask *protocol.TokenAsk) (*protocol.TokenReply, error) {
	ask.ID = randomID()
	var reply protocol.TokenReply
	if err := o.request(ctx, o.subject, ask.ID, ask, &reply); err != nil {
		return nil, err
	}
	return &reply, nil
}

func newTokenNew(s *shell) *cobra.Command {
	var (
		f    ownerFlags
		role string
		last time.Duration
	)
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a token and print the line for the other machine",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := protocol.CheckRole(protocol.Role(role)); err != nil {
				return usageError(err, "--role takes one of those")
			}
			if last < time.Second || last > protocol.MaxTokenTTL {
				return usageError(fmt.Errorf("a token for %v", last), fmt.Sprintf("--for takes 1s to %.0fh", protocol.MaxTokenTTL.Hours()))
			}
			reply, err := f.askOwned(cmd.Context(), s, &protocol.TokenAsk{
				Ask: protocol.Ask{Kind: protocol.KindTokenNew}, Role: protocol.Role(role), TTLMS: last.Milliseconds(),
			})
			if err != nil {
				return err
			}
			token, err := protocol.ParseToken(reply.Token)
			if err != nil {
				return fmt.Errorf("the coordinator made no good token: %w", err)
			}
			fmt.Fprintf(s.err, "good once, for %s, until %s; jbc join alone asks for the token and shows it to nobody\n",
				roleNames(token.Role), token.Expires.Local().Format(time.DateTime))
			_, err = fmt.Fprintf(s.out, "jbc join %s\n", reply.Token)
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&role, "role", string(protocol.RoleWorker), "what the machine may do: worker, observer or coordinator")
	cmd.Flags().DurationVar(&last, "for", 24*time.Hour, "how long the token may be used")
	return cmd
}

func newTokenList(s *shell) *cobra.Command {
	var (
		f      ownerFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens that were made and the machines that joined",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.open(s)
			if err != nil {
				return err
			}
			defer o.close()
			entries, err := o.tokens(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, entries)
			}
			return s.printAccess(entries)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// tokens gets all pages of the list.
func (o *observer) tokens(ctx context.Context) ([]protocol.AccessStatus, error) {
	entries := []protocol.AccessStatus{}
	for after := ""; ; {
		page, err := o.askToken(ctx, &protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenList}, After: after})
		if err != nil {
			return nil, err
		}
		entries = append(entries, page.Entries...)
		if page.After == "" || page.After == after || len(page.Entries) == 0 {
			return entries, nil
		}
		after = page.After
	}
}

func newTokenRevoke(s *shell) *cobra.Command {
	var f ownerFlags
	cmd := &cobra.Command{
		Use:     "revoke ID|NAME|KEY",
		Short:   "Take back a token, or a machine's place, and disconnect it",
		Example: "  jbc token revoke rig1",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := strings.TrimSpace(args[0])
			if what == "" || len(what) > 64 {
				return usageError(fmt.Errorf("no token or machine is called %.80q", what), "jbc token list shows them")
			}
			reply, err := f.askOwned(cmd.Context(), s, &protocol.TokenAsk{Ask: protocol.Ask{Kind: protocol.KindTokenRevoke}, What: what})
			switch {
			case errors.Is(err, protocol.NoToken), errors.Is(err, protocol.NotFound):
				return withHint(fmt.Errorf("no token or machine is called %q", what), "jbc token list shows them")
			case err != nil:
				return err
			}
			return s.printAccess(reply.Entries)
		},
	}
	f.add(cmd)
	return cmd
}

func (s *shell) printAccess(entries []protocol.AccessStatus) error {
	if len(entries) == 0 {
		fmt.Fprintln(s.out, "no tokens and no machines; jbc token new makes a token")
		return nil
	}
	at := func(seconds int64) string {
		if seconds == 0 {
			return "-"
		}
		return time.Unix(seconds, 0).Format(time.DateTime)
	}
	return table(s.out, func(line func(string, ...any)) {
		line("ID OR NAME\tROLE\tSTATE\tJOINED\tSINCE\tEXPIRES\tONLINE")
		for _, e := range entries {
			online := "-"
			if e.ID == "" {
				online = fmt.Sprint(e.Online)
			}
			line("%s\t%s\t%s\t%s\t%s\t%s\t%s", e.ID+e.Name, e.Role, e.State, cmp.Or(e.Home, "here"), at(e.Since), at(e.Expires), online)
		}
	})
}
