package store

import (
	"errors"
	"fmt"
	"log/slog"
)

// logger hands Pebble's messages on, and keeps its Fatalf from ending the process.
type logger struct {
	store *Store
	log   *slog.Logger // may be nil
}

func (l *logger) Infof(format string, args ...any) {
	if l.log != nil {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l *logger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Warn(fmt.Sprintf(format, args...))
	}
}

// Fatalf freezes the store and parks its caller: Pebble does not expect it to
// return.
func (l *logger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if l.log != nil {
		l.log.Error(message)
	}
	l.store.failure.freeze(&FailedError{Dir: l.store.dir, Op: "pebble", Err: errors.New(message)})
	park()
}
