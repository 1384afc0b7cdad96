package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailure     = 1   // it did not work, or there was nothing to find
	exitUsage       = 2   // the command line, environment or configuration is wrong
	exitInterrupted = 130 // Ctrl-C ended something that was not done, as a shell says it
)

// commandError is an error with what to try and the status to exit with.
type commandError struct {
	err    error
	hint   string
	status int
}

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// withHint adds what to try to err; the hint reads after "jbc: hint: ".
func withHint(err error, hint string) error {
	return &commandError{err: err, hint: hint, status: exitFailure}
}

// usageError says that err is the caller's: exit status 2. hint may be empty.
func usageError(err error, hint string) error {
	return &commandError{err: err, hint: hint, status: exitUsage}
}

// errInterrupted says that Ctrl-C ended the work early.
var errInterrupted = errors.New("interrupted")

// report prints err for people, one line and perhaps a hint, and returns the
// status to exit with.
func report(stderr io.Writer, err error) (status int) {
	if err == nil {
		return exitOK
	}
	var ce *commandError
	if !errors.As(err, &ce) {
		ce = &commandError{status: exitFailure}
	}
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		ce.status = exitInterrupted
	}
	fmt.Fprintf(stderr, "jbc: %s\n", oneLine(err.Error()))
	if ce.hint != "" {
		fmt.Fprintf(stderr, "jbc: hint: %s\n", oneLine(ce.hint))
	}
	return ce.status
}

// oneLine joins the lines of a message that a library broke into several.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
