package sqlstore_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// eraseHalf makes keys for people and erases half of them. It returns the records of the
// erased people as they were before.
func eraseHalf(t *testing.T, store vault.Store) (records [][]byte) {
	t.Helper()
	ctx := t.Context()
	v, err := vault.OpenAdmin(ctx, store, vault.LocalKEK(filepath.Join(t.TempDir(), "kek")), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, crashPurpose))
	s, err := v.Scope(ctx, crashPurpose)
	require.NoError(t, err)
	const people = 60
	subject := func(i int) string { return fmt.Sprint("person-", i) }
	for i := range people {
		_, err := vault.Seal(ctx, crashKind, "text", s.For(subject(i)))
		require.NoError(t, err)
	}
	for i := 0; i < people; i += 2 {
		name, err := s.Pseudonym(ctx, subject(i))
		require.NoError(t, err)
		found, err := store.Get(ctx, crashPurpose.String()+"/subjects/"+name[:2]+"/"+name)
		require.NoError(t, err)
		require.Len(t, found, 1)
		records = append(records, found[0].Data)
	}
	for i := 0; i < people; i += 2 {
		_, err := v.Erase(ctx, subject(i), crashPurpose)
		require.NoError(t, err)
	}
	return records
}

// foundIn returns the number of records that are in the files below dir. wanted selects
// files by their path.
func foundIn(t *testing.T, dir string, records [][]byte, wanted func(path string) bool) int {
	t.Helper()
	found := make([]bool, len(records))
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !wanted(path) {
			return nil // a file that the server has removed
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for i, record := range records {
			found[i] = found[i] || bytes.Contains(content, record)
		}
		return nil
	}))
	require.Positive(t, files)
	n := 0
	for _, is := range found {
		if is {
			n++
		}
	}
	return n
}

func anyFile(string) bool { return true }

// The record of an erased person is in no file of a SQLite database, while the database is
// open and when it is closed. A journal that is kept (PERSIST) is the exception.
func TestNoErasedRecordIsLeftInSQLite(t *testing.T) {
	for _, options := range []string{
		"?_pragma=busy_timeout(5000)", "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)",
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=secure_delete(ON)",
		"?_pragma=journal_mode(TRUNCATE)",
	} {
		t.Run(options, func(t *testing.T) {
			dir := t.TempDir()
			db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "keys.db")+options)
			require.NoError(t, err)
			defer db.Close()
			store, err := sqlstore.New(db, sqlstore.SQLite, nil)
			require.NoError(t, err)
			require.NoError(t, store.CreateTable(t.Context()))
			records := eraseHalf(t, store)
			require.Zero(t, foundIn(t, dir, records, anyFile), "while the database is open")
			require.NoError(t, db.Close())
			require.Zero(t, foundIn(t, dir, records, anyFile), "after it was closed")
		})
	}
}

// On PostgreSQL, the table has no erased record any more after VACUUM. The write-ahead log
// has it until the server reuses the segment.
func TestNoErasedRecordIsLeftInPostgres(t *testing.T) {
	tab := databases[1].table(t)
	var dir string
	if err := tab.db.QueryRow("SHOW data_directory").Scan(&dir); err != nil {
		t.Skip("the server does not tell its directory")
	}
	if _, err := os.ReadDir(filepath.Join(dir, "base")); err != nil {
		t.Skip("the files of the server can't be read here")
	}
	records := eraseHalf(t, tab.store(t))
	inLog := func(path string) bool { return strings.Contains(path, "pg_wal") }
	// VACUUM passes over what a query of another session may still see, such as one of the
	// server's own for its statistics, and over a page that is just being written. The
	// next one does not.
	left := len(records)
	for end := time.Now().Add(time.Minute); left > 0 && time.Now().Before(end); {
		for _, statement := range []string{"VACUUM " + tab.name, "CHECKPOINT"} {
			_, err := tab.db.Exec(statement)
			require.NoError(t, err)
		}
		left = foundIn(t, dir, records, func(path string) bool { return !inLog(path) })
	}
	require.Zero(t, left, "in the table")
	t.Logf("of %d erased records, %d are in the write-ahead log", len(records), foundIn(t, dir, records, inLog))
}

// On MariaDB, an update overwrites the row. Redo and undo logs are read for the measure.
func TestNoErasedRecordIsLeftInMySQL(t *testing.T) {
	tab := databases[2].table(t)
	var dir, schema string
	require.NoError(t, tab.db.QueryRow("SELECT @@datadir, DATABASE()").Scan(&dir, &schema))
	if _, err := os.ReadDir(dir); err != nil {
		t.Skip("the files of the server can't be read here")
	}
	records := eraseHalf(t, tab.store(t))
	_, err := tab.db.Exec("FLUSH TABLES " + tab.name + " FOR EXPORT") // writes its pages
	require.NoError(t, err)
	require.Zero(t, foundIn(t, dir, records, func(path string) bool {
		return strings.Contains(filepath.Base(path), tab.name)
	}), "in the table")
	t.Logf("of %d erased records, %d are in all files", len(records), foundIn(t, dir, records, anyFile))
}
