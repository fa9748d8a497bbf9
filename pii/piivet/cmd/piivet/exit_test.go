package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module writes a module that uses the real library, and goes there.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	library, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "testdata", name))
		require.NoError(t, err)
		text = bytes.ReplaceAll(text, []byte("=> ../../.."), []byte("=> "+library))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
}

const revealing = `package app

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var security = purpose.MustParse("security")

// Open reveals.
func Open(ctx context.Context, v *vault.Admin, email pii.Email) (string, error) {
	scope, err := v.Scope(ctx, security)
	if err != nil {
		return "", err
	}
	return email.Reveal(ctx, scope)
}
`

func TestWhatCannotBeCheckedIsExitCode2AndNoOutput(t *testing.T) {
	module(t, map[string]string{
		"good/good.go":      "// Package good is good.\npackage good\n",
		"types/types.go":    "package types\n\nfunc f() int { return \"\" }\n",
		"syntax/syntax.go":  "package syntax\n\nfunc f( {\n",
		"missing/m.go":      "package missing\n\nimport _ \"example.com/nowhere\"\n",
		"tested/t.go":       "package tested\n",
		"tested/t_test.go":  "package tested\n\nvar x int = \"\"\n",
		"depends/d.go":      "package depends\n\nimport _ \"example.com/types\"\n",
		"empty/README":      "no Go files",
		"locks/conflicting": "<<<<<<< HEAD\n",
	})
	for rule, patterns := range map[string][]string{
		"does not type-check":                    {"./types"},
		"does not parse":                         {"./syntax"},
		"imports what is missing":                {"./missing"},
		"imports what does not type-check":       {"./depends"},
		"has a test that does not type-check":    {"./tested"},
		"does not exist":                         {"./nowhere"},
		"is a pattern that matches nothing":      {"./nothing/..."},
		"is a pattern that matches no Go files":  {"./empty"},
		"is one of several that matches nothing": {"./good", "./nothing/..."},
		"is one of several that is bad":          {"./good", "./types"},
	} {
		modes := [][]string{nil}
		if rule == "is one of several that is bad" { // the others fail in the same way
			modes = append(modes, []string{"-json"}, []string{"-adopt"}, []string{"-report", "-html"}, []string{"-update", "locks/new"})
		}
		for _, mode := range modes {
			t.Run(strings.Join(append(mode, rule), " "), func(t *testing.T) {
				code, out, errs := piivetRun(t, append(mode, patterns...)...)
				require.Equal(t, failed, code)
				require.Empty(t, out)
				require.NotEmpty(t, errs)
				require.NoFileExists(t, "locks/new")
			})
		}
	}
	// The text of the error distinguishes the failures.
	for rule, c := range map[string]struct {
		says string
		args []string
	}{
		"an unknown flag":              {"not defined: -nonsense", []string{"-nonsense", "./good"}},
		"two modes":                    {"one at a time", []string{"-adopt", "-report", "./good"}},
		"two lock files":               {"one at a time", []string{"-check", "locks/new", "-update", "locks/new", "./good"}},
		"HTML of findings":             {"-html goes with -report", []string{"-html", "./good"}},
		"HTML and JSON":                {"not with -json", []string{"-report", "-html", "-json", "./good"}},
		"JSON of a check":              {"-json goes with neither", []string{"-json", "-check", "locks/new", "./good"}},
		"JSON of an update":            {"-json goes with neither", []string{"-json", "-update", "locks/new", "./good"}},
		"rules of a report":            {"-rules goes with none", []string{"-rules", "leak", "-report", "./good"}},
		"a flag after a package":       {"flags come first", []string{"./good", "-json"}},
		"an unknown rule":              {`no rule "nonsense"`, []string{"-rules", "leak,nonsense", "./good"}},
		"a lock file that is missing":  {"locks/none", []string{"-check", "locks/none", "./good"}},
		"a lock file with a conflict":  {"conflict", []string{"-check", "locks/conflicting", "./good"}},
		"a lock file in no directory":  {"none", []string{"-update", "none/lock", "./good"}},
		"a lock file that is a folder": {"locks", []string{"-check", "locks", "./good"}},
	} {
		t.Run(rule, func(t *testing.T) {
			code, out, errs := piivetRun(t, c.args...)
			require.Equal(t, failed, code)
			require.Empty(t, out)
			require.Contains(t, errs, c.says)
			require.NoFileExists(t, "locks/new")
		})
	}
	t.Run("and good code is 0", func(t *testing.T) {
		code, out, errs := piivetRun(t, "./good")
		require.Equal(t, nothing, code, errs)
		require.Empty(t, out)
	})
}

func TestFindingsAreExitCode1OneALine(t *testing.T) {
	module(t, map[string]string{
		".piivet.json": `{"reveal": []}`,
		"app/app.go":   revealing,
		// Its variant for tests has app.go once more.
		"app/app_test.go": "package app\n\nimport \"testing\"\n\nfunc TestNothing(*testing.T) {}\n",
	})
	code, out, errs := piivetRun(t, "-rules", "revealer")
	require.Equal(t, found, code, errs)
	require.Regexp(t, `^app/app\.go:19:\d+: .+ \(revealer\)\n$`, out)

	code, out, errs = piivetRun(t, "-json", "-rules", "revealer", "./...")
	require.Equal(t, found, code, errs)
	var report struct {
		Findings []struct {
			Rule, Package, File string
			Line                int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Findings, 1)
	require.Equal(t, "revealer", report.Findings[0].Rule)
	require.Equal(t, "example.com/app", report.Findings[0].Package)
	require.Equal(t, "app/app.go", report.Findings[0].File)
	require.Equal(t, 19, report.Findings[0].Line)
}

func TestTagsSelectFiles(t *testing.T) {
	module(t, map[string]string{
		".piivet.json": `{"reveal": []}`,
		"app/app.go":   "//go:build special\n\n" + revealing,
		"app/doc.go":   "// Package app has little in it.\npackage app\n",
	})
	code, out, errs := piivetRun(t, "-rules", "revealer", "./...")
	require.Equal(t, nothing, code, errs)
	require.Empty(t, out)
	code, out, errs = piivetRun(t, "-rules", "revealer", "-tags", "other,special", "./...")
	require.Equal(t, found, code, errs)
	require.Contains(t, out, "app/app.go:21:")
}

func TestAChangeOfTheConfigurationIsNotAnsweredFromTheCache(t *testing.T) {
	module(t, map[string]string{".piivet.json": `{"reveal": []}`, "app/app.go": revealing})
	for _, c := range []struct {
		config string
		code   int
	}{
		{`{"reveal": []}`, found}, {`{"reveal": ["example.com/app"]}`, nothing}, {`{"reveal": []}`, found}, {`{"reveal"}`, failed},
	} {
		require.NoError(t, os.WriteFile(".piivet.json", []byte(c.config), 0o600))
		code, _, errs := piivetRun(t, "-rules", "revealer", "./...")
		require.Equal(t, c.code, code, errs)
	}
}

func TestCheckFailsWhenTheRegisterGrows(t *testing.T) {
	module(t, map[string]string{"app/app.go": revealing})
	code, out, errs := piivetRun(t, "-update", "piivet.lock", "./...")
	require.Equal(t, nothing, code, errs)
	require.Empty(t, out)
	code, out, errs = piivetRun(t, "-check", "piivet.lock", "./...")
	require.Equal(t, nothing, code, errs)
	require.Empty(t, out)

	grown := strings.Replace(revealing, "return email.Reveal", "_, _ = email.Index(ctx, scope)\n\treturn email.Reveal", 1)
	require.NoError(t, os.WriteFile("app/app.go", []byte(grown), 0o600))
	code, out, errs = piivetRun(t, "-check", "piivet.lock", "./...")
	require.Equal(t, found, code, errs)
	require.Regexp(t, `(?m)^app/app\.go:19: new use of personal data: security index example\.com/app\.Open$`, out)
	require.NotContains(t, out, "security reveal")

	less := strings.Replace(revealing, "return email.Reveal(ctx, scope)", "return scope.String(), nil", 1)
	require.NoError(t, os.WriteFile("app/app.go", []byte(less), 0o600))
	code, out, errs = piivetRun(t, "-check", "piivet.lock", "./...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, "not done any more")
}

// A package that is not analyzed itself, and imports the library only indirectly, passes
// the facts of its imports on.
func TestFactsGoThroughPackagesThatDoNotUseTheLibraryThemselves(t *testing.T) {
	module(t, map[string]string{
		"app/app.go":     revealing + "\n// Current reveals.\nfunc Current(v *vault.Admin, email pii.Email) string {\n\ts, _ := Open(context.Background(), v, email)\n\treturn s\n}\n\nvar Last = Current(nil, pii.Email{})\n",
		"middle/m.go":    "package middle\n\nimport \"example.com/app\"\n\nfunc Last() string { return \"last: \" + app.Last }\n",
		"outer/outer.go": "package outer\n\nimport (\n\t\"log\"\n\n\t\"example.com/middle\"\n)\n\nfunc Say() { log.Print(middle.Last()) }\n",
	})
	code, out, errs := piivetRun(t, "-rules", "leak", "./outer")
	require.Equal(t, found, code, errs)
	require.Regexp(t, `^outer/outer\.go:9:\d+: .* goes into a log.*\(leak\)\n$`, out)
}

func TestAdoptListsFieldsOfCodeThatDoesNotKnowTheLibrary(t *testing.T) {
	module(t, map[string]string{
		"users/users.go": "package users\n\ntype User struct {\n\tEmail string `db:\"email,unique\" json:\"email\"`\n\tPhone *string `json:\"phone\"`\n}\n",
	})
	code, out, errs := piivetRun(t, "-adopt", "./...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, "User.Email  string db,json  → pii.Email and EmailIndex pii.Index  users/users.go:4\n")
	require.Contains(t, out, "1 stored, 1 sent or received only; 1 stored type to change.\n")
	require.Contains(t, out, "pii/ADOPTING.md#what-compiles-and-is-wrong\n")
	code, out, errs = piivetRun(t, "-adopt", "-json", "./...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, `"name": "Email"`)
}

// The report joins the facts about a field from several packages and files, and the tests
// need not compile.
func TestAdoptLooksAtQueriesSchemasAndMaps(t *testing.T) {
	module(t, map[string]string{
		"users/users.go": "package users\n\ntype User struct {\n\tEmail string `db:\"email\"`\n\tPhone string `db:\"phone\"`\n\tLogin string `db:\"login\"`\n}\n\n" +
			"type Identity struct {\n\tEmail string `db:\"email\"`\n\tData map[string]any `db:\"data\"`\n}\n",
		"web/web.go": "package web\n\nimport (\n\t\"database/sql\"\n\n\t\"example.com/users\"\n)\n\n" +
			"func Find(db *sql.DB, u users.User) {\n\tdb.QueryRow(`SELECT id FROM users WHERE email = $1`, u.Login)\n}\n",
		"web/web_test.go":            "package web\n\nthis does not parse\n",
		"users/users_test.go":        "package users_test\n\nvar x int = \"does not compile\"\n",
		"migrations/1.sql":           "CREATE TABLE identities (email text GENERATED ALWAYS AS (lower(data->>'email')) STORED);\nCREATE INDEX ON users (phone);\n",
		"vendored/go.mod":            "module example.com/other\n",
		"vendored/migrations/1.sql":  "CREATE TABLE others (email text AS (lower(mail)));\n",
		"onlytests/onlytest_test.go": "package onlytests\n",
	})
	code, out, errs := piivetRun(t, "-adopt", "./...")
	require.Equal(t, nothing, code, errs)
	for _, line := range []string{
		"    User.Email      string db  → pii.Email and EmailIndex pii.Index  users/users.go:4\n",
		"    User.Phone      string db  → pii.Phone and PhoneIndex pii.Index  users/users.go:5\n",
		"    User.Login      string db  → pii.Email and LoginIndex pii.Index  (looked up as email)  users/users.go:6\n",
		"    Identity.Email  string db  → generated from lower(data->>'email'): see below  users/users.go:10\n",
		"    identities.email  from lower(data->>'email')  migrations/1.sql\n",
		"    Identity.Data  map[string]any db  users/users.go:11\n",
		"\n4 stored, 0 sent or received only; 2 stored types to change. 1 field to look inside. 1 generated column.\n",
	} {
		require.Contains(t, out, line)
	}
	require.NotContains(t, out, "others")

	code, _, errs = piivetRun(t, "./...")
	require.Equal(t, failed, code)
	require.Contains(t, errs, "web_test.go")
	code, out, errs = piivetRun(t, "-tests=false", "./...")
	require.Equal(t, nothing, code, errs)
	require.Empty(t, out)
	code, _, errs = piivetRun(t, "-tests=false", "./none")
	require.Equal(t, failed, code)
	require.NotEmpty(t, errs)
}

// A code base of maps has no type to change, and the report says so.
func TestAdoptOfMapModels(t *testing.T) {
	module(t, map[string]string{
		"app/app.go": "package app\n\ntype Record struct{ data map[string]any }\n\nfunc (r *Record) TableName() string { return \"users\" }\n" +
			"func (r *Record) Set(key string, value any) { r.data[key] = value }\n\nfunc signUp(r *Record, address string) {\n\tr.Set(\"email\", address)\n}\n\n" +
			"func show(m map[string]any) (any, any) {\n\tm[\"phone\"] = 1\n\treturn m[\"phone\"], m[\"fax_email\"]\n}\n",
	})
	code, out, errs := piivetRun(t, "-adopt")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, "    \"email\"  of *Record  → pii.Email  app/app.go:9\n")
	require.Contains(t, out, "\nNo stored struct has such a field, 0 sent or received only. 1 stored key of maps or records, at 1 place: no type to change there.\n")
	require.Contains(t, out, "    \"phone\"      of map[string]any  app/app.go:13 and 1 more\n")
	require.Contains(t, out, "    \"fax_email\"  of map[string]any  (read only)  app/app.go:14\n")
	require.NotContains(t, out, "0 stored")
}

func TestAnInterruptedRunFails(t *testing.T) {
	module(t, map[string]string{"good/good.go": "package good\n"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, failed, run(ctx, []string{"./..."}, &out, &errs))
	require.Empty(t, out.String())
}
