package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/hashing/gpu"
)

// TestMain lets this test binary be jbc: scripts start it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"jbc": main})
}

func TestScripts(t *testing.T) {
	devices := sync.OnceValue(gpu.Find)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.Cd)
			env.Setenv("XDG_CONFIG_HOME", env.Cd+"/xdg")
			if cache, err := os.UserCacheDir(); err == nil { // what PoCL has compiled for other tests
				env.Setenv("POCL_CACHE_DIR", filepath.Join(cache, "pocl", "kcache"))
			}
			env.Setenv("PORT", freePort(t))
			env.Setenv("OTHER_PORT", freePort(t))
			env.Setenv("BLOCKS", realBlocks(t))
			for name, header := range scriptHeaders(t) {
				env.Setenv(name, header)
			}
			return nil
		},
		// [opencl] says whether there is a device, which there must be where CI=true.
		Condition: func(cond string) (bool, error) {
			if cond != "opencl" {
				return false, fmt.Errorf("no condition %q", cond)
			}
			listing := devices()
			if why := listing.Why(); why != "" && listing.State != gpu.NotBuilt && os.Getenv("CI") == "true" {
				return false, errors.New(why)
			}
			return listing.State == gpu.Found, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      exits,
			"eventually": eventually,
			"unbzip2":    unbzip2,
		},
	})
}

// exits runs a program and wants it to end with the given status:
//
//	exits 2 jbc scan zz
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var status *exec.ExitError
		if !errors.As(err, &status) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = status.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}

// eventually runs a program until it succeeds, for as long as a farm may take to
// start:
//
//	eventually jbc chain show 1
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: eventually program [args...]")
	}
	for begin := time.Now(); ; {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Since(begin) > 2*time.Minute {
			ts.Fatalf("%v: %v after 2 min", args, err)
		}
	}
}

// freePort returns a TCP port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// scriptHeaders returns the headers that scripts use, by the name of their
// variable.
func scriptHeaders(t *testing.T) map[string]string {
	parse := func(text string) hashing.Header {
		h, err := hashing.ParseHeader(text)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	with := func(h hashing.Header, change func(h *hashing.Header)) string {
		change(&h)
		return h.String()
	}
	genesis := parse("0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c")
	b125552 := parse("0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695")
	blank := func(h *hashing.Header) { h.SetNonce(0) }
	bits := func(b hashing.Bits) func(*hashing.Header) { return func(h *hashing.Header) { h.SetBits(b) } }
	field := func(f uint32) func(*hashing.Header) {
		return func(h *hashing.Header) { h.SetVersion(hashing.RollVersion(h.Version(), f)) }
	}
	return map[string]string{
		"GENESIS":                with(genesis, blank),
		"GENESIS_SOLVED":         genesis.String(),
		"GENESIS_TAIL":           genesis.String()[2:],
		"GENESIS_FIELD_1_BELOW":  with(genesis, field(0xffff)),
		"GENESIS_FIELD_15_BELOW": with(genesis, field(0xfff1)),
		"B125552":                with(b125552, blank),
		"EASY":                   with(genesis, bits(0x207fffff)),
		"ZERO_BITS":              with(genesis, bits(0)),
		"NEGATIVE_BITS":          with(genesis, bits(0x1d80ffff)),
		"OVERFLOW_BITS":          with(genesis, bits(0xff00ffff)),
	}
}
