package pii_test

import (
	"context"
	"go/ast"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// makesNoEvent are the operations that make no event, by the reason.
var makesNoEvent = map[string]string{
	"vault.Open":            "it uses no keys",
	"vault.OpenAdmin":       "it uses no keys",
	"vault.Vault.Purposes":  "it lists names of records, and opens none",
	"vault.Scope.Pseudonym": "it names a person to whom the scope is open, and changes nothing",
	"vault.Scope.Prefetch":  "it loads keys for uses that make events",
	"vault.Reader.Prefetch": "it loads keys for uses that make events",
}

// An eventRow calls an operation. Its success makes the given number of events, one for each
// purpose and action, and so does a refusal, and the success with a context that is done.
type eventRow struct {
	apis    string // with the functions that it calls for another kind
	events  int
	success func(w *eventWorld, ctx context.Context) error
	refused func(w *eventWorld, ctx context.Context) error // nil if nobody is refused
}

// An eventWorld is a vault with keys for security and advertising, none for billing, and
// none that it may open for research.
type eventWorld struct {
	*spyAuditor
	v                          *vault.Admin
	security, ads, closed      *vault.Scope
	reader                     *vault.Reader
	lookup, closedLookup       *vault.Lookup
	value, expired             vault.Sealed
	phones                     map[time.Duration]pii.Phone // by retention
	kek                        vault.KEK
	published, active, retired uint32
	erased                     []vault.Erasure
}

var forResearch = purpose.MustParse("research")

// A denyingKEK denies the keys of research.
type denyingKEK struct{ vault.KEK }

func (k denyingKEK) For(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if p == forResearch {
		return nil, vault.ErrAccessDenied
	}
	return k.KEK.For(ctx, p)
}

func newEventWorld(t *testing.T) *eventWorld {
	t.Helper()
	ctx, store, kek := t.Context(), vault.Memory(), vault.SharedKEK(recordKEK(t))
	w := &eventWorld{spyAuditor: &spyAuditor{}, kek: denyingKEK{kek}}
	opts := &vault.Options{Audit: w, DestroyAfter: time.Nanosecond}
	everybody, err := vault.OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer everybody.Close()
	require.NoError(t, everybody.Generate(ctx, forSecurity, forAdvertising, forResearch))
	w.v, err = vault.OpenAdmin(ctx, store, w.kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { w.v.Close() })
	scope := func(p purpose.Purpose) *vault.Scope {
		s, err := w.v.Scope(ctx, p)
		require.NoError(t, err)
		return s
	}
	w.security, w.ads = scope(forSecurity).Under(purpose.Basis{Notice: eventNotice}), scope(forAdvertising)
	w.reader, err = w.v.Reader(ctx, forSecurity)
	require.NoError(t, err)
	w.lookup, err = w.v.Lookup(ctx, forSecurity)
	require.NoError(t, err)
	other, err := vault.Open(ctx, store, kek, opts)
	require.NoError(t, err)
	w.closed, err = other.Scope(ctx, forSecurity)
	require.NoError(t, err)
	w.closedLookup, err = other.Lookup(ctx, forSecurity)
	require.NoError(t, err)
	require.NoError(t, other.Close())

	w.value, err = vault.Seal(ctx, emailKind, "alice@example.com", w.security)
	require.NoError(t, err)
	w.expired, err = vault.Seal(ctx, emailKind, "alice@example.com", w.security.Under(purpose.Basis{Notice: eventNotice, Retain: time.Second}))
	require.NoError(t, err)
	w.phones = map[time.Duration]pii.Phone{}
	for _, retain := range []time.Duration{0, time.Second} {
		w.phones[retain], err = pii.SealPhone(ctx, "+14155552671", w.security.Under(purpose.Basis{Notice: eventNotice, Retain: retain}))
		require.NoError(t, err)
	}
	w.erased, err = w.v.Erase(ctx, "bob", forSecurity)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, w.v.Rotate(ctx, forSecurity, vault.RoleIndex))
	}
	all, err := w.v.Keys(ctx, forSecurity)
	require.NoError(t, err)
	var ids []uint32
	for _, k := range all {
		if k.Role == vault.RoleIndex {
			ids = append(ids, k.ID)
		}
	}
	w.retired, w.active, w.published = ids[0], ids[1], ids[3]
	require.NoError(t, w.v.Promote(ctx, forSecurity, ids[2]))
	require.NoError(t, w.v.Retire(ctx, forSecurity, w.retired))
	for !w.expired.WithoutExpired().IsZero() {
		time.Sleep(time.Millisecond)
	}
	w.events = nil
	return w
}

// eventNotice is the notice of all values of security.
const eventNotice = "signup-v1"

var withConsent = purpose.Basis{Consent: "c-1"}

func itself(text string) string         { return text }
func agreed(text string) (string, bool) { return text, true }

// only makes an operation of a function that returns a result too.
func only[T any](f func(w *eventWorld, ctx context.Context) (T, error)) func(*eventWorld, context.Context) error {
	return func(w *eventWorld, ctx context.Context) error { _, err := f(w, ctx); return err }
}

// emailOf and phoneOf return the value as one of package pii.
func emailOf(v vault.Sealed) (e pii.Email) {
	text, _ := v.MarshalText()
	if err := e.UnmarshalText(text); err != nil {
		panic(err)
	}
	return e
}

func phoneOf(w *eventWorld, basis purpose.Basis) pii.Phone {
	return w.phones[basis.Retain]
}

func eventRows() []eventRow {
	type ctx = context.Context
	admin := func(api string, f func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error) eventRow {
		return eventRow{"vault." + api, 1, func(w *eventWorld, c ctx) error { return f(w.v, c, w, forSecurity) },
			func(w *eventWorld, c ctx) error { return f(w.v, c, w, forBilling) }}
	}
	bob := func(w *eventWorld) *vault.Scope { return w.security.For("bob") } // who is erased
	anew := func(w *eventWorld) *vault.Scope { return w.ads.Under(withConsent) }
	rows := []eventRow{
		admin("Vault.Scope", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Scope(c, p)
			return err
		}),
		admin("Vault.Lookup", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Lookup(c, p)
			return err
		}),
		admin("Vault.Reader", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Reader(c, p)
			return err
		}),
		admin("Vault.Collector", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Collector(c, p)
			return err
		}),
		admin("Vault.Erase", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Erase(c, "alice", p)
			return err
		}),
		admin("Vault.EraseAgain", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error {
			_, err := v.EraseAgain(c, vault.Erasure{Purpose: p, Subject: w.erased[0].Subject})
			return err
		}),
		admin("Vault.CheckKEK", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error { return v.CheckKEK(c, p) }),
		{"vault.Vault.CheckDenied", 1, func(w *eventWorld, c ctx) error { return w.v.CheckDenied(c, forResearch) },
			func(w *eventWorld, c ctx) error { return w.v.CheckDenied(c, forSecurity) }},
		{"vault.Admin.Generate", 1, func(w *eventWorld, c ctx) error { return w.v.Generate(c, purpose.MustParse("shipping")) },
			func(w *eventWorld, c ctx) error { return vaultWithoutID(w).Generate(c, forSecurity) }},
		admin("Admin.Keys", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Keys(c, p)
			return err
		}),
		admin("Admin.Pin", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error { _, err := v.Pin(c, p); return err }),
		admin("Vault.Suspensions", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.Suspensions(c, p)
			return err
		}),
		admin("Admin.Suspend", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			return v.Suspend(c, p, vault.Suspension{Notice: "n-1", Reason: "deceptive"})
		}),
		admin("Admin.Resume", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error { return v.Resume(c, p, "n-1") }),
		admin("Admin.WrappedBy", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.WrappedBy(c, p)
			return err
		}),
		admin("Admin.Rotate", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			return v.Rotate(c, p, vault.RoleSeal)
		}),
		admin("Admin.RotateIfOlder", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			_, err := v.RotateIfOlder(c, p, vault.RoleSeal, time.Hour)
			return err
		}),
		admin("Admin.Promote", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error {
			return v.Promote(c, p, w.published)
		}),
		admin("Admin.Retire", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error { return v.Retire(c, p, w.active) }),
		admin("Admin.Reinstate", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error {
			return v.Reinstate(c, p, w.retired)
		}),
		admin("Admin.Destroy", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error { return v.Destroy(c, p, w.retired) }),
		admin("Admin.Rewrap", func(v *vault.Admin, c ctx, w *eventWorld, p purpose.Purpose) error { return v.Rewrap(c, w.kek, p) }),
		admin("Admin.RewrapSubjects", func(v *vault.Admin, c ctx, _ *eventWorld, p purpose.Purpose) error {
			return v.RewrapSubjects(c, p, "", nil)
		}),

		{"vault.Scope.Reveal", 1, only(func(w *eventWorld, c ctx) (string, error) { return w.security.Reveal(c, emailKind, w.value) }),
			only(func(w *eventWorld, c ctx) (string, error) { return w.ads.Reveal(c, emailKind, w.value) })},
		{"vault.Scope.Hint", 1, only(func(w *eventWorld, c ctx) (string, error) { return w.security.Hint(c, emailKind, w.value, itself) }),
			only(func(w *eventWorld, c ctx) (string, error) { return w.ads.Hint(c, emailKind, w.value, itself) })},
		{"vault.Scope.Index", 1, only(func(w *eventWorld, c ctx) ([16]byte, error) { return w.security.Index(c, emailKind, "text") }),
			only(func(w *eventWorld, c ctx) ([16]byte, error) { return w.closed.Index(c, emailKind, "text") })},
		{"vault.Scope.Indexes", 1, only(func(w *eventWorld, c ctx) ([][16]byte, error) { return w.security.Indexes(c, emailKind, "text") }),
			only(func(w *eventWorld, c ctx) ([][16]byte, error) { return w.closed.Indexes(c, emailKind, "text") })},
		{"vault.Scope.IndexSealed", 1, only(func(w *eventWorld, c ctx) ([16]byte, error) {
			return w.security.IndexSealed(c, emailKind, w.value, agreed)
		}),
			only(func(w *eventWorld, c ctx) ([16]byte, error) {
				return w.ads.IndexSealed(c, emailKind, w.value, agreed)
			})},
		{"vault.Reader.Reveal", 1, only(func(w *eventWorld, c ctx) (string, error) { return w.reader.Reveal(c, emailKind, w.value) }),
			only(func(w *eventWorld, c ctx) (string, error) { return w.reader.For("bob").Reveal(c, emailKind, w.value) })},
		{"vault.Reader.Hint", 1, only(func(w *eventWorld, c ctx) (string, error) { return w.reader.Hint(c, emailKind, w.value, itself) }),
			only(func(w *eventWorld, c ctx) (string, error) {
				return w.reader.For("bob").Hint(c, emailKind, w.value, itself)
			})},
		{"vault.Reader.Reveal", 1, only(func(w *eventWorld, c ctx) (string, error) {
			return w.reader.To("mail.example:8443").Reveal(c, emailKind, w.value)
		}),
			only(func(w *eventWorld, c ctx) (string, error) {
				return w.reader.To("mail.example").For("bob").Reveal(c, emailKind, w.value)
			})},
		{"vault.Lookup.Index", 1, only(func(w *eventWorld, c ctx) ([16]byte, error) { return w.lookup.Index(c, emailKind, "text") }),
			only(func(w *eventWorld, c ctx) ([16]byte, error) { return w.closedLookup.Index(c, emailKind, "text") })},
		{"vault.Lookup.Indexes", 1, only(func(w *eventWorld, c ctx) ([][16]byte, error) { return w.lookup.Indexes(c, emailKind, "text") }),
			only(func(w *eventWorld, c ctx) ([][16]byte, error) { return w.closedLookup.Indexes(c, emailKind, "text") })},
		{"vault.Seal", 1, only(func(w *eventWorld, c ctx) (vault.Sealed, error) { return vault.Seal(c, emailKind, "text", w.security) }),
			only(func(w *eventWorld, c ctx) (vault.Sealed, error) { return vault.Seal(c, emailKind, "text", bob(w)) })},
		{"vault.Extend", 2, // one for each purpose
			only(func(w *eventWorld, c ctx) (vault.Sealed, error) {
				return vault.Extend(c, emailKind, w.value, nil, w.security, anew(w))
			}),
			only(func(w *eventWorld, c ctx) (vault.Sealed, error) {
				return vault.Extend(c, emailKind, w.value, nil, w.security, w.ads)
			})},
		{"vault.Reseal", 1, only(func(w *eventWorld, c ctx) (vault.Sealed, error) {
			return vault.Reseal(c, emailKind, w.value, nil, w.security)
		}),
			only(func(w *eventWorld, c ctx) (vault.Sealed, error) {
				return vault.Reseal(c, emailKind, w.value, nil, w.ads)
			})},
		{"vault.Sealed.Withdraw", 1, only(func(w *eventWorld, c ctx) (vault.Sealed, error) { return w.value.Withdraw(c, forSecurity, w.v) }), nil},
		{"vault.Sealed.Sweep", 1, only(func(w *eventWorld, c ctx) (vault.Sealed, error) { return w.expired.Sweep(c, w.v) }), nil},
		{"vault.Sealed.RecordClear", 1, func(w *eventWorld, c ctx) error { return w.value.RecordClear(c, forSecurity, w.v) }, nil},

		{"pii.Sealed.Reveal", 1, only(func(w *eventWorld, c ctx) (string, error) { return emailOf(w.value).Reveal(c, w.security) }),
			only(func(w *eventWorld, c ctx) (string, error) { return emailOf(w.value).Reveal(c, w.ads) })},
		{"pii.Sealed.Hint", 1, only(func(w *eventWorld, c ctx) (string, error) { return emailOf(w.value).Hint(c, w.security) }),
			only(func(w *eventWorld, c ctx) (string, error) { return emailOf(w.value).Hint(c, w.ads) })},
		{"pii.Sealed.Index", 1, only(func(w *eventWorld, c ctx) (pii.Index, error) { return emailOf(w.value).Index(c, w.security) }),
			only(func(w *eventWorld, c ctx) (pii.Index, error) { return emailOf(w.value).Index(c, w.ads) })},
		{"pii.Sealed.Extend pii.Email.Extend", 2, only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.value).Extend(c, w.security, anew(w)) }),
			only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.value).Extend(c, w.security, w.ads) })},
		{"pii.Phone.Extend", 2, only(func(w *eventWorld, c ctx) (pii.Phone, error) {
			return phoneOf(w, purpose.Basis{}).Extend(c, w.security, anew(w))
		}),
			only(func(w *eventWorld, c ctx) (pii.Phone, error) {
				return phoneOf(w, purpose.Basis{}).Extend(c, w.security, w.ads)
			})},
		{"pii.Sealed.Reseal pii.Email.Reseal", 1, only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.value).Reseal(c, w.security) }),
			only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.value).Reseal(c, w.ads) })},
		{"pii.Phone.Reseal", 1, only(func(w *eventWorld, c ctx) (pii.Phone, error) {
			return phoneOf(w, purpose.Basis{}).Reseal(c, w.security)
		}),
			only(func(w *eventWorld, c ctx) (pii.Phone, error) { return phoneOf(w, purpose.Basis{}).Reseal(c, w.ads) })},
		{"pii.Sealed.Withdraw pii.Email.Withdraw", 1, only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.value).Withdraw(c, forSecurity, w.v) }), nil},
		{"pii.Phone.Withdraw", 1, only(func(w *eventWorld, c ctx) (pii.Phone, error) {
			return phoneOf(w, purpose.Basis{}).Withdraw(c, forSecurity, w.v)
		}), nil},
		{"pii.Sealed.Sweep pii.Email.Sweep", 1, only(func(w *eventWorld, c ctx) (pii.Email, error) { return emailOf(w.expired).Sweep(c, w.v) }), nil},
		{"pii.Phone.Sweep", 1, only(func(w *eventWorld, c ctx) (pii.Phone, error) {
			p := phoneOf(w, purpose.Basis{Retain: time.Second})
			for !p.WithoutExpired().IsZero() {
				time.Sleep(time.Millisecond)
			}
			return p.Sweep(c, w.v)
		}), nil},
	}
	rows = append(rows, eventRow{"pii.Sealed.Matches", 2, // the index of the value and the indexes of the text
		func(w *eventWorld, c ctx) error {
			_, err := emailOf(w.value).Matches(c, "bob@example.com", w.security)
			return err
		},
		func(w *eventWorld, c ctx) error {
			_, err := emailOf(w.value).Matches(c, "bob@example.com", w.ads)
			return err
		}})
	const address, number = "alice@example.com", "+14155552671"
	for apis, seal := range map[string]func(c ctx, s *vault.Scope) error{
		"pii.Seal pii.SealEmail":                 func(c ctx, s *vault.Scope) error { _, err := pii.SealEmail(c, address, s); return err },
		"pii.SealPhone":                          func(c ctx, s *vault.Scope) error { _, err := pii.SealPhone(c, number, s); return err },
		"pii.SealOptional pii.SealOptionalEmail": func(c ctx, s *vault.Scope) error { _, err := pii.SealOptionalEmail(c, address, s); return err },
		"pii.SealOptionalPhone":                  func(c ctx, s *vault.Scope) error { _, err := pii.SealOptionalPhone(c, number, s); return err },
	} {
		rows = append(rows, eventRow{apis, 1, func(w *eventWorld, c ctx) error { return seal(c, w.security) }, func(w *eventWorld, c ctx) error { return seal(c, bob(w)) }})
	}
	for apis, index := range map[string]func(c ctx, s vault.Indexer) error{
		"pii.IndexOf pii.IndexEmail":     func(c ctx, s vault.Indexer) error { _, err := pii.IndexEmail(c, address, s); return err },
		"pii.IndexPhone":                 func(c ctx, s vault.Indexer) error { _, err := pii.IndexPhone(c, number, s); return err },
		"pii.IndexesOf pii.IndexesEmail": func(c ctx, s vault.Indexer) error { _, err := pii.IndexesEmail(c, address, s); return err },
		"pii.IndexesPhone":               func(c ctx, s vault.Indexer) error { _, err := pii.IndexesPhone(c, number, s); return err },
	} {
		rows = append(rows, eventRow{apis, 1, func(w *eventWorld, c ctx) error { return index(c, w.lookup) }, func(w *eventWorld, c ctx) error { return index(c, w.closed) }})
	}
	for apis, both := range map[string]func(c ctx, s *vault.Scope) error{
		"pii.SealIndexed pii.SealEmailIndexed": func(c ctx, s *vault.Scope) error { _, _, err := pii.SealEmailIndexed(c, address, s); return err },
		"pii.SealPhoneIndexed":                 func(c ctx, s *vault.Scope) error { _, _, err := pii.SealPhoneIndexed(c, number, s); return err },
		"pii.SealOptionalIndexed pii.SealOptionalEmailIndexed": func(c ctx, s *vault.Scope) error {
			_, _, err := pii.SealOptionalEmailIndexed(c, address, s)
			return err
		},
		"pii.SealOptionalPhoneIndexed": func(c ctx, s *vault.Scope) error { _, _, err := pii.SealOptionalPhoneIndexed(c, number, s); return err },
	} {
		rows = append(rows, eventRow{apis, 2, func(w *eventWorld, c ctx) error { return both(c, w.security) }, func(w *eventWorld, c ctx) error { return both(c, bob(w)) }})
	}
	return rows
}

// vaultWithoutID returns an Admin over a store with a record and no keys, in which new keys
// would take the place of lost ones.
func vaultWithoutID(w *eventWorld) *vault.Admin {
	store := vault.Memory()
	if _, err := store.Put(context.Background(), vault.Record{Name: "security/seals", Data: []byte("x")}); err != nil {
		panic(err)
	}
	v, err := vault.OpenAdmin(context.Background(), store, w.kek, &vault.Options{Audit: w})
	if err != nil {
		panic(err)
	}
	return v
}

// Each operation makes exactly one event for each purpose and action, however it ends. Whoever
// adds an operation adds a row.
func TestEveryOperationIsOneEvent(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range eventRows() {
		for _, api := range strings.Fields(row.apis) {
			rows[api] = true
		}
		t.Run(row.apis, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // retention ends at once
				w := newEventWorld(t)
				recorded := func(outcome audit.Outcome, err error) {
					t.Helper()
					want := row.events
					// The second action does not take place if the first one fails.
					if err != nil && (strings.Contains(row.apis, "Indexed") || strings.Contains(row.apis, "Matches")) {
						want = 1
					}
					require.Len(t, w.events, want)
					for _, e := range w.events {
						require.Equal(t, outcome, e.Outcome, "%v", e.Err)
						require.Equal(t, outcome == audit.Allowed, err == nil)
						if err != nil {
							require.ErrorIs(t, err, e.Err)
							require.NotEmpty(t, e.Reason)
							require.NotEqual(t, "other", e.Reason)
						}
					}
					w.events = nil
				}
				canceled, cancel := context.WithCancel(t.Context())
				cancel()
				err := row.success(w, canceled)
				require.Error(t, err)
				recorded(audit.Failed, err)
				if row.refused != nil {
					err := row.refused(w, t.Context())
					require.Error(t, err)
					recorded(audit.Denied, err)
				}
				err = row.success(w, t.Context())
				require.NoError(t, err)
				recorded(audit.Allowed, nil)
			})
		})
	}
	exists := map[string]bool{}
	for _, dir := range []string{"../vault", "."} {
		for _, file := range parsed(t, dir, func(name string) bool { return !isTest(name) }) {
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() && takesContext(f) {
					if api, exported := apiOf(file.Name.Name, f); exported {
						exists[api] = true
						if !rows[api] && makesNoEvent[api] == "" {
							t.Errorf("%s takes a context, so it may change keys or data: add a row that shows its one event", api)
						}
					}
				}
			}
		}
	}
	for api := range rows {
		require.True(t, exists[api], "there is no %s", api)
		require.Empty(t, makesNoEvent[api], api)
	}
	for api := range makesNoEvent {
		require.True(t, exists[api], "there is no %s", api)
	}
	require.Greater(t, len(exists), 70, "the packages were read")
}

// takesContext reports whether f can ask a store, a key service or an auditor.
func takesContext(f *ast.FuncDecl) bool {
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		x, ok := p.Type.(*ast.SelectorExpr)
		return ok && x.Sel.Name == "Context"
	})
}

// apiOf returns the name of a function or method, and false for a method of an unexported
// type and of a KEK, which is asked by a vault.
func apiOf(pkg string, f *ast.FuncDecl) (string, bool) {
	if f.Recv == nil {
		return pkg + "." + f.Name.Name, true
	}
	name := receiver(f.Recv.List[0].Type)
	return pkg + "." + name + "." + f.Name.Name, ast.IsExported(name) && !strings.HasPrefix(name, "KEK")
}
