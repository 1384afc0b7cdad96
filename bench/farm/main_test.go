//go:build linux

package farm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// jbc is the path of the binary under test, readable by every user.
var jbc string

// TestMain builds the binary once. Under natsEnv, brokerEnv, fleetEnv or stopperEnv
// this test binary is a NATS server, a fleet or a worker in a process of its own
// instead.
func TestMain(m *testing.M) {
	if listen := os.Getenv(natsEnv); listen != "" {
		os.Exit(serveNATS(listen))
	}
	if listen := os.Getenv(brokerEnv); listen != "" {
		os.Exit(serveBroker(listen))
	}
	if config := os.Getenv(fleetEnv); config != "" {
		os.Exit(serveFleet(config))
	}
	if config := os.Getenv(stopperEnv); config != "" {
		os.Exit(serveStopper(config))
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) (status int) {
	dir, err := os.MkdirTemp("", "jbc-farm-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	jbc = filepath.Join(dir, "jbc")
	if given := os.Getenv("JBC_FARM_BINARY"); given != "" {
		jbc = given // a broken one, to see the tests turn red
		return m.Run()
	}
	build := exec.Command("go", "build", "-o", jbc, "github.com/jbcnet/jbc/cmd/jbc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// soaking says that the long form was asked for.
func soaking() bool { return os.Getenv("JBC_SOAK") != "" }

// count is how often something is done: short in every run, long when soaking.
func count(short, long int) int {
	if soaking() {
		return long
	}
	return short
}
