package otel_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kektest"
	"github.com/onlyfor/onlyfor/vault/otel"
	"github.com/onlyfor/onlyfor/vault/storetest"
)

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() vault.Store {
		store := vault.Memory()
		return func() vault.Store { return otel.Store(store, nil) }
	})
}

// A wrapper replaces many records with one call exactly if its store does.
func TestReplaceStays(t *testing.T) {
	_, ok := otel.Store(vault.Memory(), nil).(vault.BatchReplacer)
	require.True(t, ok)
	_, ok = otel.Store(struct{ vault.Store }{vault.Memory()}, nil).(vault.BatchReplacer)
	require.False(t, ok)
}

func TestKEKKeepsItsContract(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("LocalKEK needs a Unix file system")
	}
	var dir string
	kektest.Run(t, func(t testing.TB) vault.KEK {
		dir = t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o700))
		return otel.KEK(vault.LocalKEK(dir), nil)
	}, &kektest.Options{Reopen: func(testing.TB) vault.KEK { return otel.KEK(vault.LocalKEK(dir), nil) }})
	kektest.Run(t, func(t testing.TB) vault.KEK { return otel.KEK(vault.SharedKEK(newAEAD(t)), nil) }, &kektest.Options{Shared: true})
	kektest.Run(t, func(t testing.TB) vault.KEK { return otel.KEK(vault.SharedKEK(inContext{newAEAD(t)}), nil) }, &kektest.Options{Shared: true})
}

type inContext struct{ vault.AEAD }

func (a inContext) EncryptWithContext(ctx context.Context, plaintext, ad []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a.Encrypt(plaintext, ad)
}

func (a inContext) DecryptWithContext(ctx context.Context, ciphertext, ad []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a.Decrypt(ciphertext, ad)
}

type named struct{ vault.AEAD }

func (named) KeyName() string { return "a-key" }

type namedInContext struct{ inContext }

func (namedInContext) KeyName() string { return "a-key" }

type generator struct{ vault.KEK }

func (generator) Generate(context.Context, purpose.Purpose) error { return nil }

// A wrapper has exactly the optional interfaces of the KEK and of its AEADs: a vault acts
// on each of them.
func TestOptionalInterfacesStay(t *testing.T) {
	plain := newAEAD(t)
	for _, a := range []vault.AEAD{plain, inContext{plain}, named{plain}, namedInContext{inContext{plain}}} {
		for _, kek := range []vault.KEK{vault.SharedKEK(a), generator{vault.SharedKEK(a)}, vault.KEKs{security: vault.SharedKEK(a)}} {
			wrapped := otel.KEK(kek, nil)
			_, want := kek.(vault.KeyGenerator)
			_, got := wrapped.(vault.KeyGenerator)
			require.Equal(t, want, got, "%T", kek)
			w, err := wrapped.For(t.Context(), security)
			require.NoError(t, err)
			_, want = a.(vault.ContextAEAD)
			_, got = w.(vault.ContextAEAD)
			require.Equal(t, want, got, "%T", a)
			namer, want := a.(vault.KeyNamer)
			wrappedNamer, got := w.(vault.KeyNamer)
			require.Equal(t, want, got, "%T", a)
			if want {
				require.Equal(t, namer.KeyName(), wrappedNamer.KeyName())
			}
		}
	}
	a, err := otel.KEK(vault.SharedKEK(nil), nil).For(t.Context(), security)
	require.NoError(t, err)
	require.True(t, a == nil, "an AEAD that is missing stays missing")
}

// The vault's own checks see the wrapped KEK as they see the KEK: a proof of denial holds
// through the wrapper, and a KEK that is not configured proves nothing.
func TestDenialIsProvenThroughTheWrapper(t *testing.T) {
	store := vault.Memory()
	open(t, store, vault.SharedKEK(named{newAEAD(t)}), nil, security)
	refusing := vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) { return denied{}, nil })
	for _, test := range []struct {
		kek  vault.KEK
		want error
	}{
		{refusing, nil}, {vault.KEKs{}, vault.ErrUnavailable}, {vault.SharedKEK(named{newAEAD(t)}), vault.ErrGranted},
		{vault.EitherKEK(refusing, vault.KEKs{}), vault.ErrUnavailable}, {vault.EitherKEK(refusing, refusing), nil},
	} {
		for _, kek := range []vault.KEK{test.kek, otel.KEK(test.kek, nil)} {
			v, err := vault.Open(t.Context(), store, kek, nil)
			require.NoError(t, err)
			require.ErrorIs(t, v.CheckDenied(t.Context(), security), test.want)
		}
	}
}

// A denied AEAD has the name of the key, and no grant.
type denied struct{}

func (denied) Encrypt(_, _ []byte) ([]byte, error) { return nil, vault.ErrAccessDenied }
func (denied) Decrypt(_, _ []byte) ([]byte, error) { return nil, vault.ErrAccessDenied }
func (denied) KeyName() string                     { return "a-key" }

func traced() (*tracetest.InMemoryExporter, *sdktrace.TracerProvider, *otel.Options) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	return exporter, provider, &otel.Options{TracerProvider: provider}
}

// The spans of calls are in the trace of the operation that makes them, and values have
// none.
func TestSpans(t *testing.T) {
	exporter, provider, opts := traced()
	store, kek := vault.Memory(), vault.SharedKEK(inContext{newAEAD(t)})
	open(t, store, kek, nil, security)
	v, err := vault.Open(t.Context(), otel.Store(store, opts), otel.KEK(kek, opts), nil)
	require.NoError(t, err)
	defer v.Close()
	ctx, root := provider.Tracer("test").Start(t.Context(), "request")
	s, err := v.Scope(ctx, security)
	require.NoError(t, err)
	root.End()
	names := map[string]tracetest.SpanStub{}
	for _, span := range exporter.GetSpans() {
		names[span.Name] = span
		require.Equal(t, root.SpanContext().TraceID(), span.SpanContext.TraceID(), span.Name)
		if span.Name != "request" {
			require.Equal(t, root.SpanContext().SpanID(), span.Parent.SpanID(), span.Name)
			require.Equal(t, trace.SpanKindClient, span.SpanKind)
			require.Equal(t, codes.Unset, span.Status.Code)
		}
	}
	require.Len(t, names, 4)
	require.Contains(t, names["onlyfor.kek.unwrap"].Attributes, attribute.String("onlyfor.purpose", "security"))
	require.Contains(t, names["onlyfor.kek.for"].Attributes, attribute.String("onlyfor.result", "ok"))
	require.Contains(t, names["onlyfor.store.get"].Attributes, attribute.Int("onlyfor.records", 3))

	exporter.Reset()
	ctx, root = provider.Tracer("test").Start(t.Context(), "values")
	defer root.End()
	x, err := vault.Seal(ctx, kind, "text", s)
	require.NoError(t, err)
	_, err = s.Reveal(ctx, kind, x)
	require.NoError(t, err)
	_, err = s.Index(ctx, kind, "text")
	require.NoError(t, err)
	require.Empty(t, exporter.GetSpans())
}

// The context of a client has the span, so that a client of its own can be traced below it.
func TestContextHasTheSpan(t *testing.T) {
	exporter, _, opts := traced()
	var seen []trace.SpanContext
	spy := vault.KEKFunc(func(ctx context.Context, _ purpose.Purpose) (vault.AEAD, error) {
		seen = append(seen, trace.SpanContextFromContext(ctx))
		return spyAEAD{newAEAD(t), &seen}, nil
	})
	a, err := otel.KEK(spy, opts).For(t.Context(), security)
	require.NoError(t, err)
	wrapped, err := a.(vault.ContextAEAD).EncryptWithContext(t.Context(), []byte("key"), nil)
	require.NoError(t, err)
	_, err = a.(vault.ContextAEAD).DecryptWithContext(t.Context(), wrapped, nil)
	require.NoError(t, err)
	spans := exporter.GetSpans()
	require.Len(t, spans, 3)
	for i, want := range []string{"onlyfor.kek.for", "onlyfor.kek.wrap", "onlyfor.kek.unwrap"} {
		require.Equal(t, want, spans[i].Name)
		require.Equal(t, spans[i].SpanContext.SpanID(), seen[i].SpanID())
	}
}

type spyAEAD struct {
	vault.AEAD
	seen *[]trace.SpanContext
}

func (a spyAEAD) EncryptWithContext(ctx context.Context, plaintext, ad []byte) ([]byte, error) {
	*a.seen = append(*a.seen, trace.SpanContextFromContext(ctx))
	return a.Encrypt(plaintext, ad)
}

func (a spyAEAD) DecryptWithContext(ctx context.Context, ciphertext, ad []byte) ([]byte, error) {
	*a.seen = append(*a.seen, trace.SpanContextFromContext(ctx))
	return a.Decrypt(ciphertext, ad)
}

// A rudeStore fails in one way.
type rudeStore struct {
	vault.Store
	fail func() error
}

func (s rudeStore) Get(context.Context, ...string) ([]vault.Record, error) { return nil, s.fail() }
func (s rudeStore) Put(context.Context, vault.Record) (int64, error)       { return 0, s.fail() }
func (s rudeStore) List(context.Context, string, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if yield("a/b", nil) {
			yield("", s.fail())
		}
	}
}

// A failure is a word, whatever the client says. A client that panics ends its span.
func TestFailuresAreWords(t *testing.T) {
	for _, test := range []struct {
		fail func() error
		want string
	}{
		{func() error { return nil }, "ok"},
		{func() error { return vault.ErrUnavailable }, "unavailable"},
		{func() error { return context.Canceled }, "unavailable"},
		{func() error { return vault.ErrConflict }, "conflict"},
		{func() error { return vault.ErrNoKeys }, "keys"},
		{func() error { return vault.ErrAccessDenied }, "access"},
		{func() error { return errors.New("alice@example.com") }, "other"},
		{func() error { panic("alice@example.com") }, "other"},
	} {
		exporter, _, opts := traced()
		r, meters := reader(t)
		opts.MeterProvider = meters.MeterProvider
		store := otel.Store(rudeStore{vault.Memory(), test.fail}, opts)
		attempt := func(f func()) {
			defer func() { _ = recover() }()
			f()
		}
		attempt(func() { _, _ = store.Get(t.Context(), "a/b") })
		attempt(func() { _, _ = store.Put(t.Context(), vault.Record{}) })
		attempt(func() {
			for range store.List(t.Context(), "", "") {
			}
		})
		for range store.List(t.Context(), "", "") {
			break
		}
		spans := exporter.GetSpans()
		require.Len(t, spans, 4)
		for i, span := range spans {
			want := test.want
			if i == 3 {
				want = "ok" // left before the failure
			}
			require.Contains(t, span.Attributes, attribute.String("onlyfor.result", want), span.Name)
			require.Equal(t, want != "ok" && want != "conflict", span.Status.Code == codes.Error)
			require.Empty(t, span.Events)
		}
		p := points(t, r)
		require.Equal(t, 1.0, p["onlyfor.store.duration{onlyfor.call=get,onlyfor.result="+test.want+"}"])
		require.Equal(t, 1.0, p["onlyfor.store.duration{onlyfor.call=put,onlyfor.result="+test.want+"}"])
		for series := range p {
			require.False(t, strings.Contains(series, "alice"))
		}
	}
}

// A loop over a list may panic, too. The store is not at fault.
func TestPanicOfTheCallerOfList(t *testing.T) {
	exporter, _, opts := traced()
	store := otel.Store(rudeStore{vault.Memory(), func() error { return nil }}, opts)
	require.Panics(t, func() {
		for range store.List(t.Context(), "", "") {
			panic("mine")
		}
	})
	require.Contains(t, exporter.GetSpans()[0].Attributes, attribute.String("onlyfor.result", "ok"))
}

func TestKEKHistogram(t *testing.T) {
	r, opts := reader(t)
	kek := otel.KEK(generator{vault.SharedKEK(named{newAEAD(t)})}, opts)
	open(t, vault.Memory(), kek, nil, security)
	p := points(t, r)
	require.Equal(t, 1.0, p["onlyfor.kek.duration{onlyfor.call=generate,onlyfor.result=ok}"])
	require.Positive(t, p["onlyfor.kek.duration{onlyfor.call=for,onlyfor.result=ok}"])
	require.Equal(t, 1.0, p["onlyfor.kek.duration{onlyfor.call=wrap,onlyfor.result=ok}"])
}
