package scenario

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

// contactStaysOut takes one person through all operations of the library, with success
// and with failure: a duplicate, plaintext in a column of sealed values, an index that
// can't be used. It looks for the person in the library's results, its errors, its
// most talkative log and the traces of pgx.
//
// It runs last, when the table has lost its CHECKs.
func (f *fixture) contactStaysOut(ctx context.Context) {
	piitest.NoLeakParallel(f.T, func(c *piitest.Contact) {
		logged, traced := len(f.db.Log.String()), len(f.db.Trace.String())
		search := func(name string) {
			c.Search(name+": log", f.db.Log.String()[logged:])
			c.Search(name+": trace", f.db.Trace.String()[traced:])
			logged, traced = len(f.db.Log.String()), len(f.db.Trace.String())
		}
		f.people++
		u := f.seal(person{c.Address, c.Address, c.Number})
		require.NoError(f, f.users.Insert(ctx, u))
		require.NoError(f, f.users.Update(ctx, u))
		f.same(u, f.get(u.ID))
		found, err := f.users.FindByIndex(ctx, u.EmailIndex)
		require.NoError(f, err)
		require.Len(f, found, 1)
		row, err := f.users.Row(ctx, u.ID)
		require.NoError(f, err)
		c.Search("row", row)
		var diff complaint
		require.False(f, assert.Equal(&diff, row, User{}))
		c.Search("diff", diff.text)
		search("success")

		f.people++
		again := f.seal(person{c.Address, c.Address, c.Number})
		err = f.users.Insert(ctx, again)
		require.Error(f, err, "a duplicate")
		c.Search("duplicate", err)
		f.people++
		bulk := []User{f.seal(f.person()), again}
		err = f.users.InsertAll(ctx, bulk)
		require.Error(f, err, "a duplicate in bulk")
		c.Search("duplicate in bulk", err)
		u.EmailIndex = f.poisoned()
		err = f.users.Update(ctx, u)
		f.stopped(err)
		c.Search("poisoned index", err)
		search("failure")

		// Somebody else's program wrote the plaintext.
		for column, text := range map[string]string{"email": c.Address, "phone": c.Number, "recovery": c.Address} {
			write := func(literal string) {
				_, err := f.db.ExecContext(ctx, fmt.Sprintf("UPDATE users SET %s = %s WHERE id = %d", column, literal, u.ID))
				require.NoError(f, err)
				traced = len(f.db.Trace.String()) // skips the statement, which is in the trace
			}
			write(quote(f.db.Dialect, text))
			_, err = f.users.Get(ctx, u.ID)
			require.Error(f, err, column)
			c.Search("loading "+column, err)
			_, err = f.users.Row(ctx, u.ID)
			require.Error(f, err, column)
			c.Search("loading a row's "+column, err)
			search("what is not sealed, in " + column)
			write("NULL")
		}
	})
}
