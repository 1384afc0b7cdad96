package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every long flag is a key of the configuration file and, in capitals behind
// JBC_ with underscores for dashes, a variable of the environment. A table of the
// file named for a command holds what counts for that command alone:
//
//	nats = "nats://10.0.0.1:4222"
//
//	[worker]
//	threads = 8
//
// A flag given on the command line wins over the environment, that over the
// command's table, that over the rest of the file.

// natsVariables are the names that users of NATS expect, and the keys they set.
var natsVariables = map[string]string{
	"NATS_URL":      "nats",
	"NATS_CREDS":    "nats-creds",
	"NATS_NKEY":     "nats-nkey",
	"NATS_USER":     keyNATSUser,
	"NATS_PASSWORD": keyNATSPassword,
	"NATS_CA":       "nats-ca",
	"NATS_CERT":     "nats-cert",
	"NATS_KEY":      "nats-key",
}

// secretKeys have no flag: command lines are seen by everybody on a machine.
var secretKeys = []string{keyNATSUser, keyNATSPassword}

// configure reads the configuration file and the environment into s.conf and
// gives every flag of cmd that the command line leaves alone its value from there.
func (s *shell) configure(cmd *cobra.Command) error {
	s.conf = koanf.New(".")
	origin := map[string]string{} // key -> where its value comes from, for messages

	path, err := s.loadFile(cmd, origin)
	if err != nil {
		return usageError(err, fmt.Sprintf("look at %s; every long flag is a key there", path))
	}
	if err := s.loadEnviron(origin); err != nil {
		return err
	}

	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || wrong != nil || !isSetting(f) || !s.conf.Exists(f.Name) {
			return
		}
		if _, table := s.conf.Get(f.Name).(map[string]any); table {
			return // of the command that has this flag's name
		}
		if setFlag(cmd.Flags(), f, s.conf) != nil { // what pflag says of it is about Go's parsers
			wrong = usageError(fmt.Errorf("%s: %s: invalid value %q", origin[f.Name], f.Name, s.conf.String(f.Name)), cmd.CommandPath()+" --help says what it takes")
		}
	})
	return wrong
}

// loadFile reads the configuration file into s.conf, the table of cmd over the
// rest, and returns its path.
func (s *shell) loadFile(cmd *cobra.Command, origin map[string]string) (path string, err error) {
	path, asked := s.configPath(cmd)
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return path, nil
	}
	if err != nil {
		return path, fmt.Errorf("config: %w", err)
	}
	file := koanf.New(".")
	if err := file.Load(rawbytes.Provider(text), toml.Parser()); err != nil {
		return path, fmt.Errorf("config %s: %w", path, err)
	}
	known := settings(cmd.Root())
	for _, key := range file.Keys() {
		if !known[key] {
			return path, fmt.Errorf("config %s: unknown key %q", path, key)
		}
	}
	for _, part := range []*koanf.Koanf{file, file.Cut(tableName(cmd))} {
		if err := s.conf.Merge(part); err != nil {
			return path, fmt.Errorf("config %s: %w", path, err)
		}
	}
	for _, key := range s.conf.Keys() {
		origin[key] = "config " + path
	}
	return path, nil
}

// configPath returns the file to read, and whether somebody asked for it, so that
// its absence is an error. It is empty where no place is known.
func (s *shell) configPath(cmd *cobra.Command) (path string, asked bool) {
	if f := cmd.Flags().Lookup("config"); f != nil && f.Value.String() != "" {
		return f.Value.String(), true
	}
	if path := s.env("JBC_CONFIG"); path != "" {
		return path, true
	}
	dir := s.configDir()
	if dir == "" {
		return "", false // no home: nothing to read
	}
	return filepath.Join(dir, "config.toml"), false
}

// loadEnviron merges the environment over what s.conf holds.
func (s *shell) loadEnviron(origin map[string]string) error {
	return s.conf.Load(env.Provider(".", env.Opt{
		EnvironFunc: func() []string { return s.environ },
		TransformFunc: func(name, value string) (string, any) {
			key, ok := natsVariables[name]
			if rest, own := strings.CutPrefix(name, "JBC_"); own {
				key, ok = strings.ToLower(strings.ReplaceAll(rest, "_", "-")), true
			}
			if !ok || value == "" {
				return "", nil
			}
			if old := origin[key]; strings.HasPrefix(old, "JBC_") && !strings.HasPrefix(name, "JBC_") {
				return "", nil // JBC_NATS is meant for us alone, NATS_URL for everybody
			}
			origin[key] = name
			return key, value
		},
	}), nil)
}

// env returns a variable of the environment, empty where it is not set.
func (s *shell) env(name string) string {
	for i := len(s.environ) - 1; i >= 0; i-- {
		if key, value, _ := strings.Cut(s.environ[i], "="); key == name {
			return value
		}
	}
	return ""
}

// settings returns every key that a configuration file may hold: the flags of all
// commands, plain and in their command's table, and the secrets.
func settings(root *cobra.Command) map[string]bool {
	keys := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		table := tableName(cmd)
		add := func(key string) {
			keys[key] = true
			if table != "" {
				keys[table+"."+key] = true
			}
		}
		visit := func(f *pflag.Flag) {
			if isSetting(f) {
				add(f.Name)
			}
		}
		cmd.LocalFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
		for _, key := range secretKeys {
			add(key)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return keys
}

// tableName returns the table of a command in the file, "chain.show" for jbc
// chain show.
func tableName(cmd *cobra.Command) string {
	_, table, _ := strings.Cut(strings.ReplaceAll(cmd.CommandPath(), " ", "."), ".")
	return table
}

// isSetting says whether a flag can be set by file and environment. --port is no
// setting but a short form of one, --listen, which it would quietly overrule; flags
// that are marked so share a name with a setting of another command.
func isSetting(f *pflag.Flag) bool {
	return f.Name != "config" && f.Name != "help" && f.Name != "port" && f.Annotations[commandLineOnly] == nil
}

// setFlag gives f the value that conf has for it, as if the command line had.
func setFlag(flags *pflag.FlagSet, f *pflag.Flag, conf *koanf.Koanf) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		if _, text := conf.Get(f.Name).(string); !text {
			f.Changed = true
			return list.Replace(conf.Strings(f.Name))
		}
	}
	return flags.Set(f.Name, conf.String(f.Name))
}
