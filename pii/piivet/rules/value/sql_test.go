package value

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComparedPlaceholders(t *testing.T) {
	for rule, test := range map[string]struct {
		query string
		begin clause
		want  string // C or W for each placeholder, in the order of the query
	}{
		"a condition compares":                     {"SELECT id FROM users WHERE email = $1", other, "C"},
		"whatever the case":                        {"select id from users where email = ?", other, "C"},
		"a list is compared":                       {"SELECT 1 FROM u WHERE email IN (?, ?)", other, "CC"},
		"a function of the column is compared":     {"SELECT 1 FROM u WHERE lower(email) = lower($1)", other, "C"},
		"the other way round too":                  {"SELECT 1 FROM u WHERE $1 = email", other, "C"},
		"what is inserted is written":              {"INSERT INTO u (id, email) VALUES ($1, $2) RETURNING id", other, "WW"},
		"what is set is written":                   {"UPDATE u SET email = $1, phone = $2 WHERE id = $3", other, "WWC"},
		"several columns are set at once":          {"UPDATE u SET (email, phone) = ($1, $2) WHERE id = $3", other, "WWC"},
		"an upsert writes":                         {"INSERT INTO u VALUES ($1) ON CONFLICT (email) DO UPDATE SET email = $2", other, "WW"},
		"an upsert's condition compares":           {"INSERT INTO u VALUES ($1) ON CONFLICT (id) DO UPDATE SET email = $2 WHERE u.phone <> $3", other, "WWC"},
		"MariaDB's upsert writes":                  {"INSERT INTO u (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a), b = ?", other, "WW"},
		"compare-and-swap looks for what was read": {"UPDATE u SET email = ? WHERE id = ? AND email = ?", other, "WCW"},
		"another column's condition still counts":  {"UPDATE u SET phone = ? WHERE id = ? AND email = ?", other, "WCC"},
		"a join compares":                          {"SELECT 1 FROM u JOIN v ON v.email = ? WHERE u.id = ?", other, "CC"},
		"a sub-query compares":                     {"INSERT INTO v (a, b) VALUES (?, (SELECT id FROM u WHERE email = ?))", other, "WC"},
		"after a sub-query all is as before":       {"INSERT INTO v (a, b) VALUES ((SELECT id FROM u WHERE email = ?), ?)", other, "CW"},
		"an inserted select writes":                {"INSERT INTO u (email) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM u WHERE id = $2)", other, "WC"},
		"a select list can compare":                {"SELECT email = ? FROM u", other, "C"},
		"a select list need not":                   {"SELECT ?, id FROM u LIMIT ?", other, "WW"},
		"an assigned comparison compares":          {"UPDATE u SET same = (email = ?), email = ? WHERE id = 1", other, "CW"},
		"a case compares, then writes":             {"UPDATE u SET email = CASE WHEN id = ? THEN ? ELSE ? END, phone = ?", other, "CWWW"},
		"distinct from":                            {"SELECT 1 FROM u WHERE email IS NOT DISTINCT FROM $1", other, "C"},
		"any of an array":                          {"SELECT 1 FROM u WHERE email = ANY($1)", other, "C"},
		"deleting compares":                        {"DELETE FROM u WHERE email = @p1", other, "C"},
		"merging compares and writes":              {"MERGE INTO u USING v ON (u.email = ?) WHEN MATCHED THEN UPDATE SET email = ? WHEN NOT MATCHED THEN INSERT VALUES (?)", other, "CWW"},
		"a query before it":                        {"WITH x AS (SELECT id FROM u WHERE email = $1) UPDATE v SET email = $2 FROM x WHERE v.id = x.id", other, "CW"},
		"two statements":                           {"DELETE FROM u WHERE id = ?; INSERT INTO u VALUES (?)", other, "CW"},
		"part of a condition":                      {"email = ? OR phone = ?", cond, "CC"},
		"text and comments hold none":              {"SELECT '?', \"?\", `?` -- ?\n /* ? */ FROM u WHERE a = 'it''s ?' AND email = ?", other, "C"},
		"dollar quotes hold none":                  {"SELECT $$ $1 $$, $a$ ? $1 $a$ FROM u WHERE email = $1", other, "C"},
		"operators on JSON are none":               {"SELECT data ? 'a' FROM u WHERE data ? 'b' AND email = $1", other, "C"},
		"casts are none":                           {"INSERT INTO u VALUES ($1::text, $2 :: bytea)", other, "WW"},
		"HAVING compares":                          {"SELECT count(*) FROM u GROUP BY a HAVING max(email) = ?", other, "C"},
		"locking rows is no update":                {"SELECT 1 FROM u WHERE email = ? FOR UPDATE", other, "C"},
		"names":                                    {"UPDATE u SET email = :email WHERE id = :id", other, "WC"},
		"T-SQL's quotes":                           {"SELECT 1 FROM [u] WHERE [email] = @email", other, "C"},
		"no query":                                 {"hello", other, ""},
		"nothing":                                  {"", other, ""},
		"unclosed":                                 {"SELECT ((' ?", other, ""},
		"closed too often":                         {"SELECT 1)) WHERE a = ?", other, "C"},
		"ends too often":                           {"END END THEN ELSE ? WHERE a = ?", other, "WC"},
	} {
		t.Run(rule, func(t *testing.T) {
			found, complete := scanQuery(test.query, test.begin)
			require.True(t, complete)
			var got strings.Builder
			for _, p := range found {
				got.WriteByte("WC"[b2i(p.compared)])
			}
			require.Equal(t, test.want, got.String())
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestPlaceholderNumbers(t *testing.T) {
	for query, want := range map[string][]int{
		"a = ? AND b = ?":          {0, 1},
		"a = $2 AND b = $1":        {1, 0},
		"a = ?3 AND b = ?1":        {2, 0},
		"a = @p2 AND b = @p1":      {1, 0},
		"a = :name AND b = @other": {-1, -1},
	} {
		found, complete := scanQuery(query, cond)
		require.True(t, complete, query)
		var got []int
		for _, p := range found {
			got = append(got, p.n)
		}
		require.Equal(t, want, got, query)
	}
}

func TestUnknownPartsMakeOrderUncertain(t *testing.T) {
	_, complete := scanQuery("SELECT "+unknown+" FROM u WHERE a = ?", other)
	require.False(t, complete)
	_, complete = scanQuery("SELECT "+unknown+" FROM u WHERE a = $1", other)
	require.True(t, complete)
	_, complete = scanQuery("SELECT a FROM u WHERE a = ?"+unknown, other)
	require.True(t, complete)
}

// Queries come from the code that is checked, so none may stop the check.
func FuzzScanQuery(f *testing.F) {
	for _, seed := range []string{"SELECT a FROM b WHERE c = ?", "CASE WHEN ? END END )))", "$$ $a$ [x] @p0 ?0 $0 :", "'\\", unknown} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		found, _ := scanQuery(query, other)
		for _, p := range found {
			require.GreaterOrEqual(t, p.n, -1)
		}
	})
}
