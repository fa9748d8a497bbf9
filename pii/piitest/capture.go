package piitest

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"
)

// capturing is held while a capture replaces the streams and loggers, of which a
// process has one each.
var capturing sync.Mutex

// A capture replaces the streams and loggers of the process.
type capture struct {
	stdout, stderr *captureFile
	descriptors    []*captureDescriptor
	logs           *sink
	slogs          *captureHandler

	// The replaced loggers.
	log      io.Writer
	logFlags int
	slog     *slog.Logger
}

func newCapture(t testing.TB, c *Contact) *capture {
	t.Helper()
	k := &capture{log: log.Writer(), logFlags: log.Flags(), slog: slog.Default()}
	k.stdout = newCaptureFile(t, c, "standard output", &os.Stdout)
	k.stderr = newCaptureFile(t, c, "standard error", &os.Stderr)
	k.descriptors = newCaptureDescriptors(t, c)
	k.logs = c.sink("log")
	k.slogs = newCaptureHandler(c)
	slog.SetDefault(slog.New(k.slogs)) // which redirects package log as well
	log.SetOutput(k.logs)
	log.SetFlags(k.logFlags)
	return k
}

// restore puts the streams and loggers back, and reads the captured files.
func (k *capture) restore() {
	slog.SetDefault(k.slog)
	log.SetOutput(k.log)
	log.SetFlags(k.logFlags)
	k.stdout.restore()
	k.stderr.restore()
	for _, d := range k.descriptors {
		d.restore()
	}
}

// forward writes the captured output to its original destinations.
func (k *capture) forward() {
	for _, f := range []*captureFile{k.stdout, k.stderr} {
		for _, piece := range f.out.all() {
			f.was.Write(piece)
		}
	}
	for _, piece := range k.logs.all() {
		if len(piece) > 0 {
			k.log.Write(piece)
		}
	}
	k.slogs.forward()
	for _, d := range k.descriptors {
		d.forward()
	}
}

// A captureFile replaces one of the files of package os. It is a file rather than a
// pipe: a goroutine that reads a pipe would hold up the bubbles of
// testing/synctest.
type captureFile struct {
	variable **os.File
	was, is  *os.File
	out      *sink
}

func newCaptureFile(t testing.TB, c *Contact, name string, variable **os.File) *captureFile {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "captured")
	if err != nil {
		t.Fatal("piitest: NoLeak can't make a temporary file to capture " + name + " in")
	}
	k := &captureFile{variable: variable, was: *variable, is: f, out: c.sink(name)}
	*variable = f
	return k
}

func (k *captureFile) restore() {
	*k.variable = k.was
	b, err := os.ReadFile(k.is.Name())
	if k.is.Close(); err == nil {
		k.out.add(b)
	}
}

// A captureHandler replaces the default handler of slog. It takes the records of
// every level, as text and as JSON.
type captureHandler struct {
	handlers [2]slog.Handler
	original slog.Handler // with the groups and attributes of handlers
	later    *deferred
}

// deferred holds calls of the original handlers, which follow if nothing leaked.
type deferred struct {
	mu    sync.Mutex
	calls []func()
}

func newCaptureHandler(c *Contact) *captureHandler {
	out := c.sink("slog")
	return &captureHandler{
		[2]slog.Handler{slog.NewTextHandler(out, nil), slog.NewJSONHandler(out, nil)},
		slog.Default().Handler(),
		&deferred{},
	}
}

// Enabled returns true, so that records of every level are captured. The Handle
// methods of the handlers do not look at the level.
func (h *captureHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *captureHandler) Handle(ctx context.Context, r slog.Record) error {
	for _, handler := range h.handlers {
		handler.Handle(ctx, r.Clone())
	}
	if h.original.Enabled(ctx, r.Level) {
		h.later.mu.Lock()
		defer h.later.mu.Unlock()
		h.later.calls = append(h.later.calls, func() { h.original.Handle(ctx, r.Clone()) })
	}
	return nil
}

func (h *captureHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (h *captureHandler) WithGroup(name string) slog.Handler {
	return h.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (h *captureHandler) with(f func(slog.Handler) slog.Handler) slog.Handler {
	return &captureHandler{[2]slog.Handler{f(h.handlers[0]), f(h.handlers[1])}, f(h.original), h.later}
}

func (h *captureHandler) forward() {
	h.later.mu.Lock()
	defer h.later.mu.Unlock()
	for _, call := range h.later.calls {
		call()
	}
}
