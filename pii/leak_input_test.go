package pii_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// What rows of [leakRows] try, and have refused.

// mistyped returns texts that have the contact in them and are neither an e-mail
// address nor a phone number.
func (w *leakWorld) mistyped() []string {
	a, n := w.contact.Address, w.contact.Number
	local, domain, _ := strings.Cut(a, "@")
	quoted, err := json.Marshal(map[string]string{"email": a})
	require.NoError(w, err)
	return []string{
		a + " x", "<" + a + ">", `"A" <` + a + ">", a + ", " + a, a + "\x00", "\xff" + a, a + "\nBcc: " + a, local + " @" + domain,
		a + "(home)", `"` + local + `"@` + domain, local + "@[192.0.2.1]", "mailto:" + a, "https://" + a + "/", a + ":80",
		local + "@xn--" + domain, local + "@\u212a" + domain, local + "@-" + domain, "@" + a, domain + "@", strings.Repeat(a, 40),
		string(quoted), "%" + hex.EncodeToString([]byte(a)), base64.StdEncoding.EncodeToString([]byte(a)),
		n + " x45", n + "99999999", n + "a", "(" + n, n + "\n" + n, "+0" + n[2:], n[1:], "+" + n, "tel:" + n, n + "\x00", n + "\xff",
		"pii1.email.security." + a, "pii1.phone." + n + ".AAAA", "pii1." + local + ".security.AAAA", "ofc1.security." + local, "ofc1." + a, "ofc2.security." + local,
	}
}

// texts returns these, and the contact itself: what must not come back out of a
// parser of something else.
func (w *leakWorld) texts() []string {
	return append(w.mistyped(), w.contact.Address, w.contact.Number, strings.ToUpper(w.contact.Address))
}

// inOrder returns the values of a map in the order of their names: which errors
// go through all printers depends on it.
func inOrder[T any](named map[string]T) (all []T) {
	for _, name := range slices.Sorted(maps.Keys(named)) {
		all = append(all, named[name])
	}
	return all
}

// refusedContexts returns contexts that are done, for a reason that is nobody's
// business.
func (w *leakWorld) refusedContexts() []context.Context {
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(w.hostile())
	late, stop := context.WithDeadlineCause(ctx, time.Unix(1, 0), w.hostile())
	w.Cleanup(stop)
	return []context.Context{cancelled, late}
}

// hostile returns an error that quotes the contact.
func (w *leakWorld) hostile() error {
	return errors.Join(&hostileError{w.contact.Address}, fmt.Errorf("no subscriber %q", w.contact.Number))
}

// refusedScopes returns scopes that every operation refuses.
func (w *leakWorld) refusedScopes() []*vault.Scope {
	a := w.contact.Address
	closed := w.open(w.store, w.kek, nil)
	closedScope := w.scope(closed, forSecurity)
	require.NoError(w, closed.Close())
	return inOrder(map[string]*vault.Scope{
		"nil":              nil,
		"zero":             {},
		"no basis":         w.security.Under(purpose.Basis{Notice: a, Consent: w.contact.Number}),
		"no subject":       w.security.For(""),
		"subject to come":  w.security.For("<nil>" + a),
		"subject too long": w.security.For(strings.Repeat(a, 10)),
		"of two subjects":  w.security.For(a).For(w.contact.Number),
		"closed":           closedScope,
		"auditor fails":    w.scopeUnder(w.store, w.kek, hostileAuditor{w, false}),
		"auditor panics":   w.scopeUnder(w.store, w.kek, hostileAuditor{w, true}),
	})
}

// refusedSubjects returns scopes of one subject whose key is not to be had.
func (w *leakWorld) refusedSubjects() []*vault.Scope {
	gone := "gone-" + w.contact.Address
	w.seal(w.security.For(gone))
	_, err := w.vault.Erase(ctx, gone, forSecurity)
	require.NoError(w, err)
	outage := &piitest.Outage{}
	outage.Script(piitest.Step{Fault: piitest.Garbage, Times: piitest.Forever})
	return inOrder(map[string]*vault.Scope{
		"erased":               w.security.For(gone),
		"store fails":          w.subjectUnder(hostileStore{w, w.store, false}),
		"store panics":         w.subjectUnder(hostileStore{w, w.store, true}),
		"store talks nonsense": w.subjectUnder(outage.Store(w.store)),
	})
}

// scopeUnder returns a scope of a vault that is opened again. The auditor takes
// part after that.
func (w *leakWorld) scopeUnder(store vault.Store, kek vault.KEK, auditor audit.Auditor) *vault.Scope {
	w.Helper()
	late := &lateAuditor{}
	s := w.scope(w.open(store, kek, late), forSecurity)
	late.to = auditor
	return s
}

// subjectUnder returns a scope of a subject whose key is read from the store.
func (w *leakWorld) subjectUnder(store vault.Store) *vault.Scope {
	w.Helper()
	s := &onlyKeys{keys: w.store, Store: store}
	scope := w.scope(w.open(s, w.kek, nil), forSecurity).For(w.contact.Address)
	s.opened.Store(true)
	return scope
}

type lateAuditor struct{ to audit.Auditor }

func (l *lateAuditor) Audit(ctx context.Context, e audit.Event) error {
	if l.to == nil {
		return nil
	}
	return l.to.Audit(ctx, e)
}

// hostileAuditor fails with what it must not repeat.
type hostileAuditor struct {
	w      *leakWorld
	panics bool
}

func (a hostileAuditor) Audit(context.Context, audit.Event) error {
	if a.panics {
		panic(a.w.hostile())
	}
	return a.w.hostile()
}

// hostileKEK fails with an error that quotes the contact, and what it was given.
type hostileKEK struct {
	w            *leakWorld
	late, panics bool // For works
}

func (k hostileKEK) fail(given []byte) ([]byte, error) {
	err := errors.Join(k.w.hostile(), fmt.Errorf("invalid request %x, key %x", given, k.w.kek.key))
	if k.panics {
		panic(err)
	}
	return nil, err
}

func (k hostileKEK) For(context.Context, purpose.Purpose) (vault.AEAD, error) {
	if k.late {
		return k, nil
	}
	_, err := k.fail(nil)
	return nil, err
}

func (k hostileKEK) Generate(context.Context, purpose.Purpose) error {
	if k.late {
		return nil
	}
	_, err := k.fail(nil)
	return err
}

// Encrypt takes note of the key that it was to wrap, so that it is looked for.
func (k hostileKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	k.w.kek.remember(plaintext)
	return k.fail(plaintext)
}

func (k hostileKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) { return k.fail(ciphertext) }

func (w *leakWorld) hostileKEKs() []vault.KEK {
	return []vault.KEK{
		hostileKEK{w, false, false}, hostileKEK{w, true, false}, hostileKEK{w, false, true}, hostileKEK{w, true, true},
		vault.EitherKEK(hostileKEK{w, true, false}, hostileKEK{w, false, false}), vault.SharedKEK(hostileKEK{w, true, false}),
		vault.KEKs{forSecurity: hostileKEK{w, true, true}}, vault.KEKs{}, vault.KEKFunc(nil),
	}
}

// hostileStore fails with an error that quotes the contact.
type hostileStore struct {
	w      *leakWorld
	of     vault.Store
	panics bool
}

func (s hostileStore) fail() error {
	if s.panics {
		panic(s.w.hostile())
	}
	return s.w.hostile()
}

func (s hostileStore) Get(context.Context, ...string) ([]vault.Record, error) { return nil, s.fail() }
func (s hostileStore) Put(context.Context, vault.Record) (int64, error)       { return 0, s.fail() }
func (s hostileStore) List(context.Context, string, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", s.fail()) }
}

// onlyKeys serves the keys of purposes from one store and, once they are opened, all else
// from another.
type onlyKeys struct {
	keys   vault.Store
	opened atomic.Bool
	vault.Store
}

func (s *onlyKeys) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	for _, name := range names {
		if strings.HasSuffix(name, "/keys") || !s.opened.Load() {
			return s.keys.Get(ctx, names...)
		}
	}
	return s.Store.Get(ctx, names...)
}

// refusedValues returns e-mail addresses that w.security does not open.
func (w *leakWorld) refusedValues() []vault.Sealed {
	w.Helper()
	parse := func(v interface{ MarshalText() ([]byte, error) }) vault.Sealed {
		s, err := vault.ParseSealed(textOf(w, v))
		require.NoError(w, err)
		return s
	}
	raw, err := w.email.MarshalBinary()
	require.NoError(w, err)
	raw[len(raw)-1] ^= 1
	var altered vault.Sealed
	require.NoError(w, altered.UnmarshalBinary(raw))
	relabelled, err := vault.ParseSealed(strings.Replace(textOf(w, w.email), "security", "billing", 1))
	require.NoError(w, err)
	other, _ := w.seal(w.ads)
	alices, _ := w.seal(w.security.For("alice"))
	return inOrder(map[string]vault.Sealed{
		"none": {}, "altered": altered, "relabelled": relabelled, "of another kind": parse(w.phone),
		"for another purpose": parse(other), "of a subject": parse(alices),
	})
}

// plain returns the contact's sealed address as package vault has it.
func (w *leakWorld) plain(e pii.Email) vault.Sealed {
	w.Helper()
	v, err := vault.ParseSealed(textOf(w, e))
	require.NoError(w, err)
	return v
}

// A witnessFunc is a witness that no printer looks into.
type witnessFunc func(auditlog.Head, func(int64) (tlog.TreeProof, error)) ([]byte, error)

func (f witnessFunc) Cosign(_ context.Context, head auditlog.Head, prove func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	return f(head, prove)
}

// hostileWitness returns a witness that answers with the contact in the place of
// cosignatures.
func hostileWitness(w *leakWorld) auditlog.Witness {
	return witnessFunc(func(head auditlog.Head, prove func(int64) (tlog.TreeProof, error)) ([]byte, error) {
		_, err := prove(1)
		w.tried(err)
		_, err = prove(head.Size + 1)
		w.tried(err)
		return []byte(w.contact.Address + "\n"), nil
	})
}
