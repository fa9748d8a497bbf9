package attacktest

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Nothing that prints by reflection gets from a vault or a scope to a key.
func TestKeysAreOutOfReflectionsReach(t *testing.T) {
	dir := t.TempDir()
	for name, kek := range map[string]vault.KEK{
		"local KEK": vault.LocalKEK(filepath.Join(dir, "kek")),
		"tink":      vault.SharedKEK(vaulttest.NewAEAD(t)),
	} {
		t.Run(name, func(t *testing.T) {
			v := vaulttest.Open(t, vault.Memory(), kek, nil)
			require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
			s := vaulttest.Scope(t, v, vaulttest.Security)
			value, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice"))
			require.NoError(t, err)
			vaulttest.Opens(t, s.For("alice"), value)

			w := walker{seen: map[uintptr]bool{}}
			w.walk(reflect.ValueOf(s), "scope")
			w.walk(reflect.ValueOf(v), "vault")
			require.Greater(t, w.visited, 20, "it has walked")
			require.Empty(t, w.found)
		})
	}
}

func TestScopesPrintAsLabels(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing)
	s := vaulttest.Scope(t, v, vaulttest.Security).For("alice-4711")
	requireLabel(t, "vault.Scope(security)", s)
	requireLabel(t, "vault.Vault", v)
	require.Equal(t, "vault.Scope()", fmt.Sprint((*vault.Scope)(nil)))
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "scope", s, "vault", v)
	require.NotContains(t, buf.String(), "alice-4711")
	require.Contains(t, buf.String(), "vault.Scope(security)")

	// Weaker capabilities print as what they are.
	reader, err := v.Reader(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	lookup, err := v.Lookup(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	collector, err := v.Collector(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for label, c := range map[string]any{
		"vault.Reader(security)": reader.For("alice-4711"), "vault.Lookup(security)": lookup, "vault.Collector(security)": collector,
	} {
		buf.Reset()
		slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "capability", c)
		require.Contains(t, buf.String(), "capability="+label)
		requireLabel(t, label, c)
	}

	rec := &recording{}
	assert.Equal(rec, s, vaulttest.Scope(t, v, vaulttest.Billing)) // a diff by reflection
	require.NotEmpty(t, rec.String())
	require.NotContains(t, rec.String(), "cipher.")
	require.NotContains(t, rec.String(), "aes.")
}

// requireLabel requires that v is printed as a string is, with any verb.
func requireLabel(t *testing.T, label string, v any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%t"} {
		require.Equal(t, label, fmt.Sprintf(verb, v), verb)
	}
	for _, verb := range []string{"%q", "%40s", "%-40s", "%10.3s", "%-40q"} {
		require.Equal(t, fmt.Sprintf(verb, label), fmt.Sprintf(verb, v), verb)
	}
}

type recording struct{ strings.Builder }

func (r *recording) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

// walker follows all that reflection can reach, and finds keys by the packages
// of their types.
type walker struct {
	seen    map[uintptr]bool
	found   []string
	visited int
}

func (w *walker) walk(v reflect.Value, path string) {
	if !v.IsValid() {
		return
	}
	w.visited++
	for _, secret := range []string{"crypto/", "github.com/tink-crypto/"} {
		if strings.HasPrefix(v.Type().PkgPath(), secret) {
			w.found = append(w.found, path+" "+v.Type().String())
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || w.seen[v.Pointer()] {
			return
		}
		w.seen[v.Pointer()] = true
		w.walk(v.Elem(), path)
	case reflect.Interface:
		w.walk(v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			w.walk(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			w.walk(key, path)
			w.walk(v.MapIndex(key), path)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			w.walk(v.Index(i), path)
		}
	}
}
