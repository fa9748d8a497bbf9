package vettest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// RunModule applies a rule to the packages of a module, and compares its findings with
// the "want" comments, as [analysistest.Run] does.
//
// The module is example.com/shop, with the files of the directory dir. Its go.mod is
// generated from the library's, so that there is no second list of versions to maintain.
// The directories in dir/stubs, if any, replace third-party modules: stubs/gorm.io/gorm
// is gorm.io/gorm.
func RunModule(t *testing.T, rule *analysis.Analyzer, dir string) []*analysistest.Result {
	t.Helper()
	return analysistest.Run(t, Module(t, dir), rule, "./...")
}

// Module returns the directory of the module that [RunModule] generates from dir.
func Module(t *testing.T, dir string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.CopyFS(root, os.DirFS(dir)))
	_, file, _, _ := runtime.Caller(0)
	library := filepath.Join(filepath.Dir(file), "..", "..", "..", "..")

	mod, err := os.ReadFile(filepath.Join(library, "go.mod"))
	must(t, err)
	_, rest, _ := bytes.Cut(mod, []byte("\n"))
	var b strings.Builder
	fmt.Fprintf(&b, "module example.com/shop\n%s\n", rest)
	replace := func(module, with string) {
		fmt.Fprintf(&b, "require %s v0.0.0\nreplace %s => %q\n", module, module, with)
	}
	replace("github.com/onlyfor/onlyfor", library)
	for _, stub := range stubs(t, filepath.Join(root, "stubs")) {
		at := filepath.Join(root, "stubs", filepath.FromSlash(stub))
		replace(stub, at)
		must(t, os.WriteFile(filepath.Join(at, "go.mod"), []byte("module "+stub+"\n\ngo 1.26.0\n"), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte(b.String()), 0o600))
	sum, err := os.ReadFile(filepath.Join(library, "go.sum"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "go.sum"), sum, 0o600))
	return root
}

// stubs returns the directories below dir with Go files.
func stubs(t *testing.T, dir string) (modules []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			module, _ := filepath.Rel(dir, filepath.Dir(path))
			if module = filepath.ToSlash(module); len(modules) == 0 || modules[len(modules)-1] != module {
				modules = append(modules, module)
			}
		}
		return err
	})
	if !os.IsNotExist(err) {
		must(t, err)
	}
	return modules
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
