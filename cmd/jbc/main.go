// Command jbc mines proof-of-work chains with a farm of machines.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second Ctrl-C finds the default handler, which kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program; nothing below it exits. Cancelling ctx is a Ctrl-C.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	s := &shell{out: stdout, err: stderr, environ: os.Environ()}
	if isTerminal(stderr) {
		s.err = newStatusLine(stderr)
	}
	root := newRoot(s)
	root.SetArgs(args)
	return report(stderr, root.ExecuteContext(ctx))
}
