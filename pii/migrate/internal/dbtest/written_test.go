package dbtest_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// writtenEmail is the kind of the example of package pii for addresses as they are
// written.
type writtenEmail struct{}

var writtenKind = vault.MustKind("email-as-written", "people.WrittenEmail")

func (writtenEmail) Kind() vault.Kind   { return writtenKind }
func (writtenEmail) Mask(string) string { return "•••@•••" }

func (writtenEmail) Parse(text string) (string, bool) {
	if len(text) > 320 || !utf8.ValidString(text) {
		return "", false
	}
	text = strings.Trim(text, " \t\r\n")
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at == len(text)-1 {
		return "", false
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return "", false
		}
	}
	return text, true
}

func (writtenEmail) Canonical(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// Addresses that [pii.SealEmail] refuses end sealed in a kind of their own, by a second
// migration over the rows that the first has left, and the column of plaintext is
// empty.
func TestAddressesAsWrittenEmptyTheColumn(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.exec(t, "ALTER TABLE @table ADD COLUMN email_written "+d.text)
		w.exec(t, "ALTER TABLE @table ADD COLUMN email_written_index "+d.bytes)
		written := []string{
			"a..b@docomo.example", "a.@docomo.example", ".a@docomo.example", `"a..b"@docomo.example`, `"John Doe"@example.com`, `"a@b"@example.com`,
			"root@localhost", "josé@example.com", "用户@例子.中国", "alice@[192.0.2.1]", "alice@example.com.", "alice@exa_mple.com", "alice(home)@example.com",
			"Alice Smith <alice@example.com>", "alice@ΒΌΛΟΣ.example",
		}
		plain := []string{"Alice@example.com", "\u00a0bob@example.com\u200b", "carol@MÜLLER.example"} // these become e-mail addresses
		for i, address := range slices.Concat(plain, written) {
			w.insert(t, i+1, "2fa", address, nil)
		}
		const unknown = 100
		w.insert(t, unknown, "2fa", "unknown", nil)
		of := func(kind migrate.Kind, sealed, index string) *migrate.Migration {
			m, err := migrate.New(t.Context(), w.db, w.dialect, migrate.Table{
				Name: w.name, Key: "id", Scopes: []*vault.Scope{w.security},
				Columns: []migrate.Column{{
					Kind: kind, Plain: "email", Sealed: sealed,
					Indexes:      map[purpose.Purpose]string{forSecurity: index},
					CollectedFor: func(migrate.Row) []*vault.Scope { return []*vault.Scope{w.security} },
				}},
			})
			require.NoError(t, err)
			return m
		}

		first := of(migrate.Email(), "email_sealed", "email_index")
		plan, err := first.Plan(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, len(written)+1, plan.Problems[migrate.Invalid])
		_, err = first.Backfill(t.Context(), nil)
		require.NoError(t, err)
		cut, err := first.CutOver(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, len(plain), cut.Changed)
		require.EqualValues(t, len(written)+1, w.count(t, "email IS NOT NULL"), "rows that stay in clear")

		second := of(migrate.KindOf[writtenEmail](), "email_written", "email_written_index")
		plan, err = second.Plan(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, plan, "row 100: email: invalid")
		w.exec(t, "UPDATE @table SET email = NULL WHERE id = ?", unknown) // people decide
		requireStep(t, second.Backfill, int64(len(written)))
		verify, err := second.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, verify.OK(), verify.String())
		requireStep(t, second.CutOver, int64(len(written)))
		require.Zero(t, w.count(t, "email IS NOT NULL"))
		require.EqualValues(t, len(plain), w.count(t, "email_sealed IS NOT NULL"))

		for i, address := range written {
			id := len(plain) + i + 1
			var sealed pii.Sealed[writtenEmail]
			var stored pii.Index
			require.NoError(t, w.db.QueryRow(w.query("SELECT email_written, email_written_index FROM @table WHERE id = ?"), id).Scan(&sealed, &stored))
			revealed, err := sealed.Reveal(t.Context(), w.security)
			require.NoError(t, err)
			require.Equal(t, address, revealed)
			index, err := pii.IndexOf[writtenEmail](t.Context(), address, w.security)
			require.NoError(t, err)
			require.True(t, index.Equal(stored))
			require.EqualValues(t, 1, w.count(t, "email_written_index = ?", index))
		}
	})
}
