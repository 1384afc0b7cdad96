//go:build linux

package farm

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// natsEnv makes this test binary a NATS server that listens there.
const natsEnv = "JBC_FARM_NATS"

// serveNATS runs a server with its defaults, or a configuration file, until it is
// killed.
func serveNATS(listen string) (status int) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	opts := &server.Options{}
	if config := os.Getenv("JBC_FARM_NATS_CONFIG"); config != "" {
		if opts, err = server.ProcessConfigFile(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	opts.Host, opts.Port = host, port
	if user := os.Getenv("JBC_FARM_USER"); user != "" {
		opts.Username, opts.Password = user, os.Getenv("JBC_FARM_PASSWORD")
	}
	s, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.WaitForShutdown()
	return 0
}

// natsServer starts one in a process of its own on the farm's port and waits until
// it listens.
func (f *farm) natsServer(t *testing.T, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), natsEnv+"="+f.host), env...)
	p := start(t, "nats-server", cmd)
	p.says(t, patience, "Server is ready")
	return p
}
