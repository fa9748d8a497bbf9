package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/ent/ent"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/predicate"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/user"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func conditions(x pii.Index) map[string]predicate.User {
	return map[string]predicate.User{
		"EQ":     user.EmailIndex(x),
		"NEQ":    user.EmailIndexNEQ(x),
		"In":     user.EmailIndexIn(x),
		"NotIn":  user.EmailIndexNotIn(x),
		"Not":    user.Not(user.EmailIndex(x)),
		"And Or": user.Or(user.And(user.EmailIndex(x), user.ID(1)), user.ID(1<<40)),
	}
}

func TestPoisonedIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		client := open(t, db)
		require.NoError(t, client.User.Create().SetID(1).Exec(t.Context()))
		poisoned, err := pii.IndexEmail(t.Context(), "", nil)
		require.Error(t, err)
		for name, where := range conditions(poisoned) {
			_, err := client.User.Query().Where(where).All(t.Context())
			require.ErrorIs(t, err, pii.ErrPoisoned, name)
			_, err = client.User.Query().Where(where).Count(t.Context())
			require.ErrorIs(t, err, pii.ErrPoisoned, name)
			_, err = client.User.Update().Where(where).ClearEmail().Save(t.Context())
			require.ErrorIs(t, err, pii.ErrPoisoned, name)
			_, err = client.User.Delete().Where(where).Exec(t.Context())
			require.ErrorIs(t, err, pii.ErrPoisoned, name)
		}
		require.ErrorIs(t, client.User.Create().SetEmailIndex(poisoned).Exec(t.Context()), pii.ErrPoisoned)
		require.Equal(t, 1, client.User.Query().CountX(t.Context()))
	})
}

// The zero index is NULL, which is neither equal nor unequal to anything.
func TestZeroIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		client := open(t, db)
		require.NoError(t, client.User.Create().SetID(1).SetEmailIndex(indexOf(t, "AAAAAAAAAAAAAAAA")).Exec(t.Context()))
		require.NoError(t, client.User.Create().SetID(2).Exec(t.Context()))
		for name, where := range conditions(pii.Index{}) {
			require.Zero(t, client.User.Query().Where(where).CountX(t.Context()), name)
		}
		require.Equal(t, 1, client.User.Query().Where(user.EmailIndexIsNil()).CountX(t.Context()))
	})
}

// IsConstraintError tells a duplicate without its text, in which MySQL quotes the
// index.
func TestDuplicate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		client := open(t, db)
		x := indexOf(t, "AAAAAAAAAAAAAAAA")
		require.NoError(t, client.User.Create().SetEmailIndex(x).Exec(t.Context()))
		require.True(t, ent.IsConstraintError(client.User.Create().SetEmailIndex(x).Exec(t.Context())))
	})
}

// Migrating again finds nothing to change.
func TestMigrateTwice(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		client := open(t, db)
		var changes strings.Builder
		require.NoError(t, client.Schema.WriteTo(t.Context(), &changes))
		require.NotContains(t, changes.String(), "email")
	})
}

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}
