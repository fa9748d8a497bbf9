package dbtest_test

import (
	"database/sql"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// hostile are the objects of a schema that comes before pg_catalog in the search path. Each has
// the name of an object of PostgreSQL that statements use, and fails or answers nonsense.
var hostile = []string{
	"FUNCTION @.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS @raise",
	"FUNCTION @.convert_from(bytea, name) RETURNS pg_catalog.text LANGUAGE plpgsql AS @raise",
	"FUNCTION @.substring(bytea, int, int) RETURNS bytea LANGUAGE plpgsql AS @raise",
	"FUNCTION @.pg_client_encoding() RETURNS name LANGUAGE plpgsql AS @raise",
	"FUNCTION @.octet_length(pg_catalog.text) RETURNS int LANGUAGE plpgsql AS @raise",
	"FUNCTION @.octet_length(bytea) RETURNS int LANGUAGE plpgsql AS @raise",
	"FUNCTION @.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS @raise",
	"FUNCTION @.quote_ident(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS @raise",
	"FUNCTION @.quote_ident(name) RETURNS pg_catalog.text LANGUAGE plpgsql AS @raise",
	"FUNCTION @.to_regclass(pg_catalog.text) RETURNS regclass LANGUAGE plpgsql AS @raise",
	"FUNCTION @.pg_get_expr(pg_node_tree, oid) RETURNS pg_catalog.text LANGUAGE plpgsql AS @raise",
	"AGGREGATE @.count(*) (SFUNC = pg_catalog.int8inc, STYPE = bigint, INITCOND = '1000')",
	"AGGREGATE @.sum(int) (SFUNC = pg_catalog.int4_sum, STYPE = bigint, INITCOND = '1000')",
	"FUNCTION @.never(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS @raise",
	"FUNCTION @.never(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS @raise",
	"FUNCTION @.never(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS @raise",
	"OPERATOR @.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = @.never)",
	"OPERATOR @.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = @.never)",
	"OPERATOR @.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = @.never)",
	"OPERATOR @.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = @.never)",
	"OPERATOR @.<> (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = @.never)",
	"DOMAIN @.text AS pg_catalog.text CHECK (VALUE IS NULL)",
	"DOMAIN @.bytea AS pg_catalog.bytea CHECK (VALUE IS NULL)",
	"TABLE @.pg_class (oid oid, relname name, relnamespace oid, relkind \"char\", relispartition boolean)",
	"TABLE @.pg_attribute (attname name)",
	"TABLE @.pg_type (oid oid)",
	"TABLE @.pg_namespace (oid oid)",
	"TABLE @.pg_attrdef (adrelid oid)",
}

// No operation calls a function, or uses an operator on keys, texts and bytes, a type or a
// table of the catalogue, that a schema has in the place of PostgreSQL's own.
func TestHostileSearchPath(t *testing.T) {
	d := databases[1]
	d.source(t)
	words := []string{ // that are followed by a parenthesis, and are no functions
		"COALESCE", "extract", "ANY", "IN", "NOT", "AND", "OR", "FROM", "WHEN", "WHERE", "OPERATOR", "ON", "THEN", "ELSE", "AS", "SELECT",
	}
	call := regexp.MustCompile(`([A-Za-z_."]+) ?\(`)
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		t.Run(name, func(t *testing.T) {
			const rows = 5
			w := newWorld(t, d)
			p := peopleFor(t, w, name, keyOf, rows, 0)
			schema := w.name + "_h"
			w.exec(t, "CREATE SCHEMA "+schema)
			t.Cleanup(func() { w.exec(t, "DROP SCHEMA "+schema+" CASCADE") })
			for _, object := range hostile {
				w.exec(t, "CREATE "+strings.NewReplacer("@raise", "'BEGIN RAISE EXCEPTION ''taken over''; END'", "@.", schema+".").Replace(object))
			}
			u, err := url.Parse(w.from)
			require.NoError(t, err)
			values := u.Query()
			values.Set("search_path", schema+",pg_catalog,public")
			u.RawQuery = values.Encode()
			own := *w.users
			own.from = u.String()
			db, record := own.recorded(t)
			m, err := migrate.New(t.Context(), db, p.dialect, p.table)
			require.NoError(t, err)
			o := operations[name](m)
			report, err := o.run(t.Context(), &migrate.Options{Batch: 2, Progress: func(p migrate.Progress) {
				require.LessOrEqual(t, p.Total, int64(rows), "another count")
			}})
			require.NoError(t, err)
			if o.column != "" {
				require.True(t, report.OK(), report.String())
				require.EqualValues(t, rows, report.Changed)
				for i, id := range p.ids {
					o.done(t, w, i, id, p.was[i])
				}
			}
			require.NotEmpty(t, record.all)
			for _, statement := range record.all {
				for _, found := range call.FindAllStringSubmatch(statement, -1) {
					function := found[1]
					if !slices.Contains(words, function) && !strings.HasPrefix(function, "pg_catalog.") && !strings.HasPrefix(function, "onlyfor_set") {
						require.Fail(t, "a call of "+function+", which has no schema", statement)
					}
				}
			}
			// The schema is hostile: a function without its schema is another one.
			var n sql.NullInt64
			require.ErrorContains(t, db.QueryRow("SELECT octet_length('x'::pg_catalog.text)").Scan(&n), "taken over")
		})
	}
}
