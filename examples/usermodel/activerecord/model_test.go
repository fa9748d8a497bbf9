package activerecord

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var security = purpose.MustParse("security")

func newStore(t testing.TB) (*Store, *piitest.Kit) {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(schema)
	require.NoError(t, err)
	kit := piitest.New(t, security)
	return &Store{db, kit.Scope(security)}, kit
}

func TestRecord(t *testing.T) {
	ctx := t.Context()
	s, _ := newStore(t)
	u := s.New("u1")
	require.NoError(t, u.SetEmail(ctx, "Alice@Example.com"))
	require.NoError(t, u.SetPhone(ctx, ""))
	require.NoError(t, u.Save(ctx))

	for _, spelling := range []string{"alice@example.com", " ALICE@example.com "} {
		got, err := s.ByEmail(ctx, spelling)
		require.NoError(t, err)
		require.Equal(t, u, got, "a loaded record equals the saved one")
		hint, err := got.EmailHint(ctx)
		require.NoError(t, err)
		require.Equal(t, "A•••@e•••.com", hint)
		var sent string
		require.NoError(t, got.MailTo(ctx, func(address string) error { sent = address; return nil }))
		require.Equal(t, "Alice@example.com", sent)
	}
	for _, nobody := range []string{"bob@example.com", "", "' OR 1 --"} {
		_, err := s.ByEmail(ctx, nobody)
		require.ErrorIs(t, err, sql.ErrNoRows)
	}
	require.ErrorIs(t, u.SetEmail(ctx, "no address"), pii.ErrMalformed)
}

// A record that nobody bound says so. One without an id is refused as well.
func TestUnboundRecord(t *testing.T) {
	ctx := t.Context()
	var u User
	require.ErrorIs(t, u.SetEmail(ctx, "alice@example.com"), ErrUnbound)
	require.ErrorIs(t, u.SetPhone(ctx, "+14155552671"), ErrUnbound)
	require.ErrorIs(t, u.Save(ctx), ErrUnbound)
	require.ErrorIs(t, u.MailTo(ctx, func(string) error { return nil }), ErrUnbound)
	_, err := u.EmailHint(ctx)
	require.ErrorIs(t, err, ErrUnbound)
	s, _ := newStore(t)
	require.ErrorIs(t, s.New("").SetEmail(ctx, "alice@example.com"), vault.ErrInvalid)
	require.ErrorIs(t, s.New(fmt.Sprint(0)).SetEmail(ctx, "alice@example.com"), vault.ErrInvalid)
}

func TestSearch(t *testing.T) {
	ctx := t.Context()
	s, kit := newStore(t)
	for i := range 20 {
		u := s.New(fmt.Sprintf("u%02d", i))
		require.NoError(t, u.SetEmail(ctx, fmt.Sprintf("person-%d@example.com", i)))
		require.NoError(t, u.Save(ctx))
	}
	found, err := s.Search(ctx, "PERSON-1")
	require.NoError(t, err)
	require.Len(t, found, 11)
	_, err = kit.Vault.Erase(ctx, "u01", security)
	require.NoError(t, err)
	found, err = s.Search(ctx, "person-1")
	require.NoError(t, err)
	require.Len(t, found, 10)
}

// The boundary of this code: a contact that signs up comes out nowhere but in the mail.
func TestContactComesOutOfNowhere(t *testing.T) {
	piitest.NoLeak(t, func(c *piitest.Contact) {
		s, _ := newStore(t)
		ctx := t.Context()
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := s.New("u1")
			if err := u.SetEmail(r.Context(), r.FormValue("email")); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if err := u.Save(r.Context()); err != nil {
				http.Error(w, "try again", http.StatusInternalServerError)
				return
			}
			fmt.Fprintf(w, "%s %v", u.AccountName(), u)
		})
		request, err := http.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("email="+c.Address))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := &recorder{header: http.Header{}}
		handler.ServeHTTP(w, request)
		c.Search("answer", w.body.String())
		rows, err := s.db.Query("SELECT * FROM users")
		require.NoError(t, err)
		c.Rows("users", rows)
	})
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// BenchmarkSearch reads 10,000 rows, with and without revealing the address. Values have
// one key here: values of persons need the keys of as many persons.
func BenchmarkSearch(b *testing.B) {
	ctx := context.Background()
	s, _ := newStore(b)
	dir := b.TempDir() // the kit's auditor notes every caller, and production's does not
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	require.NoError(b, err)
	defer v.Close()
	require.NoError(b, v.Generate(ctx, security))
	s.security, err = v.Scope(ctx, security)
	require.NoError(b, err)
	for i := range 10_000 {
		e, x, err := pii.SealEmailIndexed(ctx, fmt.Sprintf("person-%d@example.com", i), s.security)
		require.NoError(b, err)
		_, err = s.db.Exec("INSERT INTO users (id, email, email_index) VALUES (?, ?, ?)", fmt.Sprint("u", i), e, x)
		require.NoError(b, err)
	}
	for name, reveal := range map[string]bool{"read": false, "read, reveal and filter": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rows, err := s.db.Query("SELECT email FROM users")
				require.NoError(b, err)
				for rows.Next() {
					var e pii.Email
					require.NoError(b, rows.Scan(&e))
					if reveal {
						address, err := e.Reveal(ctx, s.security)
						if err != nil || strings.Contains(address, "nobody") {
							b.Fatal("not revealed")
						}
					}
				}
				require.NoError(b, rows.Close())
			}
		})
	}
}
