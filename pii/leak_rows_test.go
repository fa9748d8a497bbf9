package pii_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

func leakRows() []leakRow {
	var all []leakRow
	for _, rows := range [][]leakRow{purposeRows, keyRows, scopeRows, storeRows, valueRows, indexRows, kitRows, migrateRows} {
		all = append(all, rows...)
	}
	return all
}

var purposeRows = []leakRow{
	{"purpose.Parse purpose.MustParse purpose.Purpose.UnmarshalText purpose.Set.UnmarshalText purpose.Legal.UnmarshalText", func(w *leakWorld) {
		for _, text := range w.texts() {
			p, err := purpose.Parse(text)
			w.failed(err, purpose.ErrSyntax)
			w.failed(p.UnmarshalText([]byte(text)), purpose.ErrSyntax)
			w.panics(func() { purpose.MustParse(text) })
			var set purpose.Set
			w.failed(set.UnmarshalText([]byte("billing+"+text)), purpose.ErrSyntax)
			var legal purpose.Legal
			w.failed(legal.UnmarshalText([]byte(text)), purpose.ErrBasis)
			w.shown(p, set, legal)
			for _, target := range []any{&p, &set, &legal} {
				quoted, err := json.Marshal(text)
				require.NoError(w, err)
				w.failed(json.Unmarshal(quoted, target))
			}
		}
	}},
	{"purpose.Basis.Validate purpose.ValidReference purpose.Legal.String purpose.Legal.MarshalText", func(w *leakWorld) {
		for _, text := range []string{w.contact.Address, w.contact.Number, " " + w.contact.Address} {
			require.False(w, purpose.ValidReference(text))
			w.failed(purpose.Basis{Notice: text}.Validate(), purpose.ErrBasis)
			w.failed(purpose.Basis{Consent: text}.Validate(), purpose.ErrBasis)
		}
		w.failed(purpose.Basis{Legal: 200, Retain: -1}.Validate(), purpose.ErrBasis)
		_, err := purpose.Legal(200).MarshalText()
		w.failed(err, purpose.ErrBasis)
		w.shown(purpose.Legal(200).String(), purpose.Consent.String())
	}},
	{"purpose.Purpose.String purpose.Purpose.IsZero purpose.Purpose.MarshalText purpose.NewSet purpose.Set.All purpose.Set.Contains " +
		"purpose.Set.IsZero purpose.Set.Len purpose.Set.MarshalText purpose.Set.String", func(w *leakWorld) {
		for p := range purpose.NewSet(append(slices.Collect(w.email.Purposes().All()), forBilling)...).All() {
			w.shown(p, p.String(), p.IsZero())
			w.encoded(marshalled(w, p.MarshalText))
		}
		set := w.email.Purposes()
		w.shown(set, set.String(), set.Len(), set.Contains(forBilling), set.IsZero())
		w.encoded(marshalled(w, set.MarshalText))
	}},
	{"purpose.MismatchError.Error purpose.MismatchError.Is", func(w *leakWorld) {
		_, err := w.email.Reveal(ctx, w.ads)
		var mismatch *purpose.MismatchError
		require.ErrorAs(w, err, &mismatch)
		w.failed(mismatch, purpose.ErrMismatch)
		w.shown(*mismatch, mismatch.Error(), mismatch.Is(purpose.ErrMismatch))
	}},
}

func marshalled(w *leakWorld, marshal func() ([]byte, error)) []byte {
	w.Helper()
	b, err := marshal()
	require.NoError(w, err)
	return b
}

// changes are what is done to the keys of a purpose.
func changes(w *leakWorld, v *vault.Admin, c context.Context, p purpose.Purpose) []func() error {
	ignore := func(_ any, err error) error { return err }
	return []func() error{
		func() error { return v.Generate(c, purpose.MustParse("fresh"), p) },
		func() error { return ignore(v.Keys(c, p)) },
		func() error { return ignore(v.Pin(c, p)) },
		func() error { return ignore(v.WrappedBy(c, p)) },
		func() error { return v.Rotate(c, p, vault.RoleSeal) },
		func() error { return v.Rotate(c, p, vault.RoleIndex) },
		func() error { return v.Rotate(c, p, vault.RoleCollect) },
		func() error { return ignore(v.RotateIfOlder(c, p, vault.RoleSeal, time.Hour)) },
		func() error { return v.Promote(c, p, 1) },
		func() error { return v.Retire(c, p, 1) },
		func() error { return v.Reinstate(c, p, 1) },
		func() error { return v.Destroy(c, p, 1) },
		func() error { return v.Rewrap(c, hostileKEK{w, true, false}, p) },
		func() error { return v.RewrapSubjects(c, p, w.contact.Address, nil) },
		func() error { return ignore(v.Scope(c, p)) },
		func() error { return ignore(v.Reader(c, p)) },
		func() error { return ignore(v.Lookup(c, p)) },
		func() error { return ignore(v.Collector(c, p)) },
		func() error { return ignore(v.Erase(c, w.contact.Address, p)) },
		func() error { return ignore(v.Erase(c, w.contact.Address)) },
		func() error { return ignore(v.EraseAgain(c, vault.Erasure{Purpose: p, Subject: w.contact.Address})) },
		func() error { return ignore(v.Erase(c, strings.Repeat(w.contact.Address, 10), p)) },
		func() error { return v.CheckKEK(c, p) },
		func() error { return v.CheckDenied(c, p) },
		func() error { return ignore(v.Purposes(c)) },
	}
}

var keyRows = []leakRow{
	{"vault.Admin.Suspend vault.Admin.Resume vault.Vault.Suspensions vault.SuspendedError.Error vault.SuspendedError.Is", func(w *leakWorld) {
		later := time.Now().Add(time.Hour)
		for _, s := range []vault.Suspension{
			{Notice: w.contact.Address}, {Notice: "n-1", Reason: w.contact.Address + "\n"}, {Actions: []audit.Action{audit.Action(w.contact.Address)}},
			{Notice: strings.Repeat("n", 65), Until: time.Unix(1, 0)}, {Until: later.Add(-2 * time.Hour)},
		} {
			w.failed(w.vault.Suspend(ctx, forSecurity, s), vault.ErrInvalid)
		}
		w.failed(w.vault.Resume(ctx, forSecurity, w.contact.Address), vault.ErrInvalid)
		for _, c := range w.refusedContexts() {
			w.failed(w.vault.Suspend(c, forSecurity, vault.Suspension{}), vault.ErrUnavailable)
			w.failed(w.vault.Resume(c, forSecurity, ""), vault.ErrUnavailable)
			_, err := w.vault.Suspensions(c, forSecurity)
			w.failed(err, vault.ErrUnavailable)
		}
		for _, s := range []vault.Suspension{{}, {Reason: "deceptive", Until: later}} {
			require.NoError(w, w.vault.Suspend(ctx, forSecurity, s))
			_, err := w.email.Reveal(ctx, w.security)
			w.failed(err, vault.ErrSuspended)
			var refusal *vault.SuspendedError
			require.ErrorAs(w, err, &refusal)
			fmt.Fprintf(w, "%v %+v %#v %t", refusal, *refusal, *refusal, refusal.Is(err))
			_, err = w.email.Hint(ctx, w.security)
			w.failed(err, vault.ErrSuspended)
			_, err = pii.IndexEmail(ctx, w.contact.Address, w.security)
			w.failed(err, vault.ErrSuspended)
			_, err = pii.SealEmail(ctx, w.contact.Address, w.security)
			w.failed(err, vault.ErrSuspended)
			all, err := w.vault.Suspensions(ctx, forSecurity)
			require.NoError(w, err)
			fmt.Fprintf(w, "%v %+v %#v", all, all, all)
			w.shown(all[0])
		}
		fmt.Fprintf(w, "%+v", w.vault.Status())
		require.NoError(w, w.vault.Resume(ctx, forSecurity, ""))
		v, err := vault.Open(ctx, w.store, w.kek, &vault.Options{Audit: audit.Slog(nil), Budget: map[purpose.Purpose]vault.Budget{forSecurity: {PerMinute: 1}}})
		require.NoError(w, err)
		defer v.Close()
		s, err := v.Scope(ctx, forSecurity)
		require.NoError(w, err)
		_, err = w.email.Reveal(ctx, s)
		require.NoError(w, err)
		_, err = w.email.Reveal(ctx, s)
		w.failed(err, vault.ErrBudget)
	}},
	{"vault.OpenAdmin vault.Admin.Vault vault.Admin.Generate vault.Admin.Rotate vault.Admin.RotateIfOlder vault.Admin.Promote vault.Admin.Retire vault.Admin.Reinstate vault.Admin.Destroy " +
		"vault.Admin.Keys vault.Admin.Pin vault.Admin.WrappedBy vault.Pin.IsZero vault.Pin.Purpose vault.Pin.String vault.Pin.MarshalText " +
		"vault.Pin.UnmarshalText vault.FixedPins vault.movedError.Error vault.movedError.Unwrap vault.retiredError.Error vault.retiredError.Is " +
		"vault.Admin.Rewrap vault.Admin.RewrapSubjects vault.Vault.Close vault.Admin.String vault.Admin.Format", func(w *leakWorld) {
		old, err := w.vault.Keys(ctx, forSecurity)
		require.NoError(w, err)
		for _, role := range []vault.Role{vault.RoleSeal, vault.RoleIndex, vault.RoleCollect} {
			require.NoError(w, w.vault.Rotate(ctx, forSecurity, role))
			rotated, err := w.vault.RotateIfOlder(ctx, forSecurity, role, time.Hour)
			require.NoError(w, err)
			require.False(w, rotated)
		}
		published, err := w.vault.Keys(ctx, forSecurity)
		require.NoError(w, err)
		for _, k := range published {
			if k.PrimaryAt.IsZero() {
				w.failed(w.vault.Promote(ctx, forSecurity, k.ID+1), vault.ErrInvalid)
				continue
			}
			require.NoError(w, w.vault.Promote(ctx, forSecurity, k.ID))
			w.shown(k)
		}
		w.failed(w.vault.Rotate(ctx, forSecurity, vault.RoleSubject), vault.ErrInvalid)
		w.failed(w.vault.Rotate(ctx, forSecurity, vault.Role(w.contact.Address)), vault.ErrInvalid)
		require.NoError(w, w.vault.RewrapSubjects(ctx, forSecurity, "", func(p vault.Progress) error { w.shown(p); return nil }))
		for _, k := range old {
			if k.Role == vault.RoleSeal {
				require.NoError(w, w.vault.Retire(ctx, forSecurity, k.ID))
				require.NoError(w, w.vault.Reinstate(ctx, forSecurity, k.ID))
				require.NoError(w, w.vault.Retire(ctx, forSecurity, k.ID))
				require.NoError(w, w.vault.Destroy(ctx, forSecurity, k.ID))
			}
			w.shown(k)
		}
		pin, err := w.vault.Pin(ctx, forSecurity)
		require.NoError(w, err)
		name, err := w.vault.WrappedBy(ctx, forSecurity)
		require.NoError(w, err)
		w.shown(name)
		require.NoError(w, w.vault.Rewrap(ctx, w.kek, forSecurity))
		_, err = w.email.Reveal(ctx, w.security) // its key is gone
		w.failed(err, vault.ErrRetired)
		w.failed(err, vault.ErrCorrupt)
		w.shown(pin)
		w.shown(pin.String())
		w.shown(pin.Purpose())
		require.False(w, pin.IsZero())
		text, err := pin.MarshalText()
		require.NoError(w, err)
		require.NoError(w, pin.UnmarshalText(text))
		for _, wrong := range []string{w.contact.Address, "ofp1." + w.contact.Address + ".x", string(text) + w.contact.Address} {
			w.failed(pin.UnmarshalText([]byte(wrong)), vault.ErrInvalid)
		}
		elsewhere := w.open(vault.Memory(), w.kek, nil)
		require.NoError(w, elsewhere.Generate(ctx, forSecurity))
		_, err = elsewhere.Erase(ctx, w.contact.Address, forSecurity)
		require.NoError(w, err)
		other, err := elsewhere.Pin(ctx, forSecurity)
		require.NoError(w, err)
		for _, p := range []vault.Pin{other, pin} { // of another vault, and of a person whose tombstone is gone
			pinned, err := vault.OpenAdmin(ctx, w.store, w.kek, &vault.Options{Pin: vault.FixedPins(p)})
			require.NoError(w, err)
			_, err = pinned.Scope(ctx, forSecurity)
			w.tried(err)
			require.NoError(w, pinned.Close())
		}
		_, err = vault.FixedPins(other, pin)(ctx, forSecurity)
		w.failed(err, vault.ErrInvalid)
		w.handled(w.vault)
		w.handled(w.vault.Vault())
		w.shown(w.vault.String())
		require.NoError(w, w.vault.Close())
		for _, change := range changes(w, w.vault, ctx, forSecurity) {
			w.tried(change())
		}
	}},
	{"vault.Open vault.KEKFunc.For vault.KEKs.For vault.KEKs.Generate vault.EitherKEK vault.SharedKEK vault.eitherKEK.For vault.eitherKEK.Generate " +
		"vault.eitherAEAD.KeyName vault.eitherAEAD.Encrypt vault.eitherAEAD.Decrypt vault.joinedError.Error vault.joinedError.Unwrap vault.opaqueError.Error " +
		"vault.opaqueError.Unwrap vault.notConfigured.Error vault.notConfigured.Unwrap", func(w *leakWorld) {
		_, err := vault.OpenAdmin(ctx, nil, w.kek, nil)
		w.failed(err, vault.ErrInvalid)
		for _, kek := range w.hostileKEKs() {
			v := w.open(w.store, kek, nil)
			for _, change := range changes(w, v, ctx, forSecurity) {
				w.tried(change())
			}
		}
		// Ours, asked directly, pass on what the KEKs below them say.
		keks := vault.KEKs{forSecurity: w.kek}
		either := vault.EitherKEK(vault.KEKs{}, keks)
		for _, kek := range []vault.KEK{keks, either, vault.SharedKEK(w.kek), vault.EitherKEK(keks, vault.KEKFunc(nil))} {
			v := w.open(w.store, kek, nil)
			_, err := v.Scope(ctx, forSecurity)
			require.NoError(w, err)
			_, err = v.Scope(ctx, forBilling)
			w.tried(err)
			a, err := kek.For(ctx, forSecurity)
			require.NoError(w, err)
			wrapped, err := a.Encrypt([]byte(w.contact.Address), nil)
			w.tried(err)
			w.encoded(wrapped)
			_, err = a.Decrypt([]byte(w.contact.Address), []byte(w.contact.Number))
			w.tried(err)
		}
		require.NoError(w, keks.Generate(ctx, forSecurity))
		_, err = vault.KEKFunc(nil).For(ctx, forSecurity)
		w.failed(err, vault.ErrNoKeys)
		_, err = vault.KEKs{}.For(ctx, forSecurity)
		w.failed(err, vault.ErrNoKeys)
	}},
	{"vault.Vault.Scope vault.Vault.Reader vault.Vault.Lookup vault.Vault.Collector vault.Vault.CheckKEK vault.Vault.CheckDenied vault.Vault.Purposes " +
		"vault.Vault.Status vault.Vault.Stats vault.countedStore.Get vault.countedStore.Put vault.countedStore.List", func(w *leakWorld) {
		require.NoError(w, w.vault.CheckKEK(ctx, forSecurity))
		w.failed(w.vault.CheckDenied(ctx, forSecurity), vault.ErrGranted)
		set, err := w.vault.Purposes(ctx)
		require.NoError(w, err)
		reader, err := w.vault.Reader(ctx, forSecurity)
		require.NoError(w, err)
		lookup, err := w.vault.Lookup(ctx, forSecurity)
		require.NoError(w, err)
		collector, err := w.vault.Collector(ctx, forSecurity)
		require.NoError(w, err)
		scope, err := w.vault.Scope(ctx, forSecurity)
		require.NoError(w, err)
		w.shown(set, w.vault.Status(), w.vault.Stats())
		w.handled(scope, reader, lookup, collector)
		for _, c := range w.refusedContexts() {
			for _, change := range changes(w, w.vault, c, forSecurity) {
				w.tried(change())
			}
		}
		for _, store := range []vault.Store{hostileStore{w, w.store, false}, hostileStore{w, w.store, true}} {
			hostile := w.open(store, w.kek, nil)
			for _, change := range changes(w, hostile, ctx, forSecurity) {
				w.tried(change())
			}
			w.shown(hostile.Status(), hostile.Stats())
		}
		for _, auditor := range []audit.Auditor{hostileAuditor{w, false}, hostileAuditor{w, true}} {
			for _, change := range changes(w, w.open(w.store, w.kek, auditor), ctx, forSecurity) {
				w.tried(change())
			}
		}
		for _, p := range []purpose.Purpose{{}, purpose.MustParse("unknown")} {
			for _, change := range changes(w, w.vault, ctx, p) {
				w.tried(change())
			}
		}
	}},
	{"vault.Vault.Stats vault.Vault.Status vault.countedStore.Get vault.countedStore.Put vault.countedStore.List", func(w *leakWorld) {
		w.shown(w.vault.Stats())
		w.shown(w.vault.Status())
	}},
	{"vault.Vault.Erase vault.Vault.EraseAgain", func(w *leakWorld) {
		certificate, err := w.vault.Erase(ctx, w.contact.Address, forSecurity, forAdvertising)
		require.NoError(w, err)
		w.shown(certificate, certificate[0])
		b, err := json.Marshal(certificate)
		require.NoError(w, err)
		w.encoded(b)
		_, err = w.vault.Erase(ctx, strings.Repeat(w.contact.Address, 10), forSecurity)
		w.failed(err, vault.ErrInvalid)
		partly, err := w.vault.Erase(ctx, w.contact.Number, forSecurity, purpose.MustParse("unknown"))
		w.failed(err, vault.ErrNoKeys)
		w.shown(partly)
	}},
	{"vault.LocalKEK vault.localKEK.For vault.localKEK.Generate vault.localAEAD.KeyName vault.localAEAD.Encrypt vault.localAEAD.Decrypt", func(w *leakWorld) {
		kek := vault.LocalKEK(filepath.Join(w.TempDir(), "kek"))
		v := w.open(vault.Memory(), kek, nil)
		require.NoError(w, v.Generate(ctx, forSecurity))
		a, err := kek.For(ctx, forSecurity)
		require.NoError(w, err)
		wrapped, err := a.Encrypt([]byte(w.contact.Address), []byte("aad"))
		require.NoError(w, err)
		w.encoded(wrapped)
		w.shown(kek, a)
		_, err = a.Decrypt([]byte(w.contact.Address), []byte(w.contact.Number))
		w.failed(err, vault.ErrCorrupt)
		for _, p := range []purpose.Purpose{{}, forBilling} {
			_, err = kek.For(ctx, p)
			w.failed(err)
		}
		for _, text := range w.texts() {
			kek := vault.LocalKEK(kekFile(w, text))
			_, err := kek.For(ctx, forSecurity)
			w.failed(err)
			w.failed(kek.(interface {
				Generate(context.Context, purpose.Purpose) error
			}).Generate(ctx, forSecurity))
		}
	}},
	{"vault.GenerateKEK vault.TextKEK vault.EnvKEK vault.SecretKEK vault.textKEK.For", func(w *leakWorld) {
		_, err := vault.GenerateKEK(purpose.Purpose{})
		w.failed(err, vault.ErrInvalid)
		good, err := vault.GenerateKEK(forSecurity)
		require.NoError(w, err)
		kek := vault.TextKEK(func(purpose.Purpose) (string, error) { return good, nil })
		a, err := kek.For(ctx, forSecurity)
		require.NoError(w, err)
		w.shown(kek, a)
		_, err = kek.For(ctx, forAdvertising)
		w.failed(err, vault.ErrNoKeys)
		for _, text := range append(w.texts(), good+w.contact.Address) {
			_, err := vault.TextKEK(func(purpose.Purpose) (string, error) { return text, nil }).For(ctx, forSecurity)
			w.failed(err)
			_, err = vault.TextKEK(func(purpose.Purpose) (string, error) { return "", errors.New(text) }).For(ctx, forSecurity)
			w.failed(err, vault.ErrNoKeys)
			_, err = vault.SecretKEK(filepath.Dir(kekFile(w, text))).For(ctx, forSecurity)
			w.failed(err)
		}
		_, err = vault.EnvKEK("ONLYFOR_NONE_").For(ctx, forSecurity)
		w.failed(err, vault.ErrNoKeys)
		w.shown(vault.EnvKEK("ONLYFOR_NONE_"), vault.SecretKEK(w.TempDir()))
	}},
	{"audit.Slog audit.slogAuditor.Audit audit.Caller audit.Action.Gerund audit.WithCaller audit.WithOperation audit.Operation audit.Batch audit.Record", func(w *leakWorld) {
		for _, text := range w.mistyped() {
			// A caller is for the log. What is not valid in it is cut out, and a
			// handler that fails is not quoted.
			c := audit.WithOperation(audit.WithCaller(ctx, "mail-worker"), "mail.send")
			v := w.open(w.store, w.kek, audit.Slog(slog.New(hostileHandler{w})))
			_, err := v.Scope(c, forSecurity)
			w.failed(err, vault.ErrUnavailable)
			logs := audit.Slog(slog.New(slog.NewJSONHandler(w, nil)))
			_, err = w.security.Index(ctx, emailKind, strings.Repeat(text, 1000))
			w.tried(logs.Audit(c, audit.Event{Time: time.Now(), Action: audit.Index, Outcome: audit.Failed, Err: err}))
			audit.Batch(c, 2, 1, func(c context.Context, _ int) {
				w.tried(audit.Record(c, logs, audit.Event{Time: time.Now(), Action: audit.Index, Outcome: audit.Failed, Err: err}))
			})
			w.shown(audit.Index.Gerund(), audit.Caller(c), audit.Operation(c))
		}
	}},
	{"audit.lastingContext.Deadline audit.lastingContext.Done audit.lastingContext.Err", func(w *leakWorld) {
		for _, c := range w.refusedContexts() {
			w.failed(audit.Record(c, askingAuditor{}, audit.Event{}), c.Err())
		}
	}},
	{"auditlog.Open auditlog.Log.Audit auditlog.Log.Head auditlog.Log.Publish auditlog.Log.Unwitnessed auditlog.Log.Remove auditlog.Log.Close auditlog.Log.Format auditlog.Tee auditlog.tee.Audit " +
		"auditlog.tileReader.Height auditlog.tileReader.ReadTiles auditlog.tileReader.SaveTiles " +
		"auditlog.ParseHead auditlog.Head.MarshalText auditlog.Head.String auditlog.Verify auditlog.Report.OK auditlog.Report.String auditlog.Finding.String",
		func(w *leakWorld) {
			skey, vkey, err := note.GenerateKey(rand.Reader, "example.com/audit")
			require.NoError(w, err)
			signer, err := note.NewSigner(skey)
			require.NoError(w, err)
			verifier, err := note.NewVerifier(vkey)
			require.NoError(w, err)
			dir := filepath.Join(w.TempDir(), "audit")
			log, err := auditlog.Open(ctx, dir, signer, &auditlog.Options{
				Service: "test", Keep: func(context.Context, auditlog.Head) error { return errors.New("no answer") },
				Witnesses: []auditlog.Witness{hostileWitness(w)},
			})
			require.NoError(w, err)
			_, err = auditlog.Open(ctx, dir, signer, nil)
			w.failed(err, auditlog.ErrInUse)
			s := w.scopeUnder(w.store, w.kek, log)
			_, err = w.email.Reveal(ctx, s)
			require.NoError(w, err)
			_, err = w.phone.Reveal(ctx, s.For(w.contact.Address))
			w.failed(err)
			for _, text := range w.mistyped() {
				_, err := pii.SealEmail(ctx, text, s)
				w.tried(err)
				_, err = pii.IndexPhone(ctx, text, s)
				w.tried(err)
			}
			for _, second := range []audit.Auditor{hostileAuditor{w, false}, hostileAuditor{w, true}} {
				for _, either := range []bool{false, true} {
					_, err := w.email.Reveal(ctx, w.scopeUnder(w.store, w.kek, auditlog.Tee(log, second, &auditlog.TeeOptions{Either: either})))
					w.tried(err)
				}
			}
			w.tried(log.Publish(ctx))
			w.failed(log.Publish(ctx))
			_, err = log.Unwitnessed()
			w.failed(err)
			head := log.Head()
			text, err := head.MarshalText()
			require.NoError(w, err)
			_, err = auditlog.ParseHead(text, verifier)
			require.NoError(w, err)
			w.shown(fmt.Sprintf("%v %+v %#v", log, log, log), head, string(text))
			for _, text := range w.mistyped() {
				_, err = auditlog.ParseHead([]byte(text), verifier)
				w.failed(err, auditlog.ErrHead)
			}
			entries := 0
			report, err := auditlog.Verify(ctx, os.DirFS(dir), verifier, []auditlog.Head{head}, &auditlog.VerifyOptions{
				Entry: func(e auditlog.Entry) error { entries++; _, err := w.Write(e.Body); return err },
			})
			require.NoError(w, err)
			require.True(w, report.OK(), report)
			require.Greater(w, entries, 3)
			w.shown(report, report.String())
			_, err = log.Remove(ctx, "retention", func(auditlog.Entry) bool { return true })
			w.tried(err)
			w.tried(log.Close())
			w.shown(log) // by printers that look into it, now that it is at rest
			w.failed(log.Audit(ctx, audit.Event{Time: time.Now(), Action: audit.Reveal}), auditlog.ErrStopped)
			bodies, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
			require.NoError(w, err)
			require.NotEmpty(w, bodies)
			for _, file := range bodies { // whoever can write to the log puts the contact there
				require.NoError(w, os.WriteFile(file, []byte(w.contact.Address+"\n"), 0o600))
			}
			report, err = auditlog.Verify(ctx, os.DirFS(dir), verifier, nil, nil)
			w.tried(err)
			if report != nil {
				require.False(w, report.OK())
				w.shown(report, report.String())
				for _, f := range report.Findings {
					w.shown(f, f.String())
				}
			}
			_, err = auditlog.Open(ctx, dir, signer, nil)
			w.failed(err, auditlog.ErrAltered)
		}},
	{"audit.NewWatch audit.Watch.Audit audit.Finding.String audit.SlogReport", func(w *leakWorld) {
		rules := audit.Rules{Apart: []purpose.Set{purpose.NewSet(forSecurity, forAdvertising)}}
		found := 0
		for _, report := range []func(context.Context, audit.Finding) error{
			audit.SlogReport(slog.New(slog.NewJSONHandler(w, timeless))),
			func(_ context.Context, f audit.Finding) error { w.shown(f, f.String()); found++; return nil },
			audit.SlogReport(slog.New(hostileHandler{w})),
			func(context.Context, audit.Finding) error { return w.hostile() },
			func(context.Context, audit.Finding) error { panic(w.hostile()) },
		} {
			watch, err := audit.NewWatch(nil, rules, report)
			require.NoError(w, err)
			v := w.open(w.store, w.kek, watch)
			s := w.scope(v, forSecurity)
			_, err = w.email.Reveal(ctx, s)
			require.NoError(w, err)
			_, err = v.Scope(ctx, forAdvertising) // held, and by the second of these reports recorded
			w.tried(err)
			w.shown(watch)
			watch, err = audit.NewWatch(nil, rules, report)
			require.NoError(w, err)
			for _, e := range []audit.Event{{Action: audit.Reveal, Purpose: forSecurity}, {Action: audit.Index, Purpose: forAdvertising}} {
				e.Outcome, e.Kind = audit.Allowed, "email"
				func() {
					defer func() { recover() }() // as a vault does, which drops the error of an auditor
					watch.Audit(ctx, e)
				}()
			}
		}
		require.Equal(w, 2, found)
		for _, auditor := range []audit.Auditor{hostileAuditor{w, false}, hostileAuditor{w, true}} {
			watch, err := audit.NewWatch(auditor, rules, func(context.Context, audit.Finding) error { return nil })
			require.NoError(w, err)
			_, err = w.email.Reveal(ctx, w.scopeUnder(w.store, w.kek, watch))
			w.failed(err, vault.ErrUnavailable)
		}
		_, err := audit.NewWatch(nil, audit.Rules{}, nil)
		w.failed(err, audit.ErrRules)
		w.tried((&audit.Watch{}).Audit(ctx, audit.Event{}))
	}},
	{"vault.Vault.String vault.Vault.Format vault.Scope.String vault.Scope.Format vault.Scope.LogValue vault.Scope.Purpose vault.Reader.String " +
		"vault.Reader.Format vault.Reader.LogValue vault.Reader.Purpose vault.Lookup.String vault.Lookup.Format vault.Lookup.LogValue vault.Lookup.Purpose " +
		"vault.Collector.String vault.Collector.Format vault.Collector.LogValue vault.Collector.Purpose vault.Collector.Under vault.Collector.Batch " +
		"vault.Collector.MarshalText", func(w *leakWorld) {
		basis := purpose.Basis{Notice: "n"}
		reader, err := w.vault.Reader(ctx, forSecurity)
		require.NoError(w, err)
		lookup, err := w.vault.Lookup(ctx, forSecurity)
		require.NoError(w, err)
		collector, err := w.vault.Collector(ctx, forSecurity)
		require.NoError(w, err)
		batch, err := collector.Under(basis).Batch()
		require.NoError(w, err)
		_, err = (*vault.Collector)(nil).Batch()
		w.failed(err, vault.ErrInvalid)
		w.encoded(marshalled(w, batch.MarshalText))
		w.seal(batch)
		for _, v := range []interface {
			fmt.Stringer
			fmt.Formatter
			slog.LogValuer
			Purpose() purpose.Purpose
		}{w.security.For(w.contact.Address).Under(basis), w.security, reader.For(w.contact.Address), lookup, collector, batch, (*vault.Scope)(nil), (*vault.Collector)(nil)} {
			w.shown(v.String(), v.LogValue(), v.Purpose())
			w.handled(v, holders(v)["exported field"], holders(v)["slice of any"], holders(v)["map"])
		}
		w.shown(w.vault.String())
		w.handled(w.vault)
		w.handled(w.vault.Vault())
		w.shown(w.vault.String())
	}},
	{"vault.ParseCollector", func(w *leakWorld) {
		for _, text := range w.texts() {
			_, err := vault.ParseCollector(text, nil)
			w.failed(err, vault.ErrCorrupt)
		}
		collector, err := w.vault.Collector(ctx, forSecurity)
		require.NoError(w, err)
		parsed, err := vault.ParseCollector(string(marshalled(w, collector.MarshalText)), hostileAuditor{w, true})
		require.NoError(w, err)
		_, err = vault.Seal(ctx, emailKind, w.contact.Address, parsed)
		w.failed(err, vault.ErrUnavailable)
	}},
}

// tried takes the error of what may go well or not.
func (w *leakWorld) tried(err error) {
	if err != nil {
		w.failed(err)
	}
	fmt.Fprintln(w, err)
}

// hostileHandler fails with what it was to log.
type hostileHandler struct{ w *leakWorld }

func (hostileHandler) Enabled(context.Context, slog.Level) bool    { return true }
func (h hostileHandler) Handle(context.Context, slog.Record) error { return h.w.hostile() }
func (h hostileHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h hostileHandler) WithGroup(string) slog.Handler             { return h }

// An askingAuditor asks its ctx for its end, and returns the reason.
type askingAuditor struct{}

func (askingAuditor) Audit(c context.Context, _ audit.Event) error {
	c.Deadline()
	<-c.Done()
	return c.Err()
}
