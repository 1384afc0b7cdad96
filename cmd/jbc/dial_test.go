package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestLogErrors(t *testing.T) {
	var out bytes.Buffer
	var opts nats.Options
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := logErrors(log)(&opts); err != nil {
		t.Fatal(err)
	}
	forbidden := fmt.Errorf("%w: publish to x", nats.ErrPermissionViolation)
	for _, tt := range []struct {
		name string
		sub  *nats.Subscription
		err  error
		want string
	}{
		{"refused, which others say", nil, nats.ErrAuthorization, "level=DEBUG"},
		{"forbidden", nil, forbidden, "level=WARN"},
		{"forbidden again", nil, forbidden, "level=DEBUG"},
		{"slow", &nats.Subscription{Subject: "jbc.v1.x"}, nats.ErrSlowConsumer, "level=WARN"},
		{"forbidden after something else", nil, forbidden, "level=WARN"},
	} {
		out.Reset()
		opts.AsyncErrorCB(nil, tt.sub, tt.err)
		got := out.String()
		if !strings.Contains(got, tt.want) || !strings.Contains(got, tt.err.Error()) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q, want one line at %s", tt.name, got, tt.want)
		}
		if tt.sub != nil && !strings.Contains(got, "subject="+tt.sub.Subject) {
			t.Errorf("%s: %q does not name the subscription", tt.name, got)
		}
	}
}
