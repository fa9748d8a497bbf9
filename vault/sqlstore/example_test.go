package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

func Example() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)

	db, err := sql.Open("sqlite", "file:"+filepath.Join(home, "keys.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.CreateTable(ctx); err != nil {
		log.Fatal(err)
	}

	v, err := vault.OpenAdmin(ctx, store, vault.LocalKEK(filepath.Join(home, "kek")), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	security := purpose.MustParse("security")
	if err := v.Generate(ctx, security); err != nil {
		log.Fatal(err)
	}
	scope, err := v.Scope(ctx, security)
	if err != nil {
		log.Fatal(err)
	}
	phone, err := pii.SealPhone(ctx, "+1 415 555 2671", scope)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(phone)

	for name, err := range store.List(ctx, "", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
	// Output:
	// pii.Phone(security)
	// 0-vault
	// security/keys
}

func ExampleGrants() {
	statements, err := sqlstore.Grants(sqlstore.MySQL, "", sqlstore.Role{
		Account: "security_service@10.0.%",
		Opens:   purpose.NewSet(purpose.MustParse("security")),
		View:    "security_keys",
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, statement := range statements {
		fmt.Println(statement + ";")
	}
	// Output:
	// GRANT SELECT ON `onlyfor_keys` TO `security_service`@`10.0.%`;
	// CREATE OR REPLACE SQL SECURITY DEFINER VIEW `security_keys` AS
	// 	SELECT name, revision, data FROM `onlyfor_keys`
	// 	WHERE name LIKE 'security/subjects/%' OR name = 'security/seals'
	// 	WITH CASCADED CHECK OPTION;
	// GRANT SELECT, INSERT, UPDATE ON `security_keys` TO `security_service`@`10.0.%`;
}

func ExampleStore_Put() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(home, "keys.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite, &sqlstore.Options{Table: "keys"})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.CreateTable(ctx); err != nil {
		log.Fatal(err)
	}

	first, err := store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("wrapped")})
	fmt.Println("made:", err)
	_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("another's")})
	fmt.Println("made again:", err)
	_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("rotated"), Revision: first})
	fmt.Println("replaced:", err)
	_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("late"), Revision: first})
	fmt.Println("replaced, as it was at first:", err)
	// Output:
	// made: <nil>
	// made again: key store in SQLite table keys: record security/keys: changed by another process
	// replaced: <nil>
	// replaced, as it was at first: key store in SQLite table keys: record security/keys: changed by another process
}
