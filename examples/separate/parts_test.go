package main

import (
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Somebody who reaches the inbox can't hold up others, nor change an account.
func TestTakeIn(t *testing.T) {
	ctx := t.Context()
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(t.TempDir(), "kek")), nil)
	require.NoError(t, err)
	require.NoError(t, v.Generate(ctx, security))
	scope, err := v.Scope(ctx, security)
	require.NoError(t, err)
	collector, err := v.Collector(ctx, security)
	require.NoError(t, err)
	db, err := openDatabase(filepath.Join(t.TempDir(), "company.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(ctx, schema)
	require.NoError(t, err)
	post := func(id string, email any) {
		_, err := db.ExecContext(ctx, `INSERT INTO sign_ups (id, email) VALUES (?, ?)`, id, email)
		require.NoError(t, err)
	}
	sealed := func(address string) pii.Email {
		email, err := pii.SealEmail(ctx, address, collector)
		require.NoError(t, err)
		return email
	}
	post("a", sealed("alice@example.com"))
	n, err := takeIn(ctx, db, "sign_ups", "accounts", scope)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = takeIn(ctx, db, "sign_ups", "accounts", scope)
	require.NoError(t, err, "an empty inbox")
	require.Zero(t, n)

	post("", sealed("dave@example.com"))
	post("a", sealed("mallory@example.com")) // takes over alice's account
	post("b", sealed("Alice@example.com"))   // is alice, too
	post("c", "pii1.email.security.AAAA")
	post("d", "pii1.email.security.?")
	post(strings.Repeat("e", 300), sealed("erin@example.com"))
	forged, err := relabel(func() pii.Email {
		e, err := pii.SealEmail(ctx, "mallory@example.com", scope.For("z"))
		require.NoError(t, err)
		return e
	}(), security)
	require.NoError(t, err)
	post("f", forged) // of somebody else
	post("g", sealed("bob@example.com"))
	n, err = takeIn(ctx, db, "sign_ups", "accounts", scope)
	require.NoError(t, err)
	require.Equal(t, 1, n, "bob alone")

	accounts, err := people(ctx, db, "accounts")
	require.NoError(t, err)
	require.Len(t, accounts, 2)
	for i, want := range []struct{ id, address string }{{"a", "alice@example.com"}, {"g", "bob@example.com"}} {
		require.Equal(t, want.id, accounts[i].id)
		got, err := accounts[i].email.Reveal(ctx, scope.For(want.id))
		require.NoError(t, err)
		require.True(t, got == want.address, "somebody else's address")
	}
	left, err := people(ctx, db, "sign_ups")
	require.NoError(t, err)
	require.Empty(t, left)

	// What is not the rows' fault leaves them where they are.
	post("h", sealed("carol@example.com"))
	require.NoError(t, v.Close())
	_, err = takeIn(ctx, db, "sign_ups", "accounts", scope)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	left, err = people(ctx, db, "sign_ups")
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestAttempts(t *testing.T) {
	class := vault.ErrNoKeys
	mismatch := &purpose.MismatchError{Collected: purpose.NewSet(security), Asked: advertising}
	for name, c := range map[string]struct {
		errs []error
		want result
	}{
		"all refused":                         {[]error{class, class}, refused},
		"one worked":                          {[]error{class, nil, class}, succeeded},
		"the last worked":                     {[]error{io.EOF, nil}, succeeded},
		"another reason proves nothing":       {[]error{class, io.EOF}, unclear},
		"another reason first":                {[]error{io.EOF, class}, unclear},
		"nothing to try it on proves nothing": {nil, unclear},
	} {
		t.Run(name, func(t *testing.T) {
			var a attempts
			a.failed("x", class, c.errs...)
			require.Equal(t, c.want, a.list[0].Result)
		})
	}
	var a attempts
	a.failed("x", purpose.ErrMismatch, errors.Join(mismatch))
	require.Equal(t, "collected for security, not advertising", a.list[0].Why)
	a = attempts{}
	a.none("x", 0, 3, "")
	a.none("x", 1, 3, "")
	a.none("x", 0, 0, "")
	require.Equal(t, refused, a.list[0].Result)
	require.Equal(t, succeeded, a.list[1].Result)
	require.Equal(t, unclear, a.list[2].Result)
}

func TestReport(t *testing.T) {
	for r, want := range map[result]bool{refused: true, succeeded: false, unclear: false, untried: true} {
		held, err := report(io.Discard, []attempt{{Who: adsService, Result: refused}, {Who: frontEnd, Result: r}})
		require.NoError(t, err)
		require.Equal(t, want, held, r)
	}
	held, err := report(io.Discard, []attempt{{Result: untried}})
	require.NoError(t, err)
	require.False(t, held, "nothing was shown")
}

// The whole database is searched for what would be found.
func TestContains(t *testing.T) {
	require.True(t, contains([]byte("\x00Alice@Example.com\xff"), "alice@example.com"))
	require.True(t, contains([]byte("x\xe2\x84\xaa\xc3"), "\xaa\xc3"), "bytes of a hash")
	require.False(t, contains([]byte("alice@example.org"), "alice@example.com"))
}
