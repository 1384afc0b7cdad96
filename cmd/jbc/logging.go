package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// newLogger writes coloured lines to a terminal and key=value lines to anything
// else.
func newLogger(w io.Writer, level string, noColor bool) (*slog.Logger, error) {
	var least slog.Level
	if strings.EqualFold(level, "trace") {
		least = levelTrace
	} else if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError(fmt.Errorf("no log level %q", level), "--log-level takes trace, debug, info, warn or error")
	}
	if isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: least, TimeFormat: time.TimeOnly, NoColor: noColor})), nil
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least, ReplaceAttr: nameTrace})), nil
}

// levelTrace is below debug: every message that passes.
const levelTrace = slog.LevelDebug - 4

// nameTrace writes TRACE where slog would write DEBUG-4.
func nameTrace(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && level == levelTrace {
		return slog.String(slog.LevelKey, "TRACE")
	}
	return a
}

// isTerminal says whether somebody is watching w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// troubles returns a logger that passes on warnings and errors alone, or all of it
// where log is at debug: for a part whose good news another part tells.
func troubles(log *slog.Logger) *slog.Logger {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return log
	}
	return slog.New(warnHandler{log.Handler()})
}

// warnHandler drops what is below a warning.
type warnHandler struct{ slog.Handler }

func (h warnHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h warnHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnHandler{h.Handler.WithAttrs(attrs)}
}

func (h warnHandler) WithGroup(name string) slog.Handler {
	return warnHandler{h.Handler.WithGroup(name)}
}
