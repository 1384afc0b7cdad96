package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// natsConfigFlags are the flags of jbc nats-config.
type natsConfigFlags struct {
	network, keys                    string
	coordinators, workers, observers []string
}

func newNATSConfig(s *shell) *cobra.Command {
	var f natsConfigFlags
	cmd := &cobra.Command{
		Use:   "nats-config",
		Short: "Print the users of a farm for a NATS server of your own",
		Long: "Print the part of a nats-server's configuration that lets a coordinator, its workers\n" +
			"and observers do what they have to and nothing else, and make the key of each that\n" +
			"has none yet. Give the file NAME.nk to the machine of that name, and to no other.",
		Example: "  jbc nats-config --coordinator farm --worker rig1 --worker rig2 --observer desk --keys keys >farm.conf\n" +
			"  jbc coordinator --nats tls://nats.example:4222 --nats-nkey keys/farm.nk --name farm\n" +
			"  jbc worker --nats tls://nats.example:4222 --nats-nkey keys/rig1.nk --name rig1\n" +
			"  jbc status --nats tls://nats.example:4222 --nats-nkey keys/desk.nk",
		Args: exactArgs(0),
		RunE: func(*cobra.Command, []string) error { return f.run(s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "dev", "network that they are for: "+networkUsage)
	flags.StringSliceVar(&f.coordinators, "coordinator", nil, "`name` of a coordinator; several by repeating it or with commas")
	flags.StringSliceVar(&f.workers, "worker", nil, "`name` of a worker")
	flags.StringSliceVar(&f.observers, "observer", nil, "`name` of an observer")
	flags.StringVar(&f.keys, "keys", "", "`directory` of the keys, made where it is missing")
	return cmd
}

func (f *natsConfigFlags) run(s *shell) error {
	params, err := networkByName(f.network)
	if err != nil {
		return err
	}
	if f.keys == "" {
		return usageError(errors.New("no directory for the keys"), "--keys says where they are, or are to be made")
	}
	if len(f.coordinators) == 0 {
		return usageError(errors.New("no coordinator"), "--coordinator names it, as its own --name does")
	}
	users, err := f.users()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.keys, 0o700); err != nil {
		return err
	}
	for i := range users {
		if users[i].PublicKey, err = userKey(filepath.Join(f.keys, users[i].Name+".nk")); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.out, "# Users of network %s for nats-server: include this file, and say there where to\n"+
		"# listen and with which certificate. Made by jbc nats-config.\n%s",
		params.ID(), access.ServerConfig(protocol.NewSubjects(params.ID()), users))
	return err
}

// users returns whom the flags name, without keys. A name is one user's: it is that
// of its key's file.
func (f *natsConfigFlags) users() ([]access.ServerUser, error) {
	var users []access.ServerUser
	taken := map[string]bool{}
	for _, group := range []struct {
		role  protocol.Role
		names []string
	}{{protocol.RoleCoordinator, f.coordinators}, {protocol.RoleWorker, f.workers}, {protocol.RoleObserver, f.observers}} {
		for _, name := range group.names {
			if err := protocol.CheckName(name); err != nil {
				return nil, usageError(err, fmt.Sprintf("--%s takes such a name", group.role))
			}
			if taken[name] {
				return nil, usageError(fmt.Errorf("two users are called %q", name), "give each its own name")
			}
			taken[name] = true
			users = append(users, access.ServerUser{Role: group.role, Name: name})
		}
	}
	return users, nil
}

// userKey returns the public key of the seed at path, which is made where there is
// none.
func userKey(path string) (public string, err error) {
	seed, err := access.Secret(path, func() ([]byte, error) {
		seed, _, err := access.NewKey()
		return []byte(seed), err
	})
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	if public, err = access.PublicKey(string(seed)); err != nil {
		return "", withHint(fmt.Errorf("%s: %w", path, err), "move the file away to have a new key made")
	}
	return public, nil
}
