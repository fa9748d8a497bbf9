package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// runIn runs the command in dir, and returns what it prints.
func runIn(t *testing.T, dir string, steps ...string) (string, error) {
	var out bytes.Buffer
	err := run(t.Context(), &out, dir, 2000, steps)
	require.NotContains(t, strings.ToLower(out.String()), "person-")
	require.NotContains(t, out.String(), "+1 ")
	require.NotContains(t, out.String(), "call my office")
	return out.String(), err
}

func tempDir(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

func count(t *testing.T, dir, condition string) (n int) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "users.db"))
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM users WHERE "+condition).Scan(&n))
	return n
}

func TestAllSteps(t *testing.T) {
	dir := tempDir(t)
	out, err := runIn(t, dir)
	require.NoError(t, err)
	for _, line := range []string{
		"plan: 2000 rows, 0 changed\n", "    2 collected for an unknown purpose\n",
		"row 802: email: duplicate of row 801\n", "row 18: phone: invalid\n", "row 601: phone: quarantined\n",
		"cut-over: 2000 rows, 2000 changed\n", "leftovers: 3993 values, 1 tables, 2000 rows\n  users.email: 1 rows\n",
	} {
		require.Contains(t, out, line)
	}
	// What is left is what people have to decide on.
	require.Equal(t, 1, count(t, dir, "email <> ''"))
	require.Equal(t, 4, count(t, dir, "phone <> ''"))
	require.Equal(t, 1999, count(t, dir, "email_sealed IS NOT NULL AND email_index IS NOT NULL"))
	require.Equal(t, 1994, count(t, dir, "phone_sealed IS NOT NULL"))
	// Values were collected when their rows were made.
	db, err := sql.Open("sqlite", filepath.Join(dir, "users.db"))
	require.NoError(t, err)
	defer db.Close()
	var email pii.Email
	require.NoError(t, db.QueryRow("SELECT email_sealed FROM users WHERE id = 1").Scan(&email))
	provenance, _ := email.Provenance(forSecurity)
	require.True(t, provenance.Stated)
	require.Equal(t, time.Date(2018, 3, 4, 0, 0, 0, 0, time.UTC), provenance.Collected)
	out, err = runIn(t, dir, "cut-over")
	require.ErrorIs(t, err, errDecide)
	require.Contains(t, out, "0 changed")
}

// A pipeline runs the steps one by one, and stops at the first that finds
// something.
func TestOneStep(t *testing.T) {
	dir := tempDir(t)
	_, err := runIn(t, dir, "plan")
	require.ErrorIs(t, err, errDecide)
	require.Zero(t, count(t, dir, "email_sealed IS NOT NULL"))
	db, err := sql.Open("sqlite", filepath.Join(dir, "users.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("DELETE FROM users WHERE id = 802 OR id % 1000 IN (18, 601)")
	require.NoError(t, err)
	for _, step := range []string{"plan", "backfill", "verify", "cut-over", "verify", "leftovers"} {
		_, err = runIn(t, dir, step)
		require.NoError(t, err, step)
	}
	require.Zero(t, count(t, dir, "email <> '' OR phone <> ''"))
	file, err := os.ReadFile(filepath.Join(dir, "users.db"))
	require.NoError(t, err)
	require.NotRegexp(t, `(?i)person-\d+@`, string(file)) // without @ it is in sealed text now and then
	_, err = runIn(t, dir, "drop")
	require.EqualError(t, err, "steps are plan, backfill, repair, verify, cut-over and leftovers")
}
