package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// Each role does its work through a vault, and the database refuses the work of another
// role although the key-encryption key allows it.
func TestGrantsPostgres(t *testing.T) { testGrantedVaults(t, databases[1]) }

func TestGrantsMySQL(t *testing.T) { testGrantedVaults(t, databases[2]) }

func testGrantedVaults(t *testing.T, d database) {
	ctx := t.Context()
	tab := d.table(t)
	roles := tab.grantRoles(t)
	local := vault.LocalKEK(filepath.Join(t.TempDir(), "kek"))
	ours := vault.KEKs{security: local, recovery: local, advertising: vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(true)})}
	as := func(store vault.Store, kek vault.KEK) *vault.Admin {
		v, err := vault.OpenAdmin(ctx, store, kek, &vault.Options{DestroyAfter: 1})
		require.NoError(t, err)
		t.Cleanup(func() { v.Close() })
		return v
	}

	// The owner makes the keys of ads, whose rows are in the table from then on.
	admin := as(roles["admin"].store, ours)
	require.ErrorIs(t, as(roles["opener"].store, ours).Generate(ctx, security), vault.ErrNoKeys)
	require.NoError(t, admin.Generate(ctx, security, recovery))
	require.NoError(t, as(tab.store(t), vault.SharedKEK(vaulttest.NewAEAD(t))).Generate(ctx, advertising))

	service := as(roles["opener"].store, ours)
	scope, err := service.Scope(ctx, security)
	require.NoError(t, err)
	require.NoError(t, service.CheckDenied(ctx, advertising), "it sees the rows that it must not open")
	email, err := pii.SealEmail(ctx, "alice@example.com", scope.For("u1"))
	require.NoError(t, err)
	_, err = email.Reveal(ctx, scope.For("u1"))
	require.NoError(t, err)
	require.NoError(t, service.Vault().Close())
	require.Contains(t, names(t, tab.store(t), "", ""), "security/seals")

	service = as(roles["opener"].store, ours)
	before := tab.content(t)
	require.ErrorIs(t, service.Rotate(ctx, security, vault.RoleSeal), vault.ErrNoKeys)
	if d.dialect == sqlstore.Postgres {
		_, err = service.Erase(ctx, "u1", security)
		require.ErrorIs(t, err, vault.ErrNoKeys)
	}
	auditor := as(roles["auditor"].store, ours)
	read, err := auditor.Scope(ctx, security)
	require.NoError(t, err)
	_, err = email.Reveal(ctx, read.For("u1"))
	require.NoError(t, err)
	_, err = pii.SealEmail(ctx, "alice@example.com", read.For("u2"))
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotEmpty(t, names(t, roles["auditor"].store, "", ""))
	require.Equal(t, before, tab.content(t))

	_, err = as(roles["eraser"].store, ours).Erase(ctx, "u1", security)
	require.NoError(t, err)
	scope, err = service.Scope(ctx, security)
	require.NoError(t, err)
	_, err = email.Reveal(ctx, scope.For("u1"))
	require.ErrorIs(t, err, vault.ErrErased)
	if d.dialect == sqlstore.Postgres {
		_, err = service.Erase(ctx, "u3", security)
		require.ErrorIs(t, err, vault.ErrNoKeys, "a hidden row is no conflict, which would be tried again without end")
	}

	keys, err := admin.Keys(ctx, security)
	require.NoError(t, err)
	old := keys[0].ID
	vaulttest.Rotate(t, admin, security, vault.RoleSeal)
	require.NoError(t, admin.RewrapSubjects(ctx, security, "", nil))
	require.NoError(t, admin.Retire(ctx, security, old))
	require.NoError(t, admin.Destroy(ctx, security, old))
	_, err = admin.Pin(ctx, security)
	require.NoError(t, err)
}

// The table is in a schema of its own.
func TestGrantsInSchema(t *testing.T) {
	tab := databases[1].table(t)
	schema := "s" + tab.name[len(tab.name)-16:]
	for _, statement := range []string{"CREATE SCHEMA " + schema, "ALTER TABLE " + tab.name + " SET SCHEMA " + schema} {
		_, err := tab.db.Exec(statement)
		require.NoError(t, err)
	}
	t.Cleanup(func() { tab.db.Exec("DROP SCHEMA " + schema + " CASCADE") })
	tab.name = schema + "." + tab.name
	r := sqlstore.Role{Account: "opener" + tab.name[len(tab.name)-16:], Opens: purpose.NewSet(security)}
	db := tab.account(t, r.Account)
	_, err := db.Exec("SELECT 1 FROM " + tab.name)
	require.True(t, isRefusal(err))
	tab.runGrants(t, r)
	_, err = tab.over(t, db).Put(t.Context(), vault.Record{Name: "security/seals", Data: []byte("x")})
	require.NoError(t, err)
}
