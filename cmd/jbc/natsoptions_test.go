package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"
)

// natsOptions runs a command with NATS flags under an environment and returns
// what a connection would be made with.
func natsOptions(t *testing.T, environ, args []string) (url string, opts nats.Options, err error) {
	t.Helper()
	s := &shell{out: t.Output(), err: t.Output(), environ: append(environ, "XDG_CONFIG_HOME="+t.TempDir())}
	root := newRoot(s)
	var f natsFlags
	cmd := &cobra.Command{Use: "dial", RunE: func(*cobra.Command, []string) error {
		list, err := f.options(s)
		if err != nil {
			return err
		}
		url, opts = f.url, nats.GetDefaultOptions()
		for _, o := range list {
			if err := o(&opts); err != nil {
				return err
			}
		}
		return nil
	}}
	f.add(cmd, "for the test")
	root.AddCommand(cmd)
	root.SetArgs(append([]string{"dial"}, args...))
	return url, opts, root.ExecuteContext(t.Context())
}

func TestNATSOptions(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "seed")
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}

	t.Run("nothing", func(t *testing.T) {
		url, opts, err := natsOptions(t, nil, nil)
		if err != nil || url != "" || opts.User != "" || opts.Nkey != "" || opts.UserJWT != nil {
			t.Errorf("url %q, user %q, nkey %q, error %v", url, opts.User, opts.Nkey, err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		url, opts, err := natsOptions(t, []string{"NATS_URL=nats://a:1", "NATS_USER=u", "NATS_PASSWORD=p"}, nil)
		if err != nil || url != "nats://a:1" || opts.User != "u" || opts.Password != "p" {
			t.Errorf("url %q, user %q, password %q, error %v", url, opts.User, opts.Password, err)
		}
	})
	t.Run("the flag wins, JBC_ over NATS_", func(t *testing.T) {
		url, _, err := natsOptions(t, []string{"JBC_NATS=nats://ours:1", "NATS_URL=nats://theirs:1"}, nil)
		if err != nil || url != "nats://ours:1" {
			t.Errorf("url %q, error %v", url, err)
		}
		url, _, err = natsOptions(t, []string{"NATS_URL=nats://theirs:1", "JBC_NATS=nats://ours:1"}, nil)
		if err != nil || url != "nats://ours:1" {
			t.Errorf("the other way around: url %q, error %v", url, err)
		}
		url, _, err = natsOptions(t, []string{"NATS_URL=nats://a:1"}, []string{"--nats", "nats://flag:1"})
		if err != nil || url != "nats://flag:1" {
			t.Errorf("url %q, error %v", url, err)
		}
	})
	t.Run("nkey", func(t *testing.T) {
		_, opts, err := natsOptions(t, []string{"NATS_NKEY=" + seed}, nil)
		if err != nil || opts.Nkey != public {
			t.Errorf("nkey %q, want %q, error %v", opts.Nkey, public, err)
		}
	})

	refused := []struct {
		name    string
		environ []string
		args    []string
		says    string
	}{
		{"two identities", []string{"NATS_NKEY=" + seed, "NATS_USER=u"}, nil, "more than one NATS identity"},
		{"no such credentials", []string{"NATS_CREDS=/nowhere/a.creds"}, nil, "/nowhere/a.creds"},
		{"no such nkey", nil, []string{"--nats-nkey", "/nowhere/seed"}, "nkey seed /nowhere/seed"},
		{"no such authority", nil, []string{"--nats-ca", "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
		{"certificate without key", nil, []string{"--nats-cert", seed}, "needs its key"},
		{"key without certificate", []string{"NATS_KEY=" + seed}, nil, "needs its key"},
	}
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := natsOptions(t, test.environ, test.args)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// TestPasswordsAreNoFlags: everybody on a machine sees command lines.
func TestPasswordsAreNoFlags(t *testing.T) {
	for _, flag := range []string{"--nats-password=x", "--nats-user=x"} {
		if _, _, err := natsOptions(t, nil, []string{flag}); err == nil {
			t.Errorf("%s is taken", flag)
		}
	}
}
