package main

import (
	"bytes"
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
	require.JSONEq(t, `{"id": 1, "code_sent_to": "•••71"}`, body)
	require.Equal(t, []string{"+1 (415) 555-2671"}, c.sent())

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
	require.JSONEq(t, `{"id": 1, "code_sent_to": "•••00"}`, body)
	require.Equal(t, []string{"+44 20 7946 0000"}, c.sent())

	status, body = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "", "password": "correct horse"}`)
	require.Equal(t, http.StatusNoContent, status, body)
	_, body = c.do("POST", "/signin", alice)
	require.JSONEq(t, `{"id": 1, "code_sent_to": ""}`, body)

	status, _ = c.do("PUT", "/phone", `{"email": "alice@example.com", "phone": "+1 212 555 0100", "password": "wrong"}`)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = c.do("PUT", "/phone", "no form")
	require.Equal(t, http.StatusBadRequest, status)
}

// An address and a number are in clear in whatever leaves the process. This is
// what there is to mend.
func TestAllLeaks(t *testing.T) {
	c := newClient(t)
	_, signedUp := c.do("POST", "/signup", alice)
	_, _ = c.do("POST", "/signin", alice)
	status, user := c.do("GET", "/users/1", "")
	require.Equal(t, http.StatusOK, status)
	_, err := c.service.users.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	file, err := os.ReadFile(filepath.Join(c.dir, "users.db"))
	require.NoError(t, err)
	for where, text := range map[string]string{
		"sign-up": signedUp, "user": user, "log": c.log.String(), "database": string(file),
	} {
		require.Contains(t, text, "alice@example.com", where)
		require.Contains(t, text, "555-2671", where)
	}
	status, _ = c.do("GET", "/users/2", "")
	require.Equal(t, http.StatusNotFound, status)
}
