package pii_test

import (
	"context"
	"errors"
	"go/ast"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// No function of a caller sees a plaintext before the event is recorded: not the
// functions that package vault takes, and not the methods of a kind. A function that
// panics, or that ends its goroutine, takes the plaintext with it all the same.

// A spy is a kind whose methods see plaintexts. It judges them by Parse.
type spy struct{}

// A judge is a spy that judges plaintexts by itself.
type judge struct{ spy }

var (
	spyKind  = vault.MustKind("spy", "people.Spy")
	spySeen  func(plaintext string) // of the attempt that runs
	spyNever = func(string) {}
)

func (spy) Kind() vault.Kind { return spyKind }

func (spy) Parse(text string) (string, bool) { spySeen(text); return text, true }

func (spy) Canonical(text string) string { spySeen(text); return text }

func (spy) Mask(text string) string { spySeen(text); return "" }

func (judge) ValidPlaintext(text string) bool { spySeen(text); return true }

// A spied is a value, with the scopes of its purpose and of another one.
type spied struct {
	value         vault.Sealed
	security, ads *vault.Scope
	reader        *vault.Reader
}

// of returns the value as one of kind K.
func of[K pii.Kind](t testing.TB, v vault.Sealed) (sealed pii.Sealed[K]) {
	text, err := v.MarshalText()
	require.NoError(t, err)
	require.NoError(t, sealed.UnmarshalText(text))
	return sealed
}

// A spyRow is an exported function that hands a plaintext to a function of its caller.
type spyRow struct {
	api    string
	action audit.Action
	events int // before the function is called
	use    func(t testing.TB, w *spied, seen func(string)) error
}

func spyRows() []spyRow {
	rows := []spyRow{
		{"vault.Scope.Hint", audit.Hint, 1, func(_ testing.TB, w *spied, seen func(string)) error {
			_, err := w.security.Hint(ctx, spyKind, w.value, func(p string) string { seen(p); return "" })
			return err
		}},
		{"vault.Reader.Hint", audit.Hint, 1, func(_ testing.TB, w *spied, seen func(string)) error {
			_, err := w.reader.Hint(ctx, spyKind, w.value, func(p string) string { seen(p); return "" })
			return err
		}},
		{"vault.Scope.IndexSealed", audit.Index, 1, func(_ testing.TB, w *spied, seen func(string)) error {
			_, err := w.security.IndexSealed(ctx, spyKind, w.value, func(p string) (string, bool) { seen(p); return p, true })
			return err
		}},
		{"vault.Reseal", audit.Reseal, 2, func(t testing.TB, w *spied, seen func(string)) error {
			_, err := vault.Reseal(ctx, spyKind, w.value, func(p string) bool { seen(p); return true }, w.security, w.ads)
			return err
		}},
		{"vault.Extend", audit.Extend, 2, func(_ testing.TB, w *spied, seen func(string)) error {
			_, err := vault.Extend(ctx, spyKind, w.value.Without(forAdvertising), func(p string) bool { seen(p); return true },
				w.security, w.ads.Under(purpose.Basis{Consent: "c-1"}))
			return err
		}},
	}
	return append(append(rows, kindRows[spy]()...), kindRows[judge]()...)
}

// kindRows are the methods of a value of a kind of the caller's own.
func kindRows[K pii.Kind]() []spyRow {
	return []spyRow{
		{"pii.Sealed.Reveal", audit.Reveal, 1, func(t testing.TB, w *spied, _ func(string)) error {
			_, err := of[K](t, w.value).Reveal(ctx, w.security)
			return err
		}},
		{"pii.Sealed.Hint", audit.Hint, 1, func(t testing.TB, w *spied, _ func(string)) error {
			_, err := of[K](t, w.value).Hint(ctx, w.reader)
			return err
		}},
		{"pii.Sealed.Index", audit.Index, 1, func(t testing.TB, w *spied, _ func(string)) error {
			_, err := of[K](t, w.value).Index(ctx, w.security)
			return err
		}},
		{"pii.Sealed.Reseal", audit.Reseal, 2, func(t testing.TB, w *spied, _ func(string)) error {
			_, err := of[K](t, w.value).Reseal(ctx, w.security, w.ads)
			return err
		}},
		{"pii.Sealed.Extend", audit.Extend, 2, func(t testing.TB, w *spied, _ func(string)) error {
			_, err := of[K](t, w.value.Without(forAdvertising)).Extend(ctx, w.security, w.ads.Under(purpose.Basis{Consent: "c-1"}))
			return err
		}},
	}
}

// seesNoSecret are exported functions that take a function or a kind, and hand it no
// plaintext of a sealed value, by the reason.
var seesNoSecret = map[string]string{
	"pii.Seal":                "the text is the caller's own",
	"pii.SealIndexed":         "the text is the caller's own",
	"pii.SealOptional":        "the text is the caller's own",
	"pii.Sealed.Matches":      "Index, which has a row, opens the value; then the text is the caller's own",
	"pii.SealOptionalIndexed": "the text is the caller's own",
	"pii.Valid":               "the text is the caller's own",
	"pii.IndexOf":             "the text is the caller's own",
	"pii.IndexesOf":           "the text is the caller's own",
	"migrate.KindOf":          "its columns call the methods of package pii",
	"batch.Map":               "the items are the caller's own",
	"batch.IndexesOf":         "the texts are the caller's own",
	"pii.Sealed.Withdraw":     "it opens nothing",
	"pii.Sealed.Sweep":        "it opens nothing",
}

// takesFunction reports whether callers of f hand in a function that is called with a
// text, or a kind. A method of a value of a kind opens the value only if it takes a
// context.
func takesFunction(f *ast.FuncDecl) bool {
	if f.Recv != nil {
		generic, opens := false, false
		ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
			_, one := n.(*ast.IndexExpr)
			generic = generic || one
			return true
		})
		for _, p := range f.Type.Params.List {
			if x, ok := p.Type.(*ast.SelectorExpr); ok && x.Sel.Name == "Context" {
				opens = true
			}
		}
		if generic && opens {
			return true
		}
	}
	if f.Type.TypeParams != nil {
		return true
	}
	for _, p := range f.Type.Params.List {
		found := false
		ast.Inspect(p.Type, func(n ast.Node) bool {
			if fn, ok := n.(*ast.FuncType); ok {
				for _, in := range fn.Params.List {
					if id, ok := in.Type.(*ast.Ident); ok && id.Name == "string" {
						found = true
					}
				}
			}
			return true
		})
		if found {
			return true
		}
	}
	return false
}

// Whoever adds a function that takes a function or a kind says how it is tried.
func TestNoCallbackIsForgotten(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range spyRows() {
		rows[row.api] = true
	}
	found := map[string]bool{}
	for _, dir := range []string{"../vault", "../vault/audit", ".", "batch", "migrate", "piitest"} {
		for _, file := range parsed(t, dir, func(name string) bool { return !isTest(name) }) {
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || !f.Name.IsExported() || !takesFunction(f) {
					continue
				}
				api := file.Name.Name + "."
				if f.Recv != nil {
					name := receiver(f.Recv.List[0].Type)
					if !ast.IsExported(name) {
						continue
					}
					api += name + "."
				}
				api += f.Name.Name
				found[api] = true
				if !rows[api] && seesNoSecret[api] == "" {
					t.Errorf("%s takes a function or a kind: add a row that shows that it sees no plaintext before the event", api)
				}
			}
		}
	}
	for api := range rows {
		require.True(t, found[api], "there is no %s", api)
		require.Empty(t, seesNoSecret[api], api)
	}
	for api := range seesNoSecret {
		require.True(t, found[api], "there is no %s", api)
	}
}

func isTest(name string) bool { return len(name) > 8 && name[len(name)-8:] == "_test.go" }

// A spyAuditor records events, and fails for one purpose if it is told to.
type spyAuditor struct {
	mu     sync.Mutex
	events []audit.Event
	fails  string // "", "all", "panics", or the name of a purpose
}

func (a *spyAuditor) Audit(_ context.Context, e audit.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.fails == "panics":
		panic("auditor")
	case a.fails == "all" || a.fails == e.Purpose.String():
		return errors.New("down")
	}
	a.events = append(a.events, e)
	return nil
}

// allowed returns the number of events that say that the action was allowed.
func (a *spyAuditor) allowed(action audit.Action) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Action == action && e.Outcome == audit.Allowed && e.Kind == spyKind.String() {
			n++
		}
	}
	return n
}

func TestNoPlaintextBeforeTheRecord(t *testing.T) {
	const secret = "the plaintext"
	auditor := &spyAuditor{}
	v, err := vault.OpenAdmin(t.Context(), vault.Memory(), vault.SharedKEK(recordKEK(t)), &vault.Options{Audit: auditor})
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), forSecurity, forAdvertising))
	w := &spied{}
	w.security, err = v.Scope(t.Context(), forSecurity)
	require.NoError(t, err)
	w.ads, err = v.Scope(t.Context(), forAdvertising)
	require.NoError(t, err)
	w.reader, err = v.Reader(t.Context(), forSecurity)
	require.NoError(t, err)
	w.value, err = vault.Seal(t.Context(), spyKind, secret, w.security, w.ads)
	require.NoError(t, err)
	defer func() { spySeen = spyNever }()

	// run makes one attempt in a goroutine of its own.
	run := func(row spyRow, fails string, seen func(string)) (err error) {
		auditor.events, auditor.fails = nil, fails
		spySeen = seen
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			err = row.use(t, w, seen)
		}()
		<-done
		auditor.fails = ""
		return err
	}
	for _, row := range spyRows() {
		for _, end := range []func(){func() {}, func() { panic("spy") }, runtime.Goexit} {
			seen := 0
			err := run(row, "", func(plaintext string) {
				seen++
				require.Equal(t, secret, plaintext)
				require.Equal(t, row.events, auditor.allowed(row.action), "%s: events before the function", row.api)
				end()
			})
			require.NoError(t, err, row.api)
			require.NotZero(t, seen, row.api)
			require.Equal(t, row.events, auditor.allowed(row.action), "%s: events after the function", row.api)
		}
		fails := []string{"all", "panics", "security"}
		if row.events == 2 {
			fails = append(fails, "advertising")
		}
		for _, fails := range fails {
			err := run(row, fails, func(string) { t.Errorf("%s: a plaintext without a record: %s", row.api, fails) })
			require.ErrorIs(t, err, vault.ErrUnavailable, "%s: %s", row.api, fails)
		}
	}
}

// A front end that was broken into holds no more than a collector, and seals any text.
// No back end gets it as a value of the kind, and re-sealing does not vouch for it.
func TestCollectorsInjectNothing(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	own, err := kit.Vault.Collector(ctx, forSecurity)
	require.NoError(t, err)
	config, err := own.MarshalText()
	require.NoError(t, err)
	front, err := vault.ParseCollector(string(config), nil)
	require.NoError(t, err)
	back, ads := kit.Scope(forSecurity), kit.Scope(forAdvertising).Under(purpose.Basis{Consent: "c-1"})
	for _, sealer := range []vault.Sealer{front, back} { // and a component that seals past this package
		for _, evil := range []string{
			"victim@example.com\r\nBcc: everybody@example.com\r\n\r\n<b>hi</b>", "<script>alert(1)</script>", `=HYPERLINK("http://evil","x")`,
			"Alice@EXAMPLE.com", "admin\x00@example.com", " alice@example.com", "alice@example.com ", "alice@b\u00fccher.example",
			"alice@1.2.3.4", "a@b", "@", "\xff@\xff.example", "+1415 555 2671", "+1(415)5552671", "+0415555267", "+141555",
			"+1415555267112345", "14155552671", "+1415555267a", "+", "x",
		} {
			mails, err := vault.Seal(ctx, vault.MustKind("email", "pii.Email"), evil, sealer)
			require.NoError(t, err)
			injects[pii.Email](t, evil, mails, back, ads)
			phones, err := vault.Seal(ctx, vault.MustKind("phone", "pii.Phone"), evil, sealer)
			require.NoError(t, err)
			injects[pii.Phone](t, evil, phones, back, ads)
		}
	}
}

// injects requires that no method of a value gives out text that its kind does not seal,
// and that none vouches for it.
func injects[T interface {
	Reveal(context.Context, vault.Revealer) (string, error)
	Hint(context.Context, vault.Revealer) (string, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	Reseal(context.Context, ...*vault.Scope) (T, error)
	Extend(context.Context, *vault.Scope, *vault.Scope) (T, error)
	ByCollector(purpose.Purpose) bool
	IsZero() bool
}, P interface {
	*T
	UnmarshalText([]byte) error
}](t *testing.T, evil string, sealed vault.Sealed, back, ads *vault.Scope) {
	t.Helper()
	text, err := sealed.MarshalText()
	require.NoError(t, err)
	var v T
	require.NoError(t, P(&v).UnmarshalText(text))
	revealed, err := v.Reveal(ctx, back)
	require.ErrorIs(t, err, vault.ErrCorrupt, "%q", evil)
	require.ErrorContains(t, err, ": revealing "+sealed.Kind()+": not sealed here, or altered since")
	require.Empty(t, revealed)
	hint, err := v.Hint(ctx, back)
	require.ErrorIs(t, err, vault.ErrCorrupt, "%q", evil)
	require.Empty(t, hint)
	_, err = v.Index(ctx, back)
	require.ErrorIs(t, err, vault.ErrCorrupt, "%q", evil)
	for _, taking := range []*vault.Scope{back, back.For("user-1")} {
		taken, err := v.Reseal(ctx, taking)
		require.ErrorIs(t, err, vault.ErrCorrupt, "%q", evil)
		require.True(t, taken.IsZero())
	}
	if !v.ByCollector(back.Purpose()) {
		extended, err := v.Extend(ctx, back, ads)
		require.ErrorIs(t, err, vault.ErrCorrupt, "%q", evil)
		require.True(t, extended.IsZero())
	}
}

// Tables of Unicode differ between versions of Go, and judge no stored address: a domain
// that is in no table of this version opens, hints and is found.
func TestStoredAddressesNeedNoTables(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	s := kit.Scope(forSecurity)
	for _, domain := range []string{"x@xn--ab-h0o.example" /* of Unicode 17 */, "x@xn--zzzzzzzz.example", "x@xn--9.example"} {
		sealed, err := vault.Seal(ctx, vault.MustKind("email", "pii.Email"), domain, s)
		require.NoError(t, err)
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		var e pii.Email
		require.NoError(t, e.UnmarshalText(text))
		got, err := e.Reveal(ctx, s)
		require.NoError(t, err)
		require.Equal(t, domain, got)
		_, err = e.Hint(ctx, s)
		require.NoError(t, err)
		_, err = e.Index(ctx, s)
		require.NoError(t, err)
		_, err = e.Reseal(ctx, s)
		require.NoError(t, err)
	}
}

// Every text that a kind seals is a plaintext that it takes back.
func TestSealedTextsAreValidPlaintexts(t *testing.T) {
	s, _ := newScopes(t)
	for _, typed := range []string{" Alice@EXAMPLE.com ", "a@b.c", "alice@b\u00fccher.example", "+1@1.example"} {
		e, err := pii.SealEmail(ctx, typed, s)
		require.NoError(t, err)
		plaintext, err := e.Reveal(ctx, s)
		require.NoError(t, err)
		require.True(t, pii.ValidEmail(plaintext))
	}
	for _, typed := range []string{"+1 (415) 555-2671", "+1415555", "+123456789012345"} {
		p, err := pii.SealPhone(ctx, typed, s)
		require.NoError(t, err)
		plaintext, err := p.Reveal(ctx, s)
		require.NoError(t, err)
		require.True(t, pii.ValidPhone(plaintext))
	}
}

func recordKEK(t testing.TB) vault.AEAD {
	t.Helper()
	a, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	return a
}
