package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets go vet run the test binary as the tool, as it runs the command.
func TestMain(m *testing.M) {
	if isTool(os.Args[1:]) {
		tool()
	}
	// With the race detector, each of the hundreds of processes that go vet starts
	// would sleep for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// programs is the module of the test programs.
func programs(t *testing.T) {
	t.Helper()
	t.Chdir(filepath.Join("..", "..", "testdata"))
}

func piivetRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestRegisterFindsWhatEachFunctionSays compares the register of the programs in
// testdata/register with the uses that the comments of their functions list.
func TestRegisterFindsWhatEachFunctionSays(t *testing.T) {
	programs(t)
	r := registerOf(t, "./register/...")
	want := map[string][]string{}
	for path, dir := range map[string]string{
		"example.com/register/auth": "auth", "example.com/register/people": "people", "example.com/register/ads": "ads", "example.com/register/wire": "wire", "example.com/register/other": "other", "example.com/register/more": "more", "example.com/register/gateway": "gateway",
	} {
		says(t, want, path, filepath.Join("register", dir))
	}
	for place, lines := range want {
		slices.Sort(lines)
		require.Equal(t, lines, r[place], place)
		delete(r, place)
	}
	require.Empty(t, r, "places that say nothing of it")
}

// says reads the "//register:uses operation purpose…" comments of a package.
func says(t *testing.T, want map[string][]string, path, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Doc == nil {
				continue
			}
			place := path + "." + fn.Name.Name
			if fn.Recv != nil {
				switch recv := fn.Recv.List[0].Type.(type) {
				case *ast.StarExpr:
					place = path + ".(*" + recv.X.(*ast.Ident).Name + ")." + fn.Name.Name
				case *ast.Ident:
					place = path + ".(" + recv.Name + ")." + fn.Name.Name
				}
			}
			for _, comment := range fn.Doc.List {
				text, ok := strings.CutPrefix(comment.Text, "//register:uses ")
				if !ok {
					continue
				}
				words := strings.Fields(text)
				var of, details []string
				for _, word := range words[1:] {
					if strings.Contains(word, "=") {
						details = append(details, word)
					} else {
						of = append(of, word)
					}
				}
				for _, purpose := range of {
					want[place] = append(want[place], strings.Join(append([]string{words[0], purpose}, details...), " "))
				}
			}
		}
	}
}
