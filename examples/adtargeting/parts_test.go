package main

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

func TestTokens(t *testing.T) {
	var wanted tokens
	for range 10_000 {
		var token [tokenSize]byte
		rand.Read(token[:])
		wanted.add(token[:])
	}
	wanted.prepare()
	for offset := range 40 {
		hay := make([]byte, 64)
		rand.Read(hay)
		require.False(t, wanted.in(hay))
		copy(hay[offset:], wanted.sorted[offset*200][:])
		require.True(t, wanted.in(hay), "at %d", offset)
		require.True(t, wanted.in(hay[:offset+tokenSize]), "at the end")
		require.False(t, wanted.in(hay[:offset+tokenSize-1]), "cut short")
	}
	require.False(t, wanted.in(nil))
	var none tokens
	none.prepare()
	require.False(t, none.in(make([]byte, 100)))
}

func TestNormal(t *testing.T) {
	for typed, want := range map[string]string{
		" Ana.Silva@Bücher.example ": "ana.silva@xn--bcher-kva.example",
		"ana@xn--bcher-kva.example":  "ana@xn--bcher-kva.example",
		"\u212Aim@example.com":       "\u212Aim@example.com", // KELVIN SIGN: not kim
		"\u00a0ana@BÜCHER.example":   "ana@xn--bcher-kva.example",
		"nobody":                     "",
		"":                           "",
	} {
		require.Equal(t, want, normalEmail(typed))
	}
	for typed, want := range map[string]string{
		"+1 (212) 555-0111":  "+12125550111",
		"+44.7700.900111\t":  "+447700900111",
		"+44 (0)20 7946":     "",
		"+1 )212( 555 0111":  "",
		"+1 (212 ) 5550111":  "",
		"+1 (212) 555 0111-": "",
		"+123456":            "",
		"+1234567890123456":  "",
		"+1 212 555 x 3":     "",
		"0044":               "",
		"":                   "",
	} {
		require.Equal(t, want, normalPhone(typed))
	}
}

// Where the library accepts an address, its canonical form is the normal form
// here; otherwise a strange list could make the two counts differ.
func FuzzNormal(f *testing.F) {
	for _, typed := range []string{
		"+1 (212) 555-0111", "+44.7700.900111\t", "+44 (0)20 7946 0111", "+1 )212( 555 0111", "+1 212 555 0111-", "+1((212)) 5550111",
		" Ana.Silva@Bücher.example ", "ana@XN--bcher-kva.Example", "\u212Aim@example.com", "a@b@example.com", "a..b@example.com", "a@b",
		"\u00a0ana@MÜLLER.example\u200b", "\u202a+12125550111\u202c", "a@example.\u0915\u094d\u200d", "a@example.\u0915\u094d\u200d\ufeff",
	} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		scope := piitest.New(t, purposes.Security).Scope(purposes.Security)
		phone, want := normalPhone(typed), ""
		if sealed, err := pii.SealPhone(t.Context(), typed, scope); err == nil {
			want, err = sealed.Reveal(t.Context(), scope)
			require.NoError(t, err)
		}
		require.Equal(t, want, phone)
		if sealed, err := pii.SealEmail(t.Context(), typed, scope); err == nil {
			email, err := sealed.Reveal(t.Context(), scope)
			require.NoError(t, err)
			require.Equal(t, strings.ToLower(email), normalEmail(typed))
		}
	})
}

// The database itself turns plain addresses away.
func TestDatabaseRefusesPlaintext(t *testing.T) {
	users, err := createUserStore(t.Context(), filepath.Join(t.TempDir(), "odd name?#%41.db"))
	require.NoError(t, err)
	defer users.db.Close()
	index := bytes.Repeat([]byte{1}, 16)
	for _, row := range [][]any{
		{"ana@example.com", "pii1.phone.x", index, index},
		{"pii1.email.x", "+12125550111", index, index},
		{"pii1.phone.x", "pii1.email.x", index, index},
		{"pii1.email.x", "pii1.phone.x", "ana@example.com", index},
		{"pii1.email.x", "pii1.phone.x", index, "+12125550111"},
		{"pii1.email.x", "pii1.phone.x", nil, index},
	} {
		_, err := users.db.ExecContext(t.Context(),
			`INSERT INTO users (email, phone, email_security, phone_security) VALUES (?, ?, ?, ?)`, row...)
		require.ErrorContains(t, err, "constraint failed")
	}
}

func TestAdTeamCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.db")
	users, err := createUserStore(t.Context(), file)
	require.NoError(t, err)
	defer users.db.Close()
	db, err := sql.Open("sqlite", dsn(file, "ro"))
	require.NoError(t, err)
	defer db.Close()
	for _, statement := range []string{
		`UPDATE users SET email_advertising = email_security`, `DELETE FROM users`, `DROP TABLE users`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.ErrorContains(t, err, "readonly")
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "signing up", 10_000)
	p.add(5_000)
	require.Empty(t, out.String(), "too early")
	p.next = time.Now().Add(-time.Second)
	p.add(1)
	require.Equal(t, "signing up: 5,001 of 10,000\n", out.String())
	p.finish()

	out.Reset()
	p = newProgress(&out, "signing up", -1)
	p.next = time.Now().Add(-time.Second)
	p.add(7)
	require.Equal(t, "signing up: 7\n", out.String())
}

func TestTable(t *testing.T) {
	require.Equal(t, strings.Join([]string{
		"        asked  per op",
		"",
		"A heading that is longer than any cell",
		"  a         1     9µs  ok",
		"  bcd  10,000     1ms  GAVE WAY",
		"",
	}, "\n"), table([][]string{
		{"", "asked", "per op", ""}, nil, {"A heading that is longer than any cell"},
		{"  a", "1", "9µs", "ok"}, {"  bcd", "10,000", "1ms", "GAVE WAY"},
	}))
	require.Equal(t, "-1,234,567", number(-1234567))
	require.Equal(t, "-123", number(-123))
	require.Equal(t, "0", number(0))
	require.Equal(t, "1.23ms", brief(1234567))
	require.Equal(t, "999ns", brief(999))
}

func TestSpeed(t *testing.T) {
	require.Equal(t,
		"Without SQLite: sealing and indexing 2,000 values took 1.5s on 8 processors, 1,333 a second; 280 million would take 58h20m0s.",
		speed(2000, 1500*time.Millisecond, 8))
}

func TestFaults(t *testing.T) {
	held := road{Rule: refuse, answers: answers{Asked: 2, Refused: 2}, Audit: decisions{Refused: 2}}
	require.Empty(t, held.fault())
	for want, spoil := range map[string]func(*road){
		"1 unexpected answers": func(r *road) { r.Odd++ },
		"1 let through":        func(r *road) { r.Allowed++ },
		"2 turned away":        func(r *road) { r.Rule = allow },
		"3 people too many":    func(r *road) { r.Matched = 3 },
		"4 people missed":      func(r *road) { r.Want = 4 },
		"audit disagrees":      func(r *road) { r.Audit.Refused-- },
	} {
		r := held
		spoil(&r)
		require.Equal(t, want, r.fault())
	}
}
