// Package clickhouse tests how clickhouse-go writes sealed values and indexes into
// statements and columns. Its server is a web server that keeps the statements.
package clickhouse

import (
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
)

var security = purpose.MustParse("security")

// A server answers the first question of the driver, and keeps all other statements.
type server struct{ statements []string }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !strings.Contains(string(query), "displayName()") {
		s.statements = append(s.statements, string(query))
		return
	}
	block := proto.NewBlock()
	for _, c := range []struct {
		name string
		kind column.Type
	}{{"displayName", "String"}, {"version", "String"}, {"revision", "UInt32"}, {"timezone", "String"}} {
		if err := block.AddColumn(c.name, c.kind); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	var b chproto.Buffer
	if err := block.Append("test", "25.8.1", uint32(54_460), "UTC"); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := block.Encode(&b, clickhouse.ClientTCPProtocolVersion); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(b.Buf)
}

func open(t *testing.T) (*sql.DB, *server) {
	t.Helper()
	var s server
	web := httptest.NewServer(&s)
	t.Cleanup(web.Close)
	db := clickhouse.OpenDB(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{web.Listener.Addr().String()}})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, &s
}

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}

// One argument for each placeholder: sealed text, and the bytes of an index.
func TestArguments(t *testing.T) {
	db, server := open(t)
	kit := piitest.New(t, security)
	email := kit.Email(kit.Scope(security))
	text, err := email.MarshalText()
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO users VALUES (?, ?, ?)", email, indexOf(t, "AAAAAAAAAAAAAAAA"), pii.Phone{})
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "SELECT 1 WHERE email_index IN (?, ?)", indexOf(t, "AAAAAAAAAAAAAAAA"), indexOf(t, "BBBBBBBBBBBBBBBB"))
	require.NoError(t, err)
	require.Equal(t, []string{
		"INSERT INTO users VALUES ('" + string(text) + "', 'AAAAAAAAAAAAAAAA', NULL)",
		"SELECT 1 WHERE email_index IN ('AAAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBB')",
	}, server.statements)

	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, err = db.ExecContext(t.Context(), "SELECT 1 WHERE email_index = ?", poisoned)
	require.ErrorIs(t, err, pii.ErrPoisoned)
	require.Len(t, server.statements, 2)
}

// A slice becomes an array of the labels of its elements, without quotes and without an
// error of the driver. The server refuses it, because no column has such a name. Write a
// placeholder for each index.
func TestSliceOfIndexesBecomesLabels(t *testing.T) {
	db, server := open(t)
	kit := piitest.New(t, security)
	email := kit.Email(kit.Scope(security))
	for _, slice := range []any{
		[]pii.Index{indexOf(t, "AAAAAAAAAAAAAAAA")}, []pii.Email{email}, clickhouse.ArraySet{email},
	} {
		_, err := db.ExecContext(t.Context(), "SELECT 1 WHERE has(?, email_index)", slice)
		require.NoError(t, err)
	}
	require.Equal(t, []string{
		"SELECT 1 WHERE has([pii.Index], email_index)",
		"SELECT 1 WHERE has([pii.Email(security)], email_index)",
		"SELECT 1 WHERE has([pii.Email(security)], email_index)",
	}, server.statements)
}

// Columns of a batch take sealed values and indexes, also in arrays. An index goes into a
// String, whose bytes need no encoding, and not into a FixedString(16), for which the driver
// asks a value for its binary form.
func TestColumns(t *testing.T) {
	kit := piitest.New(t, security)
	email, index := kit.Email(kit.Scope(security)), indexOf(t, "\xff\x00AAAAAAAAAAAAAA")
	text, err := email.MarshalText()
	require.NoError(t, err)
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	for name, test := range map[string]struct {
		kind     column.Type
		in, want any
	}{
		"email":              {"String", email, string(text)},
		"no email":           {"Nullable(String)", pii.Email{}, nil},
		"no email, not NULL": {"String", pii.Email{}, ""},
		"index":              {"String", index, "\xff\x00AAAAAAAAAAAAAA"},
		"several emails":     {"Array(String)", []pii.Email{email}, []string{string(text)}},
		"several indexes":    {"Array(String)", []pii.Index{index}, []string{"\xff\x00AAAAAAAAAAAAAA"}},
	} {
		c, err := test.kind.Column("c", &column.ServerContext{Timezone: time.UTC})
		require.NoError(t, err, name)
		require.NoError(t, c.AppendRow(test.in), name)
		require.Equal(t, test.want, c.Row(0, false), name)
	}
	for name, test := range map[string]struct {
		kind column.Type
		in   any
	}{
		"poisoned index":                {"String", poisoned},
		"poisoned index among others":   {"Array(String)", []pii.Index{index, poisoned}},
		"index in a column of its size": {"FixedString(16)", index},
	} {
		c, err := test.kind.Column("c", &column.ServerContext{Timezone: time.UTC})
		require.NoError(t, err, name)
		err = c.AppendRow(test.in)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "AAAA", name)
	}
}
