package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// Keys of the configuration that have no flag.
const (
	keyNATSUser     = "nats-user"
	keyNATSPassword = "nats-password"
)

// natsFlags are where and as whom a command connects to NATS.
type natsFlags struct {
	url, creds, nkey, ca, cert, key string
}

// add defines the flags on cmd; about says what an empty --nats means to it.
func (f *natsFlags) add(cmd *cobra.Command, about string) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "nats", "", "NATS `url`, several separated by commas ("+about+")")
	flags.StringVar(&f.creds, "nats-creds", "", "NATS credentials `file`")
	flags.StringVar(&f.nkey, "nats-nkey", "", "`file` with an nkey seed")
	flags.StringVar(&f.ca, "nats-ca", "", "`file` with the certificates that NATS servers are checked by")
	flags.StringVar(&f.cert, "nats-cert", "", "TLS client certificate `file`")
	flags.StringVar(&f.key, "nats-key", "", "TLS client key `file`")
}

// options returns what to connect with besides the address. User and password
// come from the environment or the configuration file. What is missing or
// contradicts itself is found here, not at some later reconnect.
func (f *natsFlags) options(s *shell) ([]nats.Option, error) {
	user, password := s.conf.String(keyNATSUser), s.conf.String(keyNATSPassword)
	var opts []nats.Option
	identities := 0

	if f.creds != "" {
		identities++
		opts = append(opts, nats.UserCredentials(f.creds))
	}
	if f.nkey != "" {
		identities++
		opt, err := nats.NkeyOptionFromSeed(f.nkey)
		if err != nil {
			return nil, usageError(fmt.Errorf("nkey seed %s: %w", f.nkey, err), "--nats-nkey (NATS_NKEY) takes a file that holds a seed (SU...)")
		}
		opts = append(opts, opt)
	}
	if user != "" || password != "" {
		identities++
		opts = append(opts, nats.UserInfo(user, password))
	}
	if identities > 1 {
		return nil, usageError(errors.New("more than one NATS identity is given"), "choose one of credentials, nkey, and user with password")
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usageError(errors.New("a TLS client certificate needs its key, and a key its certificate"), "give both --nats-cert and --nats-key")
	}
	if f.cert != "" {
		opts = append(opts, nats.ClientCert(f.cert, f.key))
	}
	if f.ca != "" {
		opts = append(opts, nats.RootCAs(f.ca))
	}
	for _, path := range []string{f.creds, f.cert, f.key, f.ca} {
		if path == "" {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError(err, "check the NATS_* variables, the --nats-* flags and the configuration file")
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	return opts, nil
}
