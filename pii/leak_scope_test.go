package pii_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var emailKind = vault.MustKind("email", "pii.Email")

func same(text string) string { return text }

func accepted(text string) (string, bool) { return text, true }

// each calls do for every scope that is refused, and for every context.
func (w *leakWorld) each(do func(c context.Context, s *vault.Scope)) {
	w.Helper()
	for _, s := range w.refusedScopes() {
		do(ctx, s)
	}
	for _, c := range w.refusedContexts() {
		do(c, w.security)
	}
}

var scopeRows = []leakRow{
	{"vault.Seal vault.Scope.For vault.ValidSubject vault.Scope.Under vault.Scope.Check", func(w *leakWorld) {
		require.False(w, vault.ValidSubject("<nil>"+w.contact.Address))
		v, err := vault.Seal(ctx, emailKind, w.contact.Address, w.security.For(w.contact.Address), w.ads.Under(purpose.Basis{Consent: "c"}))
		require.NoError(w, err)
		w.encoded(marshalled(w, v.MarshalText))
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := vault.Seal(c, emailKind, w.contact.Address, s)
			w.failed(err)
		})
		for _, s := range append(w.refusedSubjects(), w.refusedScopes()...) {
			_, err := vault.Seal(ctx, emailKind, w.contact.Address, s)
			w.failed(err)
			w.tried(s.Check())
		}
		require.NoError(w, w.security.For(w.contact.Address).Check())
		for _, s := range []*vault.Scope{nil, w.security.For(""), w.security.Under(purpose.Basis{Notice: w.contact.Address})} {
			w.failed(s.Check(), vault.ErrInvalid)
		}
		_, err = vault.Seal(ctx, vault.Kind{}, w.contact.Address, w.security)
		w.failed(err, vault.ErrInvalid)
		_, err = vault.Seal(ctx, emailKind, strings.Repeat(w.contact.Address, 100), w.security)
		w.failed(err, vault.ErrInvalid)
		_, err = vault.Seal(ctx, emailKind, w.contact.Address, w.security, w.security)
		w.failed(err, vault.ErrInvalid)
	}},
	{"vault.Scope.Reveal vault.Scope.Hint vault.Reader.Reveal vault.Reader.Hint vault.Reader.For vault.Reader.To vault.opError.Error vault.opError.Unwrap", func(w *leakWorld) {
		reader, err := w.vault.Reader(ctx, forSecurity)
		require.NoError(w, err)
		mine, _ := w.seal(w.security.For(w.contact.Address))
		for _, recipient := range []string{w.contact.Address, w.contact.Number} {
			_, err := reader.To(recipient).Reveal(ctx, emailKind, w.plain(w.email))
			w.failed(err, vault.ErrInvalid)
		}
		for _, open := range []func(context.Context, vault.Kind, vault.Sealed) (string, error){
			w.security.Reveal, reader.Reveal, reader.To("mail.example").Reveal,
		} {
			text, err := open(ctx, emailKind, w.plain(w.email))
			require.NoError(w, err)
			require.Equal(w, w.contact.Address, text)
			for _, refused := range w.refusedValues() {
				_, err := open(ctx, emailKind, refused)
				w.failed(err)
			}
		}
		text, err := reader.For(w.contact.Address).Reveal(ctx, emailKind, w.plain(mine))
		require.NoError(w, err)
		require.Equal(w, w.contact.Address, text)
		for _, hint := range []func(context.Context, vault.Kind, vault.Sealed, func(string) string) (string, error){
			w.security.Hint, reader.Hint,
		} {
			masked, err := hint(ctx, emailKind, w.plain(w.email), func(string) string { return "c•••" })
			require.NoError(w, err)
			w.shown(masked)
			_, err = hint(ctx, emailKind, w.plain(w.email), nil)
			w.failed(err, vault.ErrInvalid)
			for _, refused := range w.refusedValues() {
				_, err := hint(ctx, emailKind, refused, same)
				w.failed(err)
			}
			// What a mask panics with is its own; what is below it is ours.
			w.panics(func() { hint(ctx, emailKind, w.plain(w.email), func(string) string { panic("masked") }) })
		}
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := s.Reveal(c, emailKind, w.plain(w.email))
			w.failed(err)
			_, err = s.Hint(c, emailKind, w.plain(w.email), same)
			w.failed(err)
		})
		for _, s := range w.refusedSubjects() {
			_, err := s.Reveal(ctx, emailKind, w.plain(mine))
			w.failed(err)
			_, err = s.Reveal(ctx, emailKind, w.plain(w.email))
			w.failed(err, vault.ErrSubject)
		}
		_, err = (*vault.Reader)(nil).Reveal(ctx, emailKind, w.plain(w.email))
		w.failed(err, vault.ErrInvalid)
		for e := err; e != nil; e = unwrapped(e) {
			w.shown(e.Error())
		}
	}},
	{"vault.Scope.Index vault.Scope.Indexes vault.Scope.IndexSealed vault.Lookup.Index vault.Lookup.Indexes", func(w *leakWorld) {
		lookup, err := w.vault.Lookup(ctx, forSecurity)
		require.NoError(w, err)
		for _, indexer := range []vault.Indexer{w.security, lookup} {
			x, err := indexer.Index(ctx, emailKind, w.contact.Address)
			require.NoError(w, err)
			require.Equal(w, indexBytes(w, w.index), x[:])
			all, err := indexer.Indexes(ctx, emailKind, w.contact.Address)
			require.NoError(w, err)
			require.Len(w, all, 1)
			for _, text := range []string{"", strings.Repeat(w.contact.Address, 100)} {
				_, err = indexer.Index(ctx, emailKind, text)
				w.failed(err, vault.ErrInvalid)
				_, err = indexer.Indexes(ctx, emailKind, text)
				w.failed(err, vault.ErrInvalid)
			}
		}
		_, err = (*vault.Lookup)(nil).Index(ctx, emailKind, w.contact.Address)
		w.failed(err, vault.ErrInvalid)
		x, err := w.security.IndexSealed(ctx, emailKind, w.plain(w.email), accepted)
		require.NoError(w, err)
		require.Equal(w, indexBytes(w, w.index), x[:])
		for _, refused := range w.refusedValues() {
			_, err := w.security.IndexSealed(ctx, emailKind, refused, accepted)
			w.failed(err)
		}
		_, err = w.security.IndexSealed(ctx, emailKind, w.plain(w.email), func(s string) (string, bool) { return strings.Repeat(s, 100), true })
		w.failed(err, vault.ErrInvalid)
		_, err = w.security.IndexSealed(ctx, emailKind, w.plain(w.email), nil)
		w.failed(err, vault.ErrInvalid)
		w.panics(func() {
			w.security.IndexSealed(ctx, emailKind, w.plain(w.email), func(string) (string, bool) { panic("canonical") })
		})
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := s.Index(c, emailKind, w.contact.Address)
			w.failed(err)
			_, err = s.Indexes(c, emailKind, w.contact.Address)
			w.failed(err)
			_, err = s.IndexSealed(c, emailKind, w.plain(w.email), accepted)
			w.failed(err)
		})
	}},
	{"vault.Extend vault.Reseal", func(w *leakWorld) {
		consented := w.ads.Under(purpose.Basis{Consent: "c"})
		extended, err := vault.Extend(ctx, emailKind, w.plain(w.email), nil, w.security, consented)
		require.NoError(w, err)
		w.encoded(marshalled(w, extended.MarshalText))
		resealed, err := vault.Reseal(ctx, emailKind, extended, nil, w.security, w.ads)
		require.NoError(w, err)
		w.encoded(marshalled(w, resealed.MarshalText))
		_, err = vault.Extend(ctx, emailKind, w.plain(w.email), nil, w.security, w.ads)
		w.failed(err, purpose.ErrNoConsent)
		_, err = vault.Reseal(ctx, emailKind, w.plain(w.email), nil)
		w.failed(err, vault.ErrInvalid)
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := vault.Extend(c, emailKind, w.plain(w.email), nil, s, consented)
			w.failed(err)
			_, err = vault.Reseal(c, emailKind, w.plain(w.email), nil, s)
			w.failed(err)
		})
		for _, s := range w.refusedSubjects() {
			_, err := vault.Extend(ctx, emailKind, w.plain(w.email), nil, w.security, s.Under(purpose.Basis{Consent: "c"}))
			w.failed(err)
			_, err = vault.Reseal(ctx, emailKind, w.plain(w.email), nil, s)
			w.failed(err)
		}
		for _, refused := range w.refusedValues() {
			_, err := vault.Extend(ctx, emailKind, refused, nil, w.security, consented)
			w.failed(err)
			_, err = vault.Reseal(ctx, emailKind, refused, nil, w.security)
			w.failed(err)
		}
	}},
	{"vault.Scope.Pseudonym vault.Scope.Prefetch vault.recordError.Error vault.recordError.Unwrap vault.Reader.Prefetch", func(w *leakWorld) {
		pseudonym, err := w.security.Pseudonym(ctx, w.contact.Address)
		require.NoError(w, err)
		w.shown(pseudonym)
		reader, err := w.vault.Reader(ctx, forSecurity)
		require.NoError(w, err)
		require.NoError(w, w.security.Prefetch(ctx, w.contact.Address, w.contact.Number))
		require.NoError(w, reader.Prefetch(ctx, w.contact.Address))
		w.failed(reader.Prefetch(ctx, strings.Repeat(w.contact.Address, 10)), vault.ErrInvalid)
		w.each(func(c context.Context, s *vault.Scope) {
			w.tried(s.Prefetch(c, w.contact.Address))
			_, err := s.Pseudonym(c, w.contact.Address)
			w.tried(err)
		})
		for _, store := range []vault.Store{hostileStore{w, w.store, false}, hostileStore{w, w.store, true}} {
			w.failed(w.subjectUnder(store).Prefetch(ctx, w.contact.Address))
		}
	}},
	{"vault.ParseSealed vault.Sealed.UnmarshalText vault.Sealed.UnmarshalBinary vault.Sealed.MarshalText vault.Sealed.MarshalBinary " +
		"vault.Sealed.AppendText vault.Sealed.AppendBinary vault.Sealed.GoString vault.Sealed.Format vault.Sealed.LogValue vault.Sealed.Kind vault.Sealed.Purposes vault.Sealed.Provenance " +
		"vault.Sealed.ByCollector vault.Sealed.KeyID vault.Sealed.ID vault.Sealed.IsZero vault.Sealed.OnPrimaryKey vault.Sealed.Without vault.Sealed.WithoutExpired " +
		"vault.Sealed.Withdraw vault.Sealed.Sweep vault.Sealed.RecordClear vault.Sealed.AppendClaims", func(w *leakWorld) {
		v := w.plain(w.email)
		for _, text := range w.texts() {
			_, err := vault.ParseSealed(text)
			w.failed(err, vault.ErrCorrupt)
			w.failed(v.UnmarshalText([]byte(text)), vault.ErrCorrupt)
			w.failed(v.UnmarshalBinary([]byte(text)), vault.ErrCorrupt)
			w.failed(v.UnmarshalBinary(append([]byte{1, 5}, "email"+text...)), vault.ErrCorrupt)
		}
		provenance, ok := v.Provenance(forSecurity)
		require.True(w, ok)
		id, _ := v.KeyID(forSecurity)
		w.shown(v.GoString(), v.LogValue(), fmt.Sprintf("%v %+x", v, v), v.Kind(), v.Purposes(), provenance, id, v.ID(), v.ByCollector(forSecurity), v.IsZero(), v.OnPrimaryKey(w.security), v.AppendClaims(nil))
		withdrawn, err := v.Withdraw(ctx, forSecurity, w.security)
		w.tried(err)
		swept, err := v.Sweep(ctx, w.security)
		w.tried(err)
		w.tried(v.RecordClear(ctx, forSecurity, w.security))
		_, err = v.Withdraw(ctx, forSecurity, nil)
		w.failed(err, vault.ErrInvalid)
		_, err = v.Sweep(ctx, nil)
		w.failed(err, vault.ErrInvalid)
		for _, part := range []vault.Sealed{v, v.Without(forBilling), v.Without(forSecurity), v.WithoutExpired(), withdrawn, swept} {
			w.encoded(marshalled(w, part.MarshalText))
			w.encoded(marshalled(w, part.MarshalBinary))
			w.encoded(marshalled(w, func() ([]byte, error) { return part.AppendText(nil) }))
			w.encoded(marshalled(w, func() ([]byte, error) { return part.AppendBinary(nil) }))
			w.encoded(fmt.Appendf(nil, "%v %+v %#v %x", part, part, part, part))
		}
	}},
	{"vault.MustKind vault.Kind.Label vault.Kind.Package vault.Kind.String", func(w *leakWorld) {
		for _, text := range []string{w.contact.Address, w.contact.Number, strings.Repeat(w.contact.Address, 10)} {
			w.panics(func() { vault.MustKind(text, "pii.Email") })
			w.panics(func() { vault.MustKind("email", text) })
		}
		w.shown(emailKind, emailKind.Label(w.email.Purposes()), emailKind.Package(), emailKind.String())
	}},
}

func unwrapped(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// kekFile returns a directory in which the KEK's file for security has that
// content.
func kekFile(w *leakWorld, content string) string {
	w.Helper()
	dir := filepath.Join(w.TempDir(), "kek")
	require.NoError(w, os.Mkdir(dir, 0o700))
	require.NoError(w, os.WriteFile(filepath.Join(dir, "security.kek"), []byte(content), 0o600))
	return dir
}

// Stores are given wrapped keys. What is not the name of a record, or no record,
// they refuse without a word of it.
var storeRows = []leakRow{
	{"vault.Memory vault.memory.Get vault.memory.Put vault.memory.List vault.memory.Replace vault.Dir vault.dir.Get vault.dir.Put " +
		"vault.dir.List", func(w *leakWorld) {
		dir := filepath.Join(w.TempDir(), "keys")
		for _, store := range []vault.Store{vault.Memory(), vault.Dir(dir)} {
			secret := append([]byte("record of "), w.contact.Address...)
			revision, err := store.Put(ctx, vault.Record{Name: "security/keys", Data: secret})
			require.NoError(w, err)
			_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: secret})
			w.failed(err, vault.ErrConflict)
			for _, text := range w.texts() {
				if text == w.contact.Number[1:] { // digits are a name
					continue
				}
				_, err := store.Get(ctx, text)
				w.failed(err, vault.ErrInvalid)
				_, err = store.Put(ctx, vault.Record{Name: text, Data: secret})
				w.failed(err, vault.ErrInvalid)
				for _, err := range store.List(ctx, text, text) {
					w.tried(err)
				}
			}
			for _, c := range w.refusedContexts() {
				_, err := store.Get(c, "security/keys")
				w.failed(err)
				_, err = store.Put(c, vault.Record{Name: "security/keys", Data: secret, Revision: revision})
				w.failed(err)
				for _, err := range store.List(c, "", "") {
					w.failed(err)
				}
			}
		}
		replacer := vault.Memory().(vault.BatchReplacer)
		secret := append([]byte("record of "), w.contact.Address...)
		revision, err := replacer.Put(ctx, vault.Record{Name: "security/keys", Data: secret})
		require.NoError(w, err)
		present := vault.Record{Name: "security/keys", Data: secret, Revision: revision}
		_, err = replacer.Replace(ctx, present, present)
		w.failed(err, vault.ErrInvalid)
		for _, text := range w.texts() {
			if text == w.contact.Number[1:] { // digits are a name
				continue
			}
			_, err = replacer.Replace(ctx, present, vault.Record{Name: text, Data: secret, Revision: 1})
			w.failed(err, vault.ErrInvalid)
		}
		for _, c := range w.refusedContexts() {
			_, err = replacer.Replace(c, present)
			w.failed(err)
		}
		revisions, err := replacer.Replace(ctx, present)
		require.NoError(w, err)
		require.Greater(w, revisions[0], revision)
		require.NoError(w, os.WriteFile(filepath.Join(dir, "security", "keys.key"), []byte(w.contact.Address), 0o600))
		_, err = vault.Dir(dir).Get(ctx, "security/keys")
		w.failed(err, vault.ErrCorrupt)
		require.NoError(w, os.Chmod(filepath.Join(dir, "security", "keys.key"), 0o644))
		_, err = vault.Dir(dir).Get(ctx, "security/keys")
		w.failed(err, vault.ErrNoKeys)
	}},
}
