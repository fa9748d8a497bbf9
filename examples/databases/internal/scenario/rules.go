package scenario

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func (f *fixture) saveAndLoad(ctx context.Context) {
	u, p := f.insert()
	other, _ := f.insert()
	got := f.get(u.ID)
	f.same(u, got)
	f.same(other, f.get(other.ID)) // the first row's bytes must not have run into it

	address, err := got.Email.Reveal(ctx, f.security)
	require.NoError(f, err)
	require.Equal(f, p.address, address)
	number, err := got.Phone.Reveal(ctx, f.security)
	require.NoError(f, err)
	require.Equal(f, p.number, number)
	recovery, err := got.Recovery.V.Reveal(ctx, f.security)
	require.NoError(f, err)
	require.Equal(f, p.recovery, recovery)
	_, err = got.Email.Reveal(ctx, f.advertising)
	f.refused(err)
}

func (f *fixture) nulls(ctx context.Context) {
	for name, u := range map[string]User{
		"zero values":                {},
		"a pointer to a zero value":  {Phone: &pii.Phone{}},
		"a valid Null of zero value": {Recovery: sql.Null[pii.Email]{Valid: true}},
	} {
		f.people++
		u.ID = int64(f.people)
		require.NoError(f, f.users.Insert(ctx, u), "%s: NULL is not a duplicate of NULL", name)
		var nulls int
		require.NoError(f, f.db.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM users WHERE id = %d AND
			email IS NULL AND email_index IS NULL AND phone IS NULL AND recovery IS NULL`, u.ID)).Scan(&nulls))
		require.Equal(f, 1, nulls, name)
		f.same(User{ID: u.ID}, f.get(u.ID))
	}
}

func (f *fixture) lookUp(ctx context.Context) {
	u, p := f.insert()
	found, err := f.users.FindByIndex(ctx, f.index("  q"+p.address[1:], f.security)) // as typed at sign-in
	require.NoError(f, err)
	require.Len(f, found, 1)
	f.same(u, found[0])

	for name, x := range map[string]pii.Index{
		"somebody else":   f.index("somebody@example.com", f.security),
		"another purpose": f.index(p.address, f.advertising),
		"the zero index":  {}, // does not find the rows without an index
	} {
		found, err := f.users.FindByIndex(ctx, x)
		require.NoError(f, err, name)
		require.Empty(f, found, name)
	}
	found, err = f.users.FindByIndex(ctx, f.poisoned())
	f.stopped(err)
	require.Empty(f, found)
	found, err = f.users.FindByIndexes(ctx, []pii.Index{f.poisoned()})
	f.stopped(err)
	require.Empty(f, found)
	found, _ = f.users.FindByIndexes(ctx, nil)
	require.Empty(f, found, "of no indexes")
	u.EmailIndex = f.poisoned()
	f.stopped(f.users.Update(ctx, u))
	u.ID = 1 << 40
	f.stopped(f.users.Insert(ctx, u))
}

func (f *fixture) lookUpRotated(ctx context.Context) {
	before, old := f.insert()
	f.kit.Rotate(forSecurity, vault.RoleIndex)
	after, fresh := f.insert()
	for _, c := range []struct {
		user    User
		address string
	}{{before, old.address}, {after, fresh.address}} {
		indexes, err := pii.IndexesEmail(ctx, c.address, f.security)
		require.NoError(f, err)
		require.Len(f, indexes, 2)
		found, err := f.users.FindByIndexes(ctx, indexes)
		require.NoError(f, err)
		require.Len(f, found, 1)
		f.same(c.user, found[0])
	}
	both, err := f.users.FindByIndexes(ctx, []pii.Index{before.EmailIndex, {}, after.EmailIndex})
	require.NoError(f, err)
	require.Len(f, both, 2, "a zero index among others finds nobody")
}

func (f *fixture) update(ctx context.Context) {
	u, old := f.insert()
	changed := f.seal(f.person())
	changed.ID, changed.Phone, changed.Recovery = u.ID, nil, sql.Null[pii.Email]{}
	require.NoError(f, f.users.Update(ctx, changed))
	f.same(changed, f.get(u.ID))
	found, err := f.users.FindByIndex(ctx, f.index(old.address, f.security))
	require.NoError(f, err)
	require.Empty(f, found)
	found, err = f.users.FindByIndex(ctx, changed.EmailIndex)
	require.NoError(f, err)
	require.Len(f, found, 1)
}

func (f *fixture) unique(ctx context.Context) {
	u, _ := f.insert()
	again := f.seal(f.person())
	again.EmailIndex = u.EmailIndex
	err := f.users.Insert(ctx, again)
	f.refused(err)
	require.Regexp(f, "(?i)unique|duplicate", err.Error())
	// MariaDB and MySQL quote the entry, and so bytes of the index.
	if f.db.Dialect != testdb.MySQL {
		require.False(f, showsIndex(err.Error(), u.EmailIndex), err.Error())
	}
}

func (f *fixture) bulk(ctx context.Context) {
	users := make([]User, 50)
	for i := range users {
		users[i] = f.seal(f.person())
		if i%2 == 1 {
			users[i].Phone, users[i].Recovery = nil, sql.Null[pii.Email]{}
		}
	}
	require.NoError(f, f.users.InsertAll(ctx, users))
	for _, u := range users {
		f.same(u, f.get(u.ID))
	}
	// A user that can't be written makes the whole bulk fail.
	last := []User{f.seal(f.person()), f.seal(f.person())}
	last[1].EmailIndex = f.poisoned()
	f.stopped(f.users.InsertAll(ctx, last))
	found, err := f.users.FindByIndex(ctx, last[0].EmailIndex)
	require.NoError(f, err)
	require.Empty(f, found)
}

// Two seals of one address differ, so a seal is no search term.
func (f *fixture) sealedArgument(ctx context.Context) {
	u, p := f.insert()
	again, err := pii.SealEmail(ctx, p.address, f.security)
	require.NoError(f, err)
	found, err := f.users.FindByEmail(ctx, again)
	require.NoError(f, err)
	require.Empty(f, found)
	found, err = f.users.FindByEmail(ctx, u.Email) // finds the identical text
	require.NoError(f, err)
	require.Len(f, found, 1)
}

func (f *fixture) check(ctx context.Context) {
	u, _ := f.insert()
	number, err := u.Phone.MarshalText()
	require.NoError(f, err)
	for name, text := range map[string]string{
		"plaintext":         "plain@example.com",
		"a sealed phone":    string(number),
		"a label":           u.Email.GoString(),
		"empty":             "",
		"bytes as \\x text": fmt.Sprintf("\\x%x", number),
	} {
		_, err := f.db.ExecContext(ctx, fmt.Sprintf("UPDATE users SET email = %s WHERE id = %d", quote(f.db.Dialect, text), u.ID))
		require.ErrorContains(f, err, "email", name) // in the constraint's name or condition
		require.Regexp(f, "(?i)check|constraint", err.Error(), name)
		require.NotContains(f, err.Error(), "plain@", name)
		f.same(u, f.get(u.ID))
	}
}

func quote(d testdb.Dialect, text string) string {
	if d == testdb.MySQL { // its text has \ as an escape
		return fmt.Sprintf("x'%x'", text)
	}
	return "'" + text + "'"
}

// complaint keeps the text of a failure.
type complaint struct{ text string }

func (c *complaint) Errorf(format string, args ...any) { c.text += fmt.Sprintf(format, args...) }

func (f *fixture) printed(ctx context.Context) {
	u, _ := f.insert()
	other, _ := f.insert()
	a, err := f.users.Row(ctx, u.ID)
	require.NoError(f, err)
	b, err := f.users.Row(ctx, other.ID)
	require.NoError(f, err)
	var diff complaint
	require.False(f, assert.Equal(&diff, a, b))
	require.Contains(f, diff.text, "Diff:")
	for _, text := range []string{diff.text, fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%#v", a), fmt.Sprintf("%s", a)} {
		f.noPlaintext(text)
		require.False(f, showsIndex(text, u.EmailIndex), text)
	}
	require.Contains(f, fmt.Sprintf("%+v", a), "pii.Email(security)")
}

func (f *fixture) nothingLeaked(ctx context.Context) {
	u, _ := f.insert()
	_, err := f.users.FindByIndex(ctx, u.EmailIndex)
	require.NoError(f, err)
	dump := f.db.Dump(f)
	require.Contains(f, dump, "pii1.email.security.", "nothing was looked at")
	require.True(f, showsIndex(dump, u.EmailIndex))
	f.noPlaintext(dump)
	f.noPlaintext(f.db.Trace.String())
	log := f.db.Log.String()
	f.noPlaintext(log)
	require.Equal(f, f.known.Logs >= Statements, strings.Contains(log, "users"), "of what was run")
	if f.known.Logs < Indexes {
		require.False(f, showsIndex(log, u.EmailIndex))
	}
}

// foreign loads the contents of columns that were in production before: plaintext,
// another kind, an index that was stored as text.
func (f *fixture) foreign(ctx context.Context) {
	u, p := f.insert()
	number, err := u.Phone.MarshalText()
	require.NoError(f, err)
	f.db.DropChecks(f)
	for column, texts := range map[string][]string{
		"email":       {p.address, string(number)},
		"recovery":    {p.recovery},
		"phone":       {p.number},
		"email_index": {p.address[:11], p.address, "\\x00112233445566778899aabbccddeeff"},
	} {
		for _, text := range texts {
			u, _ := f.insert()
			_, err := f.db.ExecContext(ctx, fmt.Sprintf("UPDATE users SET %s = %s WHERE id = %d",
				column, f.literal(column, text), u.ID))
			if err != nil {
				require.True(f, column == "email_index" && len(text) > 16) // varbinary(16) is too short
				f.noPlaintext(err.Error())
				continue
			}
			_, err = f.users.Get(ctx, u.ID)
			f.refused(err)
			require.ErrorIs(f, err, vault.ErrCorrupt)
			_, err = f.db.ExecContext(ctx, fmt.Sprintf("DELETE FROM users WHERE id = %d", u.ID))
			require.NoError(f, err)
		}
	}
}

func (f *fixture) literal(column, text string) string {
	switch {
	case column != "email_index":
		return quote(f.db.Dialect, text)
	case f.db.Dialect == testdb.Postgres:
		return fmt.Sprintf("'\\x%x'", text)
	}
	return fmt.Sprintf("x'%x'", text)
}
