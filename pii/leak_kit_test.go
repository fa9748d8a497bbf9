package pii_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// complaints returns what a helper of tests says when it fails: it goes into logs
// of builds, which many can read.
func (w *leakWorld) complaints(f func(t testing.TB)) string {
	w.Helper()
	t := &quietTest{TB: w.TB}
	done := make(chan struct{})
	go func() { // which FailNow ends
		defer close(done)
		f(t)
	}()
	<-done
	require.NotEmpty(w, t.String(), "it has not failed")
	w.shown(t.String())
	return t.String()
}

// ofAnother has a helper fail that plants a contact of its own, which it must not
// show either.
func (w *leakWorld) ofAnother(f func(t testing.TB, take func(*piitest.Contact))) {
	w.Helper()
	var inner *piitest.Contact
	out := w.complaints(func(t testing.TB) { f(t, func(c *piitest.Contact) { inner = c }) })
	requireNone(w, out, inner.Address)
	requireNone(w, out, inner.Number)
}

var kitRows = []leakRow{
	{"piitest.NoLeak piitest.NoLeakParallel piitest.Canary piitest.Contact.Email piitest.Contact.Phone piitest.Contact.Requests " +
		"piitest.Contact.Responses piitest.Contact.Rows piitest.Contact.Search piitest.Contact.Writer piitest.answer.Flush piitest.answer.Unwrap " +
		"piitest.answer.Write piitest.captureHandler.Enabled piitest.captureHandler.Handle piitest.captureHandler.WithAttrs " +
		"piitest.captureHandler.WithGroup piitest.sink.Write piitest.rest.Read", func(w *leakWorld) {
		kit := piitest.New(w.TB, forSecurity, forAdvertising)
		service := func(c *piitest.Contact) {
			c.Search("error", w.hostile()) // of an outer contact
			c.Search("error", &hostileError{c.Address})
			c.Search("export", c.Email(kit.Scope(forSecurity)))
			c.Search("export", c.Phone(kit.Scope(forAdvertising)))
			fmt.Fprintf(c.Writer("log"), "%x", c.Number)
			echo := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				io.WriteString(rw, r.URL.RawQuery)
				rw.(http.Flusher).Flush()
			})
			c.Responses("page", c.Requests("form", echo)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?q="+c.Address, nil))
			c.Rows("users", queryRows(w, c.Address))
			slog.With("a", c.Address).WithGroup("g").Info("in", "b", c.Number)
			log.Print(c.Address)
			fmt.Fprintln(os.Stderr, c.Number)
		}
		w.ofAnother(func(t testing.TB, take func(*piitest.Contact)) {
			piitest.NoLeak(t, func(c *piitest.Contact) { take(c); service(c) })
		})
		w.ofAnother(func(t testing.TB, take func(*piitest.Contact)) {
			piitest.NoLeak(t, func(c *piitest.Contact) { take(c); service(c); panic(&hostileError{c.Address}) })
		})
		quiet := func(c *piitest.Contact) { // Without what would go to this test's own streams
			c.Search("error", &hostileError{c.Address})
			c.Rows("users", queryRows(w, c.Number))
			c.Search("files", os.DirFS(kekFile(w, c.Address)))
			c.Search("export", c.Email(kit.Scope(forSecurity)))
		}
		w.ofAnother(func(t testing.TB, take func(*piitest.Contact)) {
			piitest.NoLeakParallel(t, func(c *piitest.Contact) { take(c); quiet(c) })
		})
		w.ofAnother(func(t testing.TB, take func(*piitest.Contact)) {
			piitest.Canary(t, kit.Scope(forSecurity), func(c *piitest.Contact) { take(c); quiet(c); c.Search("x", hostileReader{c}) })
		})
		w.ofAnother(func(t testing.TB, take func(*piitest.Contact)) {
			piitest.Canary(t, kit.Scope(forSecurity), func(c *piitest.Contact) { take(c); c.Email() }, kit.Scope(forAdvertising))
		})
		w.complaints(func(t testing.TB) { piitest.Canary(t, nil, nil) })
	}},
	{"piitest.New piitest.Golden piitest.goldenKEK.For piitest.memoryKEK.For piitest.gcmKEK.Encrypt piitest.gcmKEK.Decrypt piitest.Kit.Scope " +
		"piitest.Kit.Rotate piitest.Kit.Email piitest.Kit.Phone piitest.Separate piitest.Labels piitest.Emails piitest.Phones piitest.Sample.Valid", func(w *leakWorld) {
		kit := piitest.New(w.TB, forSecurity)
		w.complaints(func(t testing.TB) { piitest.New(t, purpose.Purpose{}) })
		for _, text := range w.mistyped()[:4] {
			file := filepath.Join(w.TempDir(), "golden")
			require.NoError(w, os.WriteFile(file, []byte("# Keys for tests, made by piitest.Golden. They protect nothing.\n"+text+" AAAA\n"), 0o600))
			w.complaints(func(t testing.TB) { piitest.Golden(t, file, forSecurity) })
		}
		w.complaints(func(t testing.TB) { piitest.Golden(t, filepath.Join(w.TempDir(), "none"), forSecurity) })
		faulty := piitest.New(&quietTest{TB: w.TB}, forSecurity)
		w.complaints(func(t testing.TB) { piitest.New(t, forSecurity).Scope(forBilling) })
		w.complaints(func(t testing.TB) { piitest.New(t, forSecurity).Email(faulty.Scope(forSecurity).For("")) })
		w.complaints(func(t testing.TB) { piitest.New(t, forSecurity).Phone() })
		w.complaints(func(t testing.TB) { piitest.New(t, forSecurity).Rotate(forSecurity, vault.Role(w.contact.Address)) })
		w.complaints(func(t testing.TB) { piitest.Separate(t, kit.Vault, forSecurity, forBilling) })
		w.shown(piitest.Labels("to " + textOf(w, w.email) + " and " + textOf(w, w.phone)))
		for _, s := range append(piitest.Emails(), piitest.Phones()...) {
			_, err := pii.SealEmail(ctx, s.Text+w.contact.Address, w.security)
			if !s.Valid() && err != nil {
				w.failed(err, pii.ErrMalformed)
			}
		}
	}},
	{"piitest.Recorder.Audit piitest.Recorder.Events piitest.Recorder.Record piitest.Recorder.Refusals piitest.Recorder.Reset piitest.Kit.Record " +
		"piitest.Recording.Context piitest.Recording.Denied piitest.Recording.Events piitest.Recording.Never piitest.Recording.Only", func(w *leakWorld) {
		recorder := &piitest.Recorder{}
		rec := recorder.Record()
		s := w.scopeUnder(w.store, w.kek, recorder)
		c, own := rec.Context(ctx)
		_, err := w.email.Reveal(c, s)
		require.NoError(w, err)
		_, err = w.email.Reveal(c, s.For(w.contact.Address))
		w.failed(err, vault.ErrSubject)
		require.NoError(w, recorder.Audit(ctx, audit.Event{Err: err}))
		for _, e := range append(append(recorder.Events(), recorder.Refusals()...), append(rec.Events(), own.Events()...)...) {
			w.shown(e)
		}
		w.complaints(func(t testing.TB) { rec.Only(t, forBilling) })
		w.complaints(func(t testing.TB) { rec.Never(t, audit.Reveal) })
		w.complaints(func(t testing.TB) { rec.Denied(t, forSecurity, forBilling) })
		recorder.Reset()
		kit := piitest.New(w.TB, forSecurity)
		w.complaints(func(t testing.TB) { kit.Record().Only(t, forSecurity) })
	}},
	{"piitest.Outage.Script piitest.Outage.Calls piitest.Outage.KEK piitest.Outage.Store piitest.Fault.String piitest.outageKEK.For " +
		"piitest.outageKEK.Generate piitest.outageAEAD.Encrypt piitest.outageAEAD.Decrypt piitest.outageAEAD.EncryptWithContext " +
		"piitest.outageAEAD.DecryptWithContext piitest.garbageAEAD.Encrypt piitest.garbageAEAD.Decrypt piitest.outageStore.Get " +
		"piitest.outageStore.Put piitest.outageStore.List", func(w *leakWorld) {
		for _, fault := range []piitest.Fault{piitest.Pass, piitest.Deny, piitest.Throttle, piitest.Fail, piitest.Garbage, piitest.Lose, piitest.Panic} {
			outage := &piitest.Outage{}
			outage.Script(piitest.Step{Fault: fault, Times: piitest.Forever})
			v := w.open(outage.Store(vault.Memory()), outage.KEK(hostileOnce{w.kek}), nil)
			for _, change := range changes(w, v, ctx, forSecurity) {
				w.tried(change())
			}
			get := func() { _, err := outage.Store(w.store).Get(ctx, "security/keys"); w.tried(err) }
			if fault == piitest.Panic {
				w.panics(get)
			} else {
				get()
			}
			w.shown(fault, outage.Calls(), outage)
		}
	}},
}

// hostileOnce is a KEK that also makes keys.
type hostileOnce struct{ *knownKEK }

// hostileReader breaks off with an error that quotes the contact.
type hostileReader struct{ c *piitest.Contact }

func (r hostileReader) Read([]byte) (int, error) {
	return 0, &hostileError{strings.ToUpper(r.c.Address)}
}

// queryRows returns rows with the text in a column.
func queryRows(w *leakWorld, text string) piitest.Rows {
	w.Helper()
	rows, err := openLeakDB(w, text).Query("SELECT email FROM users")
	require.NoError(w, err)
	return rows
}
