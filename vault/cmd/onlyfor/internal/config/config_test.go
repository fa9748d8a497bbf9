package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

const secret = "hunter2-canary"

const good = `
purposes = ["security", "advertising"]
run_as = "ops"
destroy_after = "60d"
store.database = "app"
kek.service = "hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}"
kek.of.advertising.local = "/etc/onlyfor/ads"
[[database]]
name = "app"
kind = "postgres"
variable = "APP_DSN"
[[role]]
name = "ops"
manages = ["security", "advertising"]
[[table]]
database = "app"
name = "app.users"
key = "id"
[[table.column]]
kind = "phone"
plain = "phone"
sealed = "phone_sealed"
read = "phonenumber"
region = "GB"
index.security = "phone_index"
[[table.column.collected]]
when = {source = "2fa"}
for = ["security"]
notice = "2fa-prompt-v3"
legal = "contract"
retain_days = 30
[[table.column.leave]]
problem = "invalid"
reason = "test-account"
`

// bob is a public key of a person.
const bob = "bob+2781ed15+ARPqDiZaa7HnJH6kRsW8X43wH8fpwaHyr47zCB3y51kI"

func TestParse(t *testing.T) {
	c, err := config.Parse(good)
	require.NoError(t, err)
	require.Equal(t, 60*24*time.Hour, time.Duration(c.DestroyAfter))
	table := c.Tables[0]
	require.Equal(t, purpose.NewSet(purpose.MustParse("security")), table.Purposes())
	require.Equal(t, purpose.Contract, table.Columns[0].Collected[0].Legal)
	role, ok := c.RoleOf(c.RunAs)
	require.True(t, ok)
	require.Equal(t, 2, role.Usable().Len())
}

// Each case replaces one piece of the good configuration with a bad one.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, old, new, says string }{
		{"an unknown field", `run_as = "ops"`, `run_sa = "` + secret + `"`, "there is no field run_sa"},
		{"an unknown field of a table", `key = "id"`, `key = "id"` + "\nids = 1", "there is no field table.ids"},
		{"a key that is no name", `run_as = "ops"`, `"` + secret + ` x" = 1`, "there is no field of that name in"},
		{"text that is not TOML", `run_as = "ops"`, `run_as = ` + secret, "line 3 (run_as): not as TOML wants it"},
		{"a value of another type", `run_as = "ops"`, `run_as = ["` + secret + `"]`, "a field has a value of another type"},
		{"no purposes", `purposes = ["security", "advertising"]`, ``, "purposes is missing"},
		{"a purpose twice", `["security", "advertising"]`, `["security", "advertising", "security"]`, "purposes has a purpose twice"},
		{"a malformed purpose", `["security", "advertising"]`, `["` + strings.ToUpper(secret) + `"]`, "not a purpose name"},
		{"a malformed time", `"60d"`, `"` + secret + `d"`, "not a time such as"},
		{"two places of keys", `store.database = "app"`, `store.database = "app"` + "\nstore.dir = \"keys\"", "store has a dir or a database"},
		{"an unknown database", `store.database = "app"`, `store.database = "` + secret + `"`, "store: there is no database of that name"},
		{"two kinds of KEK", `kek.service =`, "kek.local = \"kek\"\nkek.service =", "kek has exactly one of"},
		{"a KEK itself", `kek.service = "hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}"`, `kek.environment = "ofkek1.security.` + secret + `"`, "kek.environment is not the beginning"},
		{"a service without a purpose", `onlyfor-{purpose}`, `onlyfor`, "kek.service is not the URI"},
		{"a token in the URI", `hcvault://vault`, `hcvault://` + secret + `@vault`, "kek.service is not the URI"},
		{"a KEK of an unknown purpose", `kek.of.advertising`, `kek.of.billing`, "kek.of has a purpose that is not in purposes"},
		{"a KEK of a name that is no purpose", `kek.of.advertising`, `kek.of.` + strings.ToUpper(secret), "kek.of has a name that is no purpose"},
		{"an unknown kind of database", `kind = "postgres"`, `kind = "oracle"`, "database 1: kind is none of"},
		{"a data source name", `"APP_DSN"`, `"postgres://u:` + secret + `@db"`, "database 1: variable is not the name of an environment variable"},
		{"a database without a source", `variable = "APP_DSN"`, ``, "database 1: variable is missing"},
		{"an unknown role", `run_as = "ops"`, `run_as = "` + secret + `"`, "run_as is not the name of a [[role]]"},
		{"a role with an unknown purpose", `manages = ["security", "advertising"]`, `manages = ["billing"]`, "role 1 has a purpose"},
		{"a role that erases without the keys", `manages = ["security", "advertising"]`, `erases = ["security"]`, "role 1: erases has a purpose"},
		{"no key of a person", `run_as = "ops"`, `run_as = "ops"` + "\napproval.keys = []", "approval: there are no keys"},
		{"a key that is none", `run_as = "ops"`, `run_as = "ops"` + "\napproval.keys = [\"" + secret + "\"]", "approval: key 1 is no public key"},
		{"a signing key", `run_as = "ops"`, `run_as = "ops"` + "\napproval.keys = [\"PRIVATE+KEY+" + secret + "\"]", "approval: key 1 is a signing key"},
		{"one name twice", `run_as = "ops"`, `run_as = "ops"` + "\napproval.keys = [\"" + bob + "\", \"" + bob + "\"]", "approval: key 2 has the name of another one"},
		{"a table without a key", "key = \"id\"\n", "", "table 1: key is missing"},
		{"SQL in a name", `name = "app.users"`, `name = "users; drop table x"`, "table 1: name is missing, or"},
		{"SQL in a key", `key = "id"`, `key = "id) --"`, "table 1: key or subject is not"},
		{"SQL in a column", `sealed = "phone_sealed"`, `sealed = "a\"b"`, "table 1: column 1: plain, sealed or index is not"},
		{"an unknown kind", `kind = "phone"`, `kind = "iban"`, "table 1: column 1: kind is neither email nor phone"},
		{"an unknown function", `read = "phonenumber"`, `read = "rot13"`, "read is none of"},
		{"a function of another kind", `kind = "phone"`, `kind = "email"`, "read is for another kind"},
		{"a region without its function", `read = "phonenumber"`, ``, "region is for"},
		{"a field without its function", `region = "GB"`, "region = \"GB\"\nfield = \"x\"", "field goes with"},
		{"an unknown purpose in a rule", `for = ["security"]`, `for = ["billing"]`, "for has a purpose"},
		{"an unknown ground", `legal = "contract"`, `legal = "` + secret + `"`, "not a valid basis"},
		{"a notice that is an address", `"2fa-prompt-v3"`, `"` + secret + `@example.com"`, "rule 1 of collected: "},
		{"a reason of many words", `reason = "test-account"`, `reason = "` + secret + ` is a test"`, "rule 1 of leave: reason is not one word"},
		{"a problem that can't be left", `problem = "invalid"`, `problem = "corrupt"`, "rule 1 of leave: problem is not one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, good, test.old)
			_, err := config.Parse(strings.Replace(good, test.old, test.new, 1))
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, strings.ToLower(err.Error()), secret)
		})
	}
}

func TestPinsAreApartFromTheStore(t *testing.T) {
	const text = "purposes = [\"security\"]\npins = \"data/keys/pins\"\nstore.dir = \"data/keys\"\nkek.local = \"kek\"\n"
	_, err := config.Parse(text)
	require.ErrorContains(t, err, "pins is a file of the key store")
	_, err = config.Parse(strings.Replace(text, "keys/pins", "keys-pins", 1))
	require.NoError(t, err)
}

func TestWitnesses(t *testing.T) {
	parse := func(witnesses string) error {
		_, err := config.Parse("purposes = [\"security\"]\nstore.dir = \"keys\"\nkek.local = \"kek\"\n[audit_log]\ndir = \"audit\"\nkey = \"audit.key\"\nwitnesses = [" + witnesses + "]\n")
		return err
	}
	const good = `{url = "https://witness.example/a", key = "w.pub"}, `
	require.NoError(t, parse(""))
	require.NoError(t, parse(good+`{dir = "/mnt/auditors"}`))
	require.ErrorContains(t, parse(strings.Repeat(good, 13)), "more than 12 witnesses")
	for witness, says := range map[string]string{
		`{}`:                                  "it has a url and a key, or a dir",
		`{url = "https://w.example"}`:         "it has a url and a key",
		`{dir = "d", key = "` + secret + `"}`: "it has a url and a key",
		`{dir = "d", url = "https://w.example", key = "k"}`:       "it has a url and a key",
		`{url = "ftp://` + secret + `", key = "k"}`:               "url is not the URL",
		`{url = "https://w.example?a=` + secret + `", key = "k"}`: "url is not the URL",
		`{url = "` + secret + `", key = "k"}`:                     "url is not the URL",
		`{url = "https://:` + secret + `@w.example", key = "k"}`:  "url has a password",
		`{url = "http://[` + secret + `", key = "k"}`:             "url is not the URL",
		`{dir = "audit/witness"}`:                                 "apart from dir",
		`{dir = "audit"}`:                                         "apart from dir",
	} {
		err := parse(good + witness)
		require.ErrorContains(t, err, "audit_log: witness 2: ")
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), secret)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("purposes = [\"security\"]\nstore.dir = \"keys\"\nkek.local = \"kek\"\n")
	f.Add("purposes = [\"\"]\n[[table]]\n[[table.column]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse(text)
		require.True(t, (c == nil) == (err != nil))
	})
}
