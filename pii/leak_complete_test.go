package pii_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// leakPackages are those whose APIs [leakRows] has.
var leakPackages = []string{"../purpose", "../vault", "../vault/audit", "../vault/auditlog", ".", "batch", "egress", "migrate", "phonenumber", "piitest"}

// packagesElsewhere are the other packages with an API, by the function of their tests that
// searches their output.
var packagesElsewhere = map[string]struct{ file, function string }{
	"piibeam":                     {"piibeam_test.go", "TestFailedBundles"},
	"report":                      {"uses_test.go", "TestReportsHoldNobody"},
	"../vault/ready":              {"ready_test.go", "TestReportTellsNothing"},
	"../vault/otel":               {"leak_test.go", "TestTelemetryTellsNothing"},
	"../vault/auditlog/reconcile": {"attack_test.go", "TestLinesAreNotShown"},
	"../vault/sqlstore":           {"fault_test.go", "TestFaultyAnswers"},
	"../vault/cmd/onlyfor":        {"main_test.go", "discreet"},
	// These get no value and no id of a person, only wrapped keys, names of keys and
	// heads of logs. What they must not show is credentials.
	"../vault/kms":              {"keys_test.go", "TestParseKeyRefuses"},
	"../vault/kms/awskms":       {"kek_test.go", "TestPrintsNoCredentials"},
	"../vault/kms/gcpkms":       {"kek_test.go", "TestPrintsNoCredentials"},
	"../vault/kms/hcvault":      {"hcvault_test.go", "TestNothingPrintsTheToken"},
	"../vault/auditlog/witness": {"key_test.go", "TestKeyTexts"},
}

// suitePackages are suites for the tests of users, and have values of their own.
var suitePackages = []string{"../vault/kektest", "../vault/storetest"}

// leaksElsewhere are APIs that have a test of their own, since they can't be
// called from here, by the file that has it.
var leaksElsewhere = map[string]string{
	"phonenumber.Parse":                     "phonenumber/leak_test.go", // a module of its own
	"phonenumber.OldForms":                  "phonenumber/leak_test.go",
	"phonenumber.NewForm":                   "phonenumber/leak_test.go",
	"phonenumber.Renumber":                  "phonenumber/leak_test.go",
	"phonenumber.malformedError.Error":      "phonenumber/leak_test.go",
	"phonenumber.malformedError.Is":         "phonenumber/leak_test.go",
	"egress.filledBody.Read":                "egress/response_test.go",
	"egress.filledBody.Close":               "egress/response_test.go",
	"egress.resealer.Read":                  "egress/response_test.go",
	"egress.resealer.Close":                 "egress/response_test.go",
	"egress.sendError.Error":                "egress/response_test.go",
	"egress.sendError.Is":                   "egress/response_test.go",
	"egress.sendError.Timeout":              "egress/response_test.go",
	"egress.hiddenTrace.Value":              "egress/response_test.go",
	"egress.Transport.Format":               "egress/response_test.go",
	"egress.Transport.LogValue":             "egress/response_test.go",
	"egress.Transport.CloseIdleConnections": "egress/response_test.go",
	"egress.Form":                           "egress/refuse_test.go",
	"egress.Multipart":                      "egress/refuse_test.go",
	"egress.Header":                         "egress/refuse_test.go",
	"egress.JSON":                           "egress/refuse_test.go",
	"egress.WithSubject":                    "egress/refuse_test.go",
	"egress.Transport.RoundTrip":            "egress/refuse_test.go",
	"egress.Field.String":                   "egress/rule_test.go",
	"egress.NewTransport":                   "egress/rule_test.go",
	"egress.Transport.Hosts":                "egress/rule_test.go",
	"egress.NewMailer":                      "egress/mail_test.go",
	"egress.Mailer.Send":                    "egress/mailserver_test.go",
	"egress.Mailer.Hosts":                   "egress/mail_test.go",
	"egress.Mailer.Format":                  "egress/mailserver_test.go",
	"egress.Mailer.LogValue":                "egress/mail_test.go",
	"egress.Answer.String":                  "egress/mailserver_test.go",
	"egress.Answer.Temporary":               "egress/mailserver_test.go",
	"egress.RefusedError.Error":             "egress/mailserver_test.go",
	"egress.RefusedError.Unwrap":            "egress/mailserver_test.go",
	"egress.RecipientsError.Error":          "egress/mailserver_test.go",
	"egress.RecipientsError.Unwrap":         "egress/mailserver_test.go",
	"egress.wire.Read":                      "egress/mailserver_test.go",
	"migrate.gcmKEK.Encrypt":                "migrate/driver_test.go", // of a vault that is given up at once
	"migrate.gcmKEK.Decrypt":                "migrate/driver_test.go",
	"piitest.Seed":                          "piitest/example_test.go", // only for fuzz tests, to which it says nothing
}

// Every package of the library is searched somewhere: whoever adds one says where.
func TestNoPackageIsForgotten(t *testing.T) {
	named := map[string]bool{}
	for _, dir := range slices.Concat(leakPackages, suitePackages) {
		named[dir] = true
	}
	for dir, search := range packagesElsewhere {
		named[dir] = true
		text, err := os.ReadFile(filepath.Join(dir, search.file))
		require.NoError(t, err)
		require.Regexp(t, `(?m)^func (\(.*\) )?`+search.function+`\(`, string(text), dir)
	}
	found := 0
	for _, top := range []string{"../purpose", "../vault", "."} {
		require.NoError(t, filepath.WalkDir(top, func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			// The checker sees code, and no data.
			if name := d.Name(); name == "internal" || name == "testdata" || dir == "piivet" {
				return fs.SkipDir
			}
			isSource := func(name string) bool { return !strings.HasSuffix(name, "_test.go") }
			if !slices.ContainsFunc(parsed(t, dir, isSource), hasAPI) {
				return nil
			}
			found++
			if !named[dir] {
				t.Errorf("nothing searches the output of package %s: give it rows, or a test of its own", dir)
			}
			return nil
		}))
	}
	require.Equal(t, len(named), found, "a package that is named is gone")
}

func hasAPI(file *ast.File) bool {
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.IsExported()
	})
}

// Every exported function and method has a row, methods of unexported types too,
// for interfaces lead to them. Whoever adds one has to say how it is tried.
func TestNoAPIIsForgotten(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range leakRows() {
		for _, api := range strings.Fields(row.apis) {
			rows[api] = true
		}
	}
	called := namesUsed(t)
	exists := map[string]bool{}
	for _, dir := range leakPackages {
		for _, api := range exportedAPIs(t, dir) {
			exists[api] = true
			if file, ok := leaksElsewhere[api]; ok {
				require.FileExists(t, file, api)
				continue
			}
			if !rows[api] {
				t.Errorf("%s has no row in leakRows: add what of it could show a value, with success and with each failure", api)
				continue
			}
			// A method of an unexported type is called by whoever has the interface.
			parts := strings.Split(api, ".")
			name := parts[len(parts)-1]
			if ast.IsExported(parts[1]) && !called[name] {
				t.Errorf("the row of %s names it, and nothing calls it", api)
			}
		}
	}
	for api := range rows {
		require.True(t, exists[api], "there is no %s", api)
	}
	for api := range leaksElsewhere {
		require.True(t, exists[api], "there is no %s", api)
	}
	require.Greater(t, len(exists), 300, "the packages were read")
}

// exportedAPIs returns the names of functions and methods, such as
// "vault.Scope.Reveal".
func exportedAPIs(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, file := range parsed(t, dir, func(name string) bool { return !strings.HasSuffix(name, "_test.go") }) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			api := file.Name.Name + "."
			if f.Recv != nil {
				api += receiver(f.Recv.List[0].Type) + "."
			}
			all = append(all, api+f.Name.Name)
		}
	}
	require.NotEmpty(t, all, dir)
	return all
}

func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return "?"
}

// namesUsed returns what the rows call, or hand on to be called. What printers,
// encoders and databases look for themselves is used as well.
func namesUsed(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{"Format": true}
	for _, file := range parsed(t, ".", func(name string) bool { return strings.HasPrefix(name, "leak_") }) {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				used[s.Sel.Name] = true
			}
			return true
		})
	}
	return used
}

func parsed(t *testing.T, dir string, want func(name string) bool) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range slices.DeleteFunc(names, func(name string) bool { return !want(filepath.Base(name)) }) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}
