package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// A client is a service with its log and the numbers that it texted.
type client struct {
	t       *testing.T
	service *Service
	log     bytes.Buffer
	gateway *httptest.Server

	mu     sync.Mutex
	answer int // the status of the gateway
	texted []string
}

func newClient(t *testing.T) *client {
	c := &client{t: t, answer: http.StatusCreated}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	c.gateway = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.texted = append(c.texted, r.FormValue("To"))
		w.WriteHeader(c.answer)
		fmt.Fprintf(w, `{"to": %q, "status": "queued"}`, r.FormValue("To"))
	}))
	t.Cleanup(c.gateway.Close)
	var err error
	c.service, err = open(t.Context(), dir, c.gateway.Client().Transport.(*http.Transport), c.gateway.URL+"/v1/messages")
	require.NoError(t, err)
	t.Cleanup(func() { c.service.users.db.Close() })
	c.service.log = slog.New(slog.NewTextHandler(&c.log, nil))
	return c
}

// sent returns the numbers that the gateway got.
func (c *client) sent() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texted
}

func (c *client) do(method, path, body string) (int, string) {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.service.Handler().ServeHTTP(w, httptest.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// exec runs a statement of somebody else over the table.
func (c *client) exec(query string, args ...any) {
	c.t.Helper()
	_, err := c.service.users.db.ExecContext(c.t.Context(), query, args...)
	require.NoError(c.t, err)
}

// A row has the columns of both versions.
type row struct {
	email, phone sql.NullString
	sealedEmail  pii.Email
	index        pii.Index
	sealedPhone  pii.Phone
}

// rows returns the table, in the order of ids.
func (c *client) rows() (all []row) {
	c.t.Helper()
	found, err := c.service.users.db.QueryContext(c.t.Context(), "SELECT email, phone, email_sealed, email_index, phone_sealed FROM users ORDER BY id")
	require.NoError(c.t, err)
	defer found.Close()
	for found.Next() {
		var r row
		require.NoError(c.t, found.Scan(&r.email, &r.phone, &r.sealedEmail, &r.index, &r.sealedPhone))
		all = append(all, r)
	}
	require.NoError(c.t, found.Err())
	return all
}

const alice = `{"email": "Alice@Example.com", "phone": "+1 (415) 555-2671", "password": "correct horse"}`

// Each row has the plaintext of ../before and the columns of ../after, of one person.
func TestSignUpWritesBoth(t *testing.T) {
	c := newClient(t)
	status, body := c.do("POST", "/signup", alice)
	require.Equal(t, http.StatusCreated, status, body)
	status, body = c.do("POST", "/signup", `{"email": "bob@example.com", "password": "x"}`)
	require.Equal(t, http.StatusCreated, status, body)

	all := c.rows()
	require.Len(t, all, 2)
	for i, want := range []struct{ email, phone, number string }{
		{"alice@example.com", "+1 (415) 555-2671", "+14155552671"}, {"bob@example.com", "", ""},
	} {
		r := all[i]
		require.Equal(t, want.email, r.email.String)
		require.Equal(t, want.phone, r.phone.String)
		address, err := r.sealedEmail.Reveal(t.Context(), c.service.security)
		require.NoError(t, err)
		require.Equal(t, want.email, address)
		index, err := pii.IndexEmail(t.Context(), want.email, c.service.security)
		require.NoError(t, err)
		require.True(t, r.index.Equal(index))
		provenance, ok := r.sealedEmail.Provenance(forSecurity)
		require.True(t, ok)
		require.Equal(t, "sign-up-v1", provenance.Notice)
		if want.number == "" {
			require.True(t, r.sealedPhone.IsZero(), "no number is NULL, and no seal of empty text")
			continue
		}
		number, err := r.sealedPhone.Reveal(t.Context(), c.service.security)
		require.NoError(t, err)
		require.Equal(t, want.number, number)
	}
}

// A sign-up that fails, at whichever column, leaves nothing in either.
func TestFailedSignUpWritesNeither(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	before := c.rows()
	for _, test := range []struct {
		name, form string
		status     int
	}{
		{"no form", "x", http.StatusBadRequest},
		{"no address", `{"email": "carol", "password": "x"}`, http.StatusBadRequest},
		{"an address that ../before takes", `{"email": "not an address@", "password": "x"}`, http.StatusBadRequest},
		{"no number", `{"email": "carol@example.com", "phone": "call my office", "password": "x"}`, http.StatusBadRequest},
		{"an address that is taken", strings.Replace(alice, "Alice", "ALICE", 1), http.StatusConflict},
	} {
		status, body := c.do("POST", "/signup", test.form)
		require.Equal(t, test.status, status, "%s: %s", test.name, body)
		require.Equal(t, before, c.rows(), test.name)
	}

	// The unique constraint of one version refuses the row of both.
	c.exec("UPDATE users SET email = NULL") // as after the cut-over
	status, body := c.do("POST", "/signup", alice)
	require.Equal(t, http.StatusConflict, status, body)
	c.exec("UPDATE users SET email = 'alice@example.com', email_index = NULL, email_sealed = NULL") // as before the backfill
	status, body = c.do("POST", "/signup", alice)
	require.Equal(t, http.StatusConflict, status, body)
	require.Len(t, c.rows(), 1)

	// A sealed value that the database refuses takes the plaintext with it.
	c.exec("CREATE TRIGGER refuse BEFORE INSERT ON users WHEN NEW.phone_sealed IS NOT NULL BEGIN SELECT RAISE(ABORT, 'refused'); END")
	status, body = c.do("POST", "/signup", `{"email": "carol@example.com", "phone": "+44 20 7946 0000", "password": "x"}`)
	require.Equal(t, http.StatusConflict, status, body)
	require.Len(t, c.rows(), 1)
}

// A change writes both columns, and so does a removal. Otherwise the old number would be
// back after the cut-over.
func TestChangePhoneWritesBoth(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	first := c.rows()[0]
	change := func(number string) (int, string) {
		return c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "`+number+`", "password": "correct horse"}`)
	}
	status, body := change("+44 20 7946 0000")
	require.Equal(t, http.StatusNoContent, status, body)
	changed := c.rows()[0]
	require.Equal(t, "+44 20 7946 0000", changed.phone.String)
	number, err := changed.sealedPhone.Reveal(t.Context(), c.service.security)
	require.NoError(t, err)
	require.Equal(t, "+442079460000", number)
	require.Equal(t, first.sealedEmail, changed.sealedEmail, "the other columns stay")

	// Changes that fail leave both as they were.
	status, body = change("call my office")
	require.Equal(t, http.StatusBadRequest, status, body)
	require.Equal(t, changed, c.rows()[0])
	status, _ = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "", "password": "wrong"}`)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, changed, c.rows()[0])
	c.exec("CREATE TRIGGER refuse BEFORE UPDATE ON users WHEN NEW.phone_sealed IS NOT NULL BEGIN SELECT RAISE(ABORT, 'refused'); END")
	status, body = change("+1 212 555 0100")
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Equal(t, changed, c.rows()[0])

	status, body = change("")
	require.Equal(t, http.StatusNoContent, status, body)
	removed := c.rows()[0]
	require.Empty(t, removed.phone.String)
	var sealed sql.NullString
	require.NoError(t, c.service.users.db.QueryRowContext(t.Context(), "SELECT phone_sealed FROM users").Scan(&sealed))
	require.False(t, sealed.Valid, "NULL, and no seal of empty text")
}

// Sign-in and the page of a user read the plaintext, and nothing but that: rows from before
// the backfill have no more.
func TestReadsThePlaintext(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	c.exec("UPDATE users SET email_sealed = NULL, email_index = NULL, phone_sealed = NULL")
	status, body := c.do("POST", "/signin", `{"email": " ALICE@example.com", "password": "correct horse"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"id": 1, "code_sent_to": "•••71"}`, body)
	require.Equal(t, []string{"+1 (415) 555-2671"}, c.sent())
	status, body = c.do("GET", "/users/1", "")
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"id": 1, "email": "alice@example.com", "phone": "+1 (415) 555-2671"}`, body)

	c.mu.Lock()
	c.answer = http.StatusServiceUnavailable
	c.mu.Unlock()
	status, body = c.do("POST", "/signin", alice)
	require.Equal(t, http.StatusServiceUnavailable, status, body)

	for name, form := range map[string]string{
		"wrong password": `{"email": "alice@example.com", "password": "wrong"}`,
		"nobody":         `{"email": "bob@example.com", "password": "correct horse"}`,
		"no address":     `{"email": "", "password": "correct horse"}`,
	} {
		status, body = c.do("POST", "/signin", form)
		require.Equal(t, http.StatusUnauthorized, status, name)
		require.Equal(t, "wrong e-mail address or password\n", body)
	}
	status, _ = c.do("POST", "/signin", "no form")
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = c.do("GET", "/users/2", "")
	require.Equal(t, http.StatusNotFound, status)
}

// Clients get the answers of ../before, and the sealed columns add nothing
// to them or to the log.
func TestAnswersAreThoseOfBefore(t *testing.T) {
	c := newClient(t)
	_, body := c.do("POST", "/signup", alice)
	require.JSONEq(t, `{"id": 1, "email": "alice@example.com", "phone": "+1 (415) 555-2671"}`, body)
	c.do("POST", "/signin", alice)
	require.Contains(t, c.log.String(), "alice@example.com")
	require.NotContains(t, c.log.String(), "pii")
}
