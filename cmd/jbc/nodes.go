package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

func newNodes(s *shell) *cobra.Command {
	f := nodesFlags{}
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the coordinators that answer",
		Long: "List the coordinators that answer, on all networks or on one, each with the chain\n" +
			"that it says it has. Nothing proves what they say: a chain is checked by whoever\n" +
			"takes it.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := f.find(cmd.Context(), s)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(s.out, nodesJSON(found))
			}
			return s.printNodes(found)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "", "name, `id` or file of the network (default all that there are)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.route.add(cmd)
	return cmd
}

type nodesFlags struct {
	network string
	json    bool
	route   routeFlags
}

// find asks who is there. The most work comes first.
func (f *nodesFlags) find(ctx context.Context, s *shell) ([]protocol.Found, error) {
	network, err := wantedNetwork(f.network)
	if err != nil {
		return nil, err
	}
	way, err := f.route.choose(s, wanted{roles: []protocol.Role{protocol.RoleObserver, protocol.RoleOwner}, network: network})
	if err != nil {
		return nil, err
	}
	conn, err := way.connect(s)
	if err != nil {
		return nil, s.orWorkerOnly(way, err)
	}
	defer conn.Close()
	found, err := protocol.Discover(ctx, conn, discoverTime)
	if err != nil {
		return nil, fmt.Errorf("NATS server %s: %w", redact(way.url), err)
	}
	anybody := len(found) > 0
	found = slices.DeleteFunc(found, func(n protocol.Found) bool { return !n.On(network) })
	switch {
	case !anybody:
		return nil, s.orWorkerOnly(way, fmt.Errorf("NATS server %s: %w", redact(way.url),
			withHint(errors.New("no coordinator answers"), "start one with jbc coordinator")))
	case len(found) == 0:
		return nil, withHint(fmt.Errorf("no coordinator of network %q answers", network), "jbc nodes without --network lists those of all networks")
	}
	slices.SortFunc(found, func(a, b protocol.Found) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(b.Work, a.Work), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	return found, nil
}

func (s *shell) printNodes(found []protocol.Found) error {
	return table(s.out, func(line func(string, ...any)) {
		line("NAME\tNETWORK\tKEY\tVERSION\tHEIGHT\tTIP\tWORK\tWORKERS")
		for _, n := range found {
			if n.Work == "" { // an older one, which does not tell
				line("%s\t%s\t%.12s\t-\t-\t-\t-\t-", n.Name, n.Network, n.Key)
				continue
			}
			line("%s\t%s\t%.12s\t%s\t%d\t%s\t%s\t%d", n.Name, n.Network, n.Key, cmp.Or(printable(n.Version), "-"), n.Height, shortHash(n.Tip), shortWork(n.Work), n.Workers)
		}
	})
}

// shortHash is the end of a hash: it begins with zeros, which tell nothing.
func shortHash(h hashing.Hash) string { text := h.String(); return "…" + text[len(text)-12:] }

// shortWork is a chainwork without the zeros before it.
func shortWork(work string) string {
	for len(work) > 1 && work[0] == '0' {
		work = work[1:]
	}
	return "0x" + work
}

// nodeJSON is a coordinator in jbc nodes --json. What it does not tell is left out.
type nodeJSON struct {
	Name      string        `json:"name"`
	Network   string        `json:"network"`
	Key       string        `json:"key"`
	Version   string        `json:"version,omitempty"`
	Height    *uint32       `json:"height,omitempty"`
	Tip       *hashing.Hash `json:"tip,omitempty"`
	Chainwork string        `json:"chainwork,omitempty"`
	Workers   *uint32       `json:"workers,omitempty"`
}

func nodesJSON(found []protocol.Found) []nodeJSON {
	var all []nodeJSON
	for _, n := range found {
		j := nodeJSON{Name: n.Name, Network: n.Network, Key: n.Key, Version: n.Version, Chainwork: n.Work}
		if n.Work != "" {
			j.Height, j.Tip, j.Workers = &n.Height, &n.Tip, &n.Workers
		}
		all = append(all, j)
	}
	return all
}
