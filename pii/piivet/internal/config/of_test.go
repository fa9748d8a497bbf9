package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
)

// pass returns that of a package with one file.
func pass(t *testing.T, module *analysis.Module, path, content string) *analysis.Pass {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, content, 0)
	require.NoError(t, err)
	return &analysis.Pass{Module: module, Fset: fset, Files: []*ast.File{file}}
}

func TestFileOfTheModuleOfAPass(t *testing.T) {
	root := module(t, `{"reveal": []}`)
	inner := filepath.Join(root, "ads", "inner", "inner.go")
	for rule, test := range map[string]struct {
		module  *analysis.Module
		path    string
		content string
		found   bool
	}{
		"goes by the directory of the module": {&analysis.Module{Dir: root}, "/elsewhere/a.go", "package a", true},
		"or by that of the files":             {&analysis.Module{Path: "example.com/shop"}, inner, "package a", true},
		"without a module too":                {nil, inner, "package a", true},
		"or by what cgo made the files of":    {nil, "/cache/_cgo_gotypes.go", "//line " + inner + ":1\npackage a", true},
		"is not that of a dependency":         {&analysis.Module{Version: "v1.2.3", Dir: root}, inner, "package a", false},
	} {
		t.Run(rule, func(t *testing.T) {
			c, err := config.Of(pass(t, test.module, test.path, test.content))
			require.NoError(t, err)
			_, stated := c.Reveals("example.com/shop")
			require.Equal(t, test.found, stated)
		})
	}
}

func TestFaultIsAnErrorOfThePass(t *testing.T) {
	root := module(t, "[]")
	_, err := config.Of(pass(t, nil, filepath.Join(root, "mail", "mail.go"), "package mail"))
	require.ErrorContains(t, err, "want an object")
}
