package vault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A reviewer of the cryptography reads two files. This test finds calls of
// primitives, and tagged inputs, that stand elsewhere.
func TestPrimitivesAndBoundInputsHaveOneFileEach(t *testing.T) {
	const primitives, kek, bind = "primitives.go", "kekclient.go", "internal/format/bind.go"
	packages := regexp.MustCompile(`^(crypto/(aes|cipher|des|ecdh|ecdsa|ed25519|elliptic|hkdf|hmac|hpke|md5|mlkem|pbkdf2|rc4|rsa|sha\w+)|` +
		`golang\.org/x/crypto/.*|github\.com/tink-crypto/tink-go/v2/(aead|daead|hybrid|mac|prf|signature|streamingaead)(/.*)?)$`)
	// Parameters and types of keys compute nothing.
	types := map[string]bool{
		"keyrecord.go github.com/tink-crypto/tink-go/v2/aead/aesgcm":    true,
		"keyrecord.go github.com/tink-crypto/tink-go/v2/prf/aescmacprf": true,
	}
	calls := map[string]bool{
		"Encrypt": true, "EncryptWithContext": true, "Decrypt": true, "DecryptWithContext": true,
		"ComputePRF": true, "Sum": true, "Sum256": true,
	}
	tags := regexp.MustCompile(`^(pii1|idx1|psn1|era1|erd1|erm1|sea1|sub1|col1|ofk1|ofc1|ofc2|ofp1|onlyfor purpose-keys)\b`)
	found := map[string]int{}
	for name, file := range productionFiles(t) {
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if packages.MatchString(path) && name != primitives && !types[name+" "+path] {
				t.Errorf("%s imports %s: primitives are called in %s", name, path, primitives)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && calls[s.Sel.Name] {
					found[name]++
					if name != primitives && name != kek {
						t.Errorf("%s calls %s: primitives are called in %s", name, s.Sel.Name, primitives)
					}
				}
				// A GCM's Seal has four arguments, as no other function of that name has here.
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Seal" || s.Sel.Name == "Open") && len(n.Args) == 4 {
					if x, ok := s.X.(*ast.Ident); name != primitives && !(ok && x.Name == "vault") {
						t.Errorf("%s calls %s of an AEAD: primitives are called in %s", name, s.Sel.Name, primitives)
					}
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && tags.MatchString(text) {
					found[name+" tags"]++
					// The text form begins with its version, which binds nothing.
					if name != bind && text != "pii1." {
						t.Errorf("%s has %q: inputs are made in %s", name, text, bind)
					}
				}
			}
			return true
		})
	}
	require.NotZero(t, found[primitives], "no calls were found, so nothing was searched")
	require.NotZero(t, found[bind+" tags"])
}

// No type holds its creator: what a Vault and the keys that it opened share is a
// backend, below both.
func TestNothingPointsBackToItsOwner(t *testing.T) {
	for name, file := range productionFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range fields.Fields.List {
				ast.Inspect(f.Type, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && id.Name == "Vault" && spec.Name.Name != "Admin" {
						t.Errorf("%s: %s holds a Vault", name, spec.Name.Name)
					}
					return true
				})
			}
			return true
		})
	}
}

// productionFiles parses the files of vault and of vault/internal/format.
func productionFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	fset := token.NewFileSet()
	for _, pattern := range []string{"*.go", "internal/format/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			src, err := os.ReadFile(name)
			require.NoError(t, err)
			file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
			require.NoError(t, err)
			files[filepath.ToSlash(name)] = file
		}
	}
	require.Greater(t, len(files), 20)
	return files
}

// The sealed format is bytes: its package has no keys, no context and no randomness.
func TestFormatImportsPurposeAlone(t *testing.T) {
	found := 0
	for name, file := range productionFiles(t) {
		if !strings.HasPrefix(name, "internal/format/") {
			continue
		}
		found++
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if strings.Contains(path, ".") {
				require.Equal(t, "github.com/onlyfor/onlyfor/purpose", path, name)
			}
			require.NotEqual(t, "context", path, name)
			require.NotContains(t, path, "crypto", name)
			require.NotContains(t, path, "rand", name)
		}
	}
	require.NotZero(t, found)
}
