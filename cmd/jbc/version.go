package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker (-X main.version=...); where they are
// not, the build information of the Go toolchain is used.
var version, commit string

// build says what this program was made from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"` // of the commit
	Dirty   bool   `json:"dirty,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func readBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				if b.Commit == "" {
					b.Commit = setting.Value
				}
			case "vcs.time":
				b.Time = setting.Value
			case "vcs.modified":
				b.Dirty = setting.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

// buildVersion is how this program names itself to others.
func buildVersion() string { return readBuild().Version }

func newVersion(s *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(0),
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			if asJSON {
				return printJSON(s.out, b)
			}
			fmt.Fprintf(s.out, "jbc %s", b.Version)
			if b.Commit != "" {
				fmt.Fprintf(s.out, " (commit %.12s)", b.Commit)
			}
			fmt.Fprintf(s.out, " %s %s/%s\n", b.Go, b.OS, b.Arch)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
