package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault/audit"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// tell runs the story, with weaken called once everybody has signed up.
func tell(t *testing.T, o options, weaken func(*testing.T, *story)) *story {
	t.Helper()
	state, err := newState("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, state.close()) })
	var out bytes.Buffer
	s, err := newStory(t.Context(), o, state, &out, io.Discard)
	require.NoError(t, err)
	t.Cleanup(s.close)
	require.NoError(t, s.collect(t.Context()))
	if weaken != nil {
		weaken(t, s)
	}
	for _, chapter := range []func(context.Context) error{s.visit, s.advertise, s.advertiseApart} {
		require.NoError(t, chapter(t.Context()))
	}
	require.NoError(t, s.report())
	if weaken != nil {
		require.Contains(t, out.String(), "GAVE WAY")
		require.Contains(t, out.String(), "A boundary gave way.")
	}
	return s
}

// The program can fail: each of these takes one protection away, and the roads
// that it closed are open.
func TestWeakened(t *testing.T) {
	for _, test := range []struct {
		name   string
		weaken func(*testing.T, *story)
		open   []string // roads, "who: name"
	}{
		{"the ad team is handed security's scope", func(t *testing.T, s *story) {
			s.team.scope = s.signIn.security
		}, []string{
			"ad team: match people who consented", "ad team: join on security's indexes",
			"ad team: search dump: all the rest", "ad team: open security's values",
		}},
		{"sign-in looks people up by advertising's index", func(t *testing.T, s *story) {
			update(t, s, `UPDATE users SET email_security = ?`, func(p person) (any, error) {
				return pii.IndexEmail(t.Context(), p.email, s.team.scope)
			})
		}, []string{
			"company: sign in: find by e-mail",
			"ad team: join on security's indexes", "ads process: join on security's indexes",
			"ad team: search dump: all the rest", "ads process: search dump: all the rest",
		}},
		{"a column holds unkeyed hashes", func(t *testing.T, s *story) {
			update(t, s, `UPDATE users SET phone_security = ?`, func(p person) (any, error) {
				sum := sha256.Sum256([]byte(normalPhone(p.phone)))
				return sum[:16], nil
			})
		}, []string{"ad team: search dump: SHA-256 of the list", "ads process: search dump: SHA-256 of the list"}},
		{"values are sealed for advertising without consent", func(t *testing.T, s *story) {
			update(t, s, `UPDATE users SET phone = ?`, func(p person) (any, error) {
				if p.consent != "" {
					return nil, nil
				}
				return pii.SealPhone(t.Context(), p.phone, s.signIn.security, s.team.scope)
			})
		}, []string{"ad team: open security's values", "ads process: open security's values"}},
		{"people are indexed for advertising without consent", func(t *testing.T, s *story) {
			update(t, s, `UPDATE users SET email_advertising = ?`, func(p person) (any, error) {
				return pii.IndexEmail(t.Context(), p.email, s.team.scope)
			})
		}, []string{"ad team: match people who consented", "ads process: search dump: its own columns"}},
		{"consent is forgotten", func(t *testing.T, s *story) {
			_, err := s.users.db.ExecContext(t.Context(), `UPDATE users SET email_advertising = NULL, phone_advertising = NULL`)
			require.NoError(t, err)
		}, []string{"ad team: match people who consented", "ads process: reveal those matched"}},
		{"the ads process can read security's KEK", func(t *testing.T, s *story) {
			key, err := os.ReadFile(filepath.Join(s.state.kek(purposes.Security), "security.kek"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(s.state.kek(purposes.Advertising), "security.kek"), key, 0o600))
		}, []string{"ad team: take security's scope", "ads process: take security's scope"}},
		{"events are not recorded", func(t *testing.T, s *story) {
			s.audit.log = dropAuditor{}
			s.walker.audit = &recorder{log: audit.Slog(slog.New(slog.DiscardHandler))}
		}, []string{"company: sign in: find by e-mail"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, options{tries: 10_000}, test.weaken)
			require.False(t, s.verdict())
			faults := make(map[string]string)
			for _, r := range s.roads {
				faults[r.Who+": "+r.Name] = r.fault()
			}
			for _, name := range test.open {
				require.Contains(t, faults, name)
				require.NotEmpty(t, faults[name], name)
			}
		})
	}
}

type dropAuditor struct{}

func (dropAuditor) Audit(context.Context, audit.Event) error { return nil }

// update runs a statement on the row of everybody who signed up, with the value
// that make returns for them; nil leaves them out.
func update(t *testing.T, s *story, query string, make func(person) (any, error)) {
	t.Helper()
	tx, err := s.users.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	for _, p := range s.visitors {
		value, err := make(p)
		require.NoError(t, err)
		if value == nil {
			continue
		}
		row, err := pii.IndexEmail(t.Context(), p.email, s.signIn.security)
		require.NoError(t, err)
		result, err := tx.ExecContext(t.Context(), query+` WHERE email_security = ?`, value, row)
		require.NoError(t, err)
		changed, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, changed)
	}
	require.NoError(t, tx.Commit())
}
