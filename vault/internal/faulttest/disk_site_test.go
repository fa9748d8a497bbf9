//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A site is a directory with a key store, the local keys that wrap it, and what
// has been sealed. Everything is on the disk, so that other processes can go on
// with it.
type site struct {
	Dir    string        `json:"-"`
	Values []sealedValue // under all kinds of keys, old and new
	Unused uint32        // a key that nothing was sealed with
}

type sealedValue struct{ Text, Subject string }

// The people of a site. Erin was erased before it begins.
const (
	alice = "alice@people"
	bob   = "bob@people"
	dave  = "dave@people" // has nothing yet
	erin  = "erin@people"
)

// disk returns the calls of a disk that never waits.
func disk() privatefile.System { return new(faulty.Disk).System() }

// dirOn is [vault.Dir] on another system.
func dirOn(sys privatefile.System, path string) vault.Store {
	defer privatefile.Mount(sys, path)()
	return vault.Dir(path)
}

// localKEKOn is [vault.LocalKEK] on another system.
func localKEKOn(sys privatefile.System, path string) vault.KEK {
	defer privatefile.Mount(sys, path)()
	return vault.LocalKEK(path)
}

// begin returns the vault that an operation begins with. It has no other KEK
// than the one that all began with.
func (w *site) begin(ctx context.Context, sys privatefile.System) (*vault.Admin, error) {
	return vault.OpenAdmin(ctx, dirOn(sys, w.path("keys")), w.kek(sys, "kek"), nil)
}

// vault opens the site's keys on a disk, whichever KEK they are wrapped with.
func (w *site) vault(ctx context.Context, sys privatefile.System) (*vault.Admin, error) {
	return vault.OpenAdmin(ctx, dirOn(sys, w.path("keys")), vault.EitherKEK(w.kek(sys, "kek"), w.kek(sys, "kek2")), nil)
}

func (w *site) kek(sys privatefile.System, name string) vault.KEK {
	return localKEKOn(sys, w.path(name))
}

func (w *site) path(name string) string { return filepath.Join(w.Dir, name) }

// newSite makes a site in which each operation has something to lose.
func newSite(t testing.TB) *site {
	t.Helper()
	w := &site{Dir: t.TempDir()}
	ctx := t.Context()
	v, err := w.vault(ctx, disk())
	require.NoError(t, err)
	hold := func(subject string, sealers ...vault.Sealer) {
		w.Values = append(w.Values, sealedValue{string(vaulttest.MustText(t, vaulttest.Seal(t, sealers...))), subject})
	}
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	hold("", s)
	hold("", vaulttest.Collector(t, v, vaulttest.Security))
	hold(alice, s.For(alice))
	hold(bob, s.For(bob))
	hold(erin, s.For(erin))
	_, err = v.Erase(ctx, erin, vaulttest.Security)
	require.NoError(t, err)
	for range 2 {
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleIndex)
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleCollect)
	}
	hold("", s)
	hold("", vaulttest.Collector(t, v, vaulttest.Security))
	hold(alice, s.For(alice))
	keys, err := v.Keys(ctx, vaulttest.Security)
	require.NoError(t, err)
	w.Unused = keys[1].ID
	require.Equal(t, vault.RoleSeal, keys[1].Role)
	require.Equal(t, vault.Active, keys[1].Status)
	return w
}

// copy returns the same site in a directory of its own.
func (w *site) copy(t testing.TB) *site { return w.copyTo(t, t.TempDir()) }

func (w *site) copyTo(t testing.TB, dir string) *site {
	t.Helper()
	c := *w
	var err error
	c.Dir, err = os.MkdirTemp(dir, "")
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(w.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == w.Dir {
			return err
		}
		to := filepath.Join(c.Dir, strings.TrimPrefix(path, w.Dir))
		if e.IsDir() {
			return os.Mkdir(to, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	}))
	return &c
}

// An operation changes a site, or looks at it.
type operation struct {
	name string
	// nothing has it begin where there is no site yet.
	nothing bool
	// warm has it begin with a vault that has opened the keys.
	warm bool
	do   func(ctx context.Context, w *site, sys privatefile.System, v *vault.Admin) error
}

func change(name string, do func(ctx context.Context, v *vault.Admin) error) operation {
	return operation{name: name, warm: true, do: func(ctx context.Context, _ *site, _ privatefile.System, v *vault.Admin) error { return do(ctx, v) }}
}

// changes are all operations that write.
var changes = []operation{
	{name: "generate from nothing", nothing: true, do: generateSecurity},
	change("generate for another purpose", func(ctx context.Context, v *vault.Admin) error { return v.Generate(ctx, vaulttest.Advertising) }),
	change("rotate", func(ctx context.Context, v *vault.Admin) error {
		return v.Rotate(ctx, vaulttest.Security, vault.RoleSeal)
	}),
	change("rotate index", func(ctx context.Context, v *vault.Admin) error {
		return v.Rotate(ctx, vaulttest.Security, vault.RoleIndex)
	}),
	change("rotate collector", func(ctx context.Context, v *vault.Admin) error {
		return v.Rotate(ctx, vaulttest.Security, vault.RoleCollect)
	}),
	{name: "retire", warm: true, do: func(ctx context.Context, w *site, _ privatefile.System, v *vault.Admin) error {
		return v.Retire(ctx, vaulttest.Security, w.Unused)
	}},
	change("suspend", func(ctx context.Context, v *vault.Admin) error {
		return v.Suspend(ctx, vaulttest.Security, vault.Suspension{Notice: "2fa-prompt-v2", Reason: "deceptive"})
	}),
	change("erase", func(ctx context.Context, v *vault.Admin) error {
		_, err := v.Erase(ctx, alice, vaulttest.Security)
		return err
	}),
	change("erase somebody without keys", func(ctx context.Context, v *vault.Admin) error {
		_, err := v.Erase(ctx, dave, vaulttest.Security)
		return err
	}),
	change("re-wrap subjects", func(ctx context.Context, v *vault.Admin) error {
		return v.RewrapSubjects(ctx, vaulttest.Security, "", nil)
	}),
	{name: "re-wrap with another key", warm: true, do: func(ctx context.Context, w *site, sys privatefile.System, v *vault.Admin) error {
		return v.Rewrap(ctx, w.kek(sys, "kek2"), vaulttest.Security)
	}},
	change("seal for a new subject", func(ctx context.Context, v *vault.Admin) error {
		s, err := v.Scope(ctx, vaulttest.Security)
		if err != nil {
			return err
		}
		_, err = vault.Seal(ctx, vaulttest.Note, "text", s.For(dave))
		return err
	}),
}

func generateSecurity(ctx context.Context, _ *site, _ privatefile.System, v *vault.Admin) error {
	return v.Generate(ctx, vaulttest.Security)
}

// looks are operations that only read. They begin with a vault that has opened
// nothing.
var looks = []operation{
	{name: "open and reveal", do: func(ctx context.Context, w *site, sys privatefile.System, _ *vault.Admin) error {
		v, err := w.vault(ctx, sys)
		if err != nil {
			return err
		}
		return w.check(ctx, v)
	}},
	look("keys", func(ctx context.Context, v *vault.Admin) error {
		_, err := v.Keys(ctx, vaulttest.Security)
		return err
	}),
	look("purposes", func(ctx context.Context, v *vault.Admin) error {
		_, err := v.Purposes(ctx)
		return err
	}),
	look("prefetch", func(ctx context.Context, v *vault.Admin) error {
		s, err := v.Scope(ctx, vaulttest.Security)
		if err != nil {
			return err
		}
		return s.Prefetch(ctx, alice, bob, dave)
	}),
}

func look(name string, do func(ctx context.Context, v *vault.Admin) error) operation {
	op := change(name, do)
	op.warm = false
	return op
}

// check reveals every value, and fails if one that was there is lost, or one of
// an erased person opens.
func (w *site) check(ctx context.Context, v *vault.Admin) error {
	s, err := v.Scope(ctx, vaulttest.Security)
	if err != nil {
		return err
	}
	for i, held := range w.Values {
		value, err := vault.ParseSealed(held.Text)
		if err != nil {
			return err
		}
		by := s
		if held.Subject != "" && !value.ByCollector(vaulttest.Security) {
			by = s.For(held.Subject)
		}
		text, err := by.Reveal(ctx, vaulttest.Note, value)
		switch {
		case held.Subject == erin && err == nil:
			return fmt.Errorf("value %d of an erased person opens", i)
		case held.Subject == erin && errors.Is(err, vault.ErrErased):
		case held.Subject == alice && errors.Is(err, vault.ErrErased): // see state
		case err != nil:
			return fmt.Errorf("value %d: %w", i, err)
		case text != "text":
			return fmt.Errorf("value %d has another content", i)
		}
	}
	return nil
}

// state says, in one line, what a change changes.
func (w *site) state(ctx context.Context, v *vault.Admin) (string, error) {
	var all []string
	for _, p := range []purpose.Purpose{vaulttest.Security, vaulttest.Advertising} {
		keys, err := v.Keys(ctx, p)
		if err != nil && !errors.Is(err, vault.ErrNoKeys) {
			return "", err
		}
		for _, k := range keys {
			all = append(all, fmt.Sprintf("%s %s %s", p, k.Role, k.Status))
		}
	}
	for name, err := range dirOn(disk(), w.path("keys")).List(ctx, "security/subjects/", "") {
		if err != nil {
			return "", err
		}
		all = append(all, name)
	}
	if len(w.Values) > 0 {
		s, err := v.Scope(ctx, vaulttest.Security)
		if err != nil {
			return "", err
		}
		value, err := vault.ParseSealed(w.Values[2].Text) // alice's
		if err != nil {
			return "", err
		}
		_, err = s.For(alice).Reveal(ctx, vaulttest.Note, value)
		if err != nil && !errors.Is(err, vault.ErrErased) {
			return "", err
		}
		all = append(all, fmt.Sprint("alice erased: ", err != nil))
	}
	sort.Strings(all)
	return strings.Join(all, ", "), nil
}
