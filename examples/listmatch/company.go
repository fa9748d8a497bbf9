package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	forSecurity = purpose.MustParse("security")
	forAds      = purpose.MustParse("advertising")
)

// A company has the tables of its users, and the scopes of two purposes. A real company has
// a process for each scope.
type company struct {
	admin         *vault.Admin
	security, ads *vault.Scope
	db            *sql.DB
}

// The tables have the columns that are matched, and no others: blind indexes in one, and
// hashes in the other.
const schema = `
CREATE TABLE indexed (id INTEGER PRIMARY KEY, email BLOB NOT NULL) STRICT;
CREATE TABLE hashed  (id INTEGER PRIMARY KEY, email BLOB NOT NULL) STRICT;
`

// indexColumns makes the columns unique, after the rows were written.
const indexColumns = `
CREATE UNIQUE INDEX indexed_email ON indexed (email);
CREATE UNIQUE INDEX hashed_email  ON hashed (email);
`

func newCompany(ctx context.Context, dir string) (*company, error) {
	admin, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return nil, err
	}
	c := &company{admin: admin}
	if err := errors.Join(admin.Generate(ctx, forSecurity, forAds), c.open(ctx, dir)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *company) open(ctx context.Context, dir string) (err error) {
	if c.security, err = c.admin.Scope(ctx, forSecurity); err != nil {
		return err
	}
	if c.ads, err = c.admin.Scope(ctx, forAds); err != nil {
		return err
	}
	if c.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "users.db")+"?_pragma=cache_size(-200000)&_pragma=synchronous(off)"); err != nil {
		return err
	}
	c.db.SetMaxOpenConns(1) // whose cache holds the tables
	_, err = c.db.ExecContext(ctx, schema)
	return err
}

func (c *company) close() {
	if c.db != nil {
		c.db.Close()
	}
	c.admin.Close()
}

// A hash is the SHA-256 of an address by the recipe of ad platforms: no blanks, lower case.
type hash [sha256.Size]byte

func hashOf(_ context.Context, address string) (hash, error) {
	return sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(address)))), nil
}

// userAddress returns the address of user i.
func userAddress(i int) string { return fmt.Sprintf("user.%07d@mail.example.com", i) }

// entry returns entry i of the list. Every other entry is a user, typed in capitals, and
// one of 1,000 is no address.
func entry(i int) string {
	switch {
	case i%1_000 == 501:
		return "no address"
	case i%2 == 0:
		return strings.ToUpper(userAddress(i / 2))
	}
	return fmt.Sprintf("stranger.%07d@example.net", i)
}

// pageSize is the number of users or entries that are done at a time.
const pageSize = 8_192

// pages calls do for each page of the texts 0 to n-1.
func pages(n int, text func(int) string, do func(from int, page []string) error) error {
	for from := 0; from < n; from += pageSize {
		page := make([]string, min(pageSize, n-from))
		for i := range page {
			page[i] = text(from + i)
		}
		if err := do(from, page); err != nil {
			return err
		}
	}
	return nil
}

// sets are the users in memory.
type sets struct {
	ads, security pii.IndexSet
	hashes        map[hash]struct{}
}
