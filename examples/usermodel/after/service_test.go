package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A client is a service with what it logged and whom it texted.
type client struct {
	t       *testing.T
	service *Service
	dir     string
	log     bytes.Buffer
	gateway *httptest.Server

	mu     sync.Mutex
	answer int // the status of the gateway
	texted []string
}

func newClient(t *testing.T) *client {
	c := &client{t: t, dir: t.TempDir(), answer: http.StatusCreated}
	require.NoError(t, os.Chmod(c.dir, 0o700))
	c.gateway = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.texted = append(c.texted, r.FormValue("To"))
		w.WriteHeader(c.answer)
		fmt.Fprintf(w, `{"to": %q, "status": "queued"}`, r.FormValue("To"))
	}))
	t.Cleanup(c.gateway.Close)
	var err error
	c.service, err = open(t.Context(), c.dir, c.gateway.Client().Transport.(*http.Transport), c.gateway.URL+"/v1/messages")
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

const alice = `{"email": "Alice@Example.com", "phone": "+1 (415) 555-2671", "password": "correct horse"}`

func TestSignUpAndIn(t *testing.T) {
	c := newClient(t)
	status, body := c.do("POST", "/signup", alice)
	require.Equal(t, http.StatusCreated, status, body)

	status, body = c.do("POST", "/signin", `{"email": " ALICE@example.com", "password": "correct horse"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"id": 1, "code_sent_to": "+1 ••• ••• ••71"}`, body)
	require.Equal(t, []string{"+14155552671"}, c.sent())

	c.mu.Lock()
	c.answer = http.StatusServiceUnavailable
	c.mu.Unlock()
	status, body = c.do("POST", "/signin", alice)
	require.Equal(t, http.StatusServiceUnavailable, status, body)

	for name, form := range map[string]string{
		"wrong password": `{"email": "alice@example.com", "password": "wrong"}`,
		"nobody":         `{"email": "bob@example.com", "password": "correct horse"}`,
		"no address":     `{"email": "", "password": "correct horse"}`,
		"no valid one":   `{"email": "' OR 1 --", "password": "correct horse"}`,
	} {
		status, body = c.do("POST", "/signin", form)
		require.Equal(t, http.StatusUnauthorized, status, name)
		require.Equal(t, "wrong e-mail address or password\n", body)
	}
	status, _ = c.do("POST", "/signin", "no form")
	require.Equal(t, http.StatusBadRequest, status)
}

func TestSignUpRefuses(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		name, form string
		status     int
	}{
		{"no form", "x", http.StatusBadRequest},
		{"no address", `{"email": "alice", "password": "x"}`, http.StatusBadRequest},
		{"no number", `{"email": "alice@example.com", "phone": "none", "password": "x"}`, http.StatusBadRequest},
		{"all well", alice, http.StatusCreated},
		{"an address that is taken", strings.Replace(alice, "Alice", "ALICE", 1), http.StatusConflict},
		{"without a number", `{"email": "bob@example.com", "password": "x"}`, http.StatusCreated},
	} {
		status, body := c.do("POST", "/signup", test.form)
		require.Equal(t, test.status, status, "%s: %s", test.name, body)
	}
	status, body := c.do("POST", "/signin", `{"email": "bob@example.com", "password": "x"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"id": 2, "code_sent_to": ""}`, body)
}

func TestChangePhone(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	status, body := c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "+44 20 7946 0000", "password": "correct horse"}`)
	require.Equal(t, http.StatusNoContent, status, body)
	_, body = c.do("POST", "/signin", alice)
	require.JSONEq(t, `{"id": 1, "code_sent_to": "+44 ••• ••• ••00"}`, body)
	require.Equal(t, []string{"+442079460000"}, c.sent())

	status, body = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "", "password": "correct horse"}`)
	require.Equal(t, http.StatusNoContent, status, body)
	_, body = c.do("POST", "/signin", alice)
	require.JSONEq(t, `{"id": 1, "code_sent_to": ""}`, body)

	status, _ = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "+1 212 555 0100", "password": "wrong"}`)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = c.do("PUT", "/phone", "no form")
	require.Equal(t, http.StatusBadRequest, status)
	status, body = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "call my office", "password": "correct horse"}`)
	require.Equal(t, http.StatusBadRequest, status, body)
	var removed sql.NullString
	require.NoError(t, c.service.users.db.QueryRow("SELECT phone_sealed FROM users").Scan(&removed))
	require.False(t, removed.Valid, "a number that was removed is NULL")
}

// On the day on which an index key rotates people sign in as on any other day, and
// nobody gets a second account: the rows still have the old index.
func TestSignInDuringRotation(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	c.service.users.db.Close()
	admin, err := vault.OpenAdmin(t.Context(), vault.Dir(filepath.Join(c.dir, "keys")), vault.LocalKEK(filepath.Join(c.dir, "kek")), nil)
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Rotate(t.Context(), forSecurity, vault.RoleIndex))
	keys, err := admin.Keys(t.Context(), forSecurity)
	require.NoError(t, err)
	for _, k := range keys {
		if !k.PrimaryAt.IsZero() {
			require.NoError(t, admin.Promote(t.Context(), forSecurity, k.ID))
		}
	}
	c.service, err = open(t.Context(), c.dir, c.gateway.Client().Transport.(*http.Transport), c.gateway.URL+"/v1/messages") // another process
	require.NoError(t, err)
	defer c.service.users.db.Close()
	status, body := c.do("POST", "/signin", alice)
	require.Equal(t, http.StatusOK, status, body)
}

// Nothing that leaves the process has an address or a number in clear.
func TestNothingLeaks(t *testing.T) {
	c := newClient(t)
	_, signedUp := c.do("POST", "/signup", alice)
	_, signedIn := c.do("POST", "/signin", alice)
	status, user := c.do("GET", "/users/1", "")
	require.Equal(t, http.StatusOK, status)
	_, err := c.service.users.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	file, err := os.ReadFile(filepath.Join(c.dir, "users.db"))
	require.NoError(t, err)
	for where, text := range map[string]string{
		"sign-up": signedUp, "sign-in": signedIn, "user": user, "log": c.log.String(), "database": string(file),
	} {
		require.NotEmpty(t, text, where)
		name := "alice"
		if strings.Contains(text, "pii1.") {
			name += "@" // sealed text spells a name now and then
		}
		for _, part := range []string{name, "4155552671", "555-2671"} {
			require.NotContains(t, strings.ToLower(text), part, where)
		}
	}
	require.Contains(t, c.log.String(), "email=pii.Email(security)")
	require.NotContains(t, user, `index"`)

	// Another service gets a value that opens with the right scope.
	var got User
	require.NoError(t, json.Unmarshal([]byte(user), &got))
	hint, err := got.Phone.Hint(t.Context(), c.service.security)
	require.NoError(t, err)
	require.Equal(t, "+1 ••• ••• ••71", hint)
	provenance, ok := got.Phone.Provenance(forSecurity)
	require.True(t, ok)
	require.Equal(t, "sign-up-v1", provenance.Notice)

	status, _ = c.do("GET", "/users/2", "")
	require.Equal(t, http.StatusNotFound, status)
}

// A row that somebody put another's number into is of no use.
func TestForgedRow(t *testing.T) {
	c := newClient(t)
	c.do("POST", "/signup", alice)
	var phone pii.Phone
	require.NoError(t, c.service.users.db.QueryRow("SELECT phone_sealed FROM users").Scan(&phone))
	text, err := phone.Value()
	require.NoError(t, err)
	forged := []byte(text.(string))
	if i := len(forged) - 9; forged[i] == 'A' { // stays base64, or it would not even be read
		forged[i] = 'B'
	} else {
		forged[i] = 'A'
	}
	_, err = c.service.users.db.Exec("UPDATE users SET phone_sealed = ?", string(forged))
	require.NoError(t, err)
	status, body := c.do("POST", "/signin", alice)
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Empty(t, c.sent())
	_, err = c.service.users.db.Exec("UPDATE users SET phone_sealed = '+14155552671'")
	require.Error(t, err)
}
