package sqlstore_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// The grants that README.md shows, tried out.

func TestGrantsPostgres(t *testing.T) {
	tab := databases[1].table(t)
	role := tab.name + "_security"
	reader := tab.name + "_advertising"
	for _, r := range []string{role, reader} {
		if _, err := tab.db.Exec("CREATE ROLE " + r); err != nil {
			t.Skip("roles may not be made here")
		}
		t.Cleanup(func() { tab.db.Exec("DROP OWNED BY " + r); tab.db.Exec("DROP ROLE " + r) })
	}
	for statement := range strings.SplitSeq(strings.NewReplacer("security_service", role, "advertising_service", reader, "onlyfor_keys", tab.name).Replace(documentedPolicies(t)), ";\n") {
		_, err := tab.db.Exec(statement)
		require.NoError(t, err, statement)
	}
	as := func(role string) *sqlstore.Store {
		d := tab.database
		d.options = "role=" + role
		db, err := sql.Open(d.driver, d.source(t))
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		return tab.over(t, db)
	}
	checkPolicies(t, tab.store(t), as(role), as(reader))
}

// documentedPolicies returns the statements of README.md.
func documentedPolicies(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(readme), "```sql\nALTER TABLE onlyfor_keys ENABLE ROW LEVEL SECURITY;\n")
	require.True(t, found)
	statements, _, found := strings.Cut(after, ";\n```")
	require.True(t, found)
	return "ALTER TABLE onlyfor_keys ENABLE ROW LEVEL SECURITY;\n" + statements
}

// checkPolicies is given the owner's store and the stores of two services, which read all
// rows and write those of their own purpose. A vault over each works, and one that tries
// the other purpose has a proof.
func checkPolicies(t *testing.T, owner, security, advertising *sqlstore.Store) {
	ctx := t.Context()
	_, err := owner.Put(ctx, vault.Record{Name: "0-vault", Data: []byte("id")})
	require.NoError(t, err)
	revision, err := owner.Put(ctx, vault.Record{Name: "advertising/keys", Data: []byte("ads")})
	require.NoError(t, err)
	own, err := security.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("one")})
	require.NoError(t, err)
	_, err = security.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("two"), Revision: own})
	require.NoError(t, err)

	for name, store := range map[string]*sqlstore.Store{"security": security, "advertising": advertising} {
		require.Subset(t, names(t, store, "", ""), []string{"0-vault", "advertising/keys", "security/keys"}, name)
		_, err = store.Put(ctx, vault.Record{Name: name + "/subjects/a", Data: []byte("x")})
		require.NoError(t, err, name)
		for _, other := range []string{"billing/keys", "0-vault2", "security-archive/keys"} {
			_, err = store.Put(ctx, vault.Record{Name: other, Data: []byte("x")})
			require.ErrorIs(t, err, vault.ErrNoKeys, name)
		}
	}
	records, err := security.Get(ctx, "0-vault", "advertising/keys")
	require.NoError(t, err)
	for _, r := range records {
		r.Data = []byte("x")
		_, err = security.Put(ctx, r)
		require.ErrorIs(t, err, vault.ErrConflict, "a row of another purpose is not there to be updated")
	}
	records, err = owner.Get(ctx, "advertising/keys")
	require.NoError(t, err)
	require.Equal(t, []vault.Record{{Name: "advertising/keys", Data: []byte("ads"), Revision: revision}}, records)
}

func TestGrantsMySQL(t *testing.T) {
	tab := databases[2].table(t)
	var schema string
	require.NoError(t, tab.db.QueryRow("SELECT DATABASE()").Scan(&schema))
	views := map[string]*sqlstore.Store{}
	for _, p := range []string{"security", "advertising"} {
		user, view := "of_"+p[:3]+tab.name[len(tab.name)-16:], tab.name+"_"+p
		if _, err := tab.db.Exec("CREATE USER " + user + " IDENTIFIED BY 'only-4-tests'"); err != nil {
			t.Skip("users may not be made here")
		}
		t.Cleanup(func() { tab.db.Exec("DROP USER " + user); tab.db.Exec("DROP VIEW " + view) })
		rights := "SELECT, INSERT, UPDATE"
		if p == "advertising" {
			rights = "SELECT"
		}
		for _, statement := range []string{
			fmt.Sprintf("CREATE SQL SECURITY DEFINER VIEW %s AS SELECT name, revision, data FROM %s WHERE name LIKE '%s/%%' WITH CHECK OPTION", view, tab.name, p),
			fmt.Sprintf("GRANT %s ON %s TO %s", rights, view, user),
		} {
			_, err := tab.db.Exec(statement)
			require.NoError(t, err)
		}
		_, address, _ := strings.Cut(tab.from, "@")
		db, err := sql.Open(tab.driver, user+":only-4-tests@"+address)
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		store, err := sqlstore.New(db, sqlstore.MySQL, &sqlstore.Options{Table: view})
		require.NoError(t, err)
		views[p] = store

		direct := tab.over(t, db)
		_, err = direct.Get(t.Context(), "security/keys")
		require.ErrorIs(t, err, vault.ErrNoKeys, "past the view")
	}
	checkGrants(t, tab.store(t), views["security"], views["advertising"])
}

// checkGrants is given the owner's store, one that may change the rows of
// security, and one that may read those of advertising.
func checkGrants(t *testing.T, owner, security, advertising *sqlstore.Store) {
	ctx := t.Context()
	revision, err := owner.Put(ctx, vault.Record{Name: "advertising/keys", Data: []byte("ads")})
	require.NoError(t, err)

	own, err := security.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("one")})
	require.NoError(t, err)
	own, err = security.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("two"), Revision: own})
	require.NoError(t, err)
	_, err = security.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("two")})
	require.ErrorIs(t, err, vault.ErrConflict)
	records, err := security.Get(ctx, "security/keys", "advertising/keys")
	require.NoError(t, err)
	require.Equal(t, []vault.Record{{Name: "security/keys", Data: []byte("two"), Revision: own}}, records)
	require.Equal(t, []string{"security/keys"}, names(t, security, "", ""))
	_, err = security.Put(ctx, vault.Record{Name: "billing/keys", Data: []byte("x")})
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = security.Put(ctx, vault.Record{Name: "advertising/keys", Data: []byte("x")})
	require.Error(t, err)
	_, err = security.Put(ctx, vault.Record{Name: "advertising/keys", Data: []byte("x"), Revision: revision})
	require.ErrorIs(t, err, vault.ErrConflict)

	require.Equal(t, []string{"advertising/keys"}, names(t, advertising, "", ""))
	_, err = advertising.Put(ctx, vault.Record{Name: "advertising/keys", Data: []byte("x"), Revision: revision})
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = advertising.Put(ctx, vault.Record{Name: "advertising/new", Data: []byte("x")})
	require.ErrorIs(t, err, vault.ErrNoKeys)

	require.Equal(t, []string{"advertising/keys", "security/keys"}, names(t, owner, "", ""))
	records, err = owner.Get(ctx, "advertising/keys")
	require.NoError(t, err)
	require.Equal(t, "ads", string(records[0].Data))
}
