package vault_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A changer has the names of the methods that change keys, at a depth at which a method
// of Vault would hide them. This file does not compile if a Vault changes keys.
type (
	change  struct{}
	changes struct{ change }
	changer struct {
		*vault.Vault
		changes
	}
	changed struct{}
)

func (change) Generate() (_ changed)       { return }
func (change) Keys() (_ changed)           { return }
func (change) Pin() (_ changed)            { return }
func (change) WrappedBy() (_ changed)      { return }
func (change) Rotate() (_ changed)         { return }
func (change) RotateIfOlder() (_ changed)  { return }
func (change) Promote() (_ changed)        { return }
func (change) Retire() (_ changed)         { return }
func (change) Reinstate() (_ changed)      { return }
func (change) Destroy() (_ changed)        { return }
func (change) Rewrap() (_ changed)         { return }
func (change) RewrapSubjects() (_ changed) { return }
func (change) Suspend() (_ changed)        { return }
func (change) Resume() (_ changed)         { return }

var _ = []func(changer) changed{
	changer.Generate, changer.Keys, changer.Pin, changer.WrappedBy, changer.Rotate, changer.RotateIfOlder, changer.Promote, changer.Retire, changer.Reinstate,
	changer.Destroy, changer.Rewrap, changer.RewrapSubjects, changer.Suspend, changer.Resume,
}

// The methods above are all that an Admin has and a Vault has not.
func TestVaultChangesNoKeys(t *testing.T) {
	names := func(typ reflect.Type) (names []string) {
		for i := range typ.NumMethod() {
			names = append(names, typ.Method(i).Name)
		}
		return names
	}
	all := names(reflect.TypeFor[*vault.Vault]())
	require.Equal(t, []string{
		"CheckDenied", "CheckKEK", "Close", "Collector", "Erase", "EraseAgain", "Format", "Lookup", "Purposes", "Reader", "Scope", "Stats", "Status", "String", "Suspensions",
	}, all, "a method that changes keys belongs to Admin")
	own := append(names(reflect.TypeFor[change]()), "Vault")
	require.ElementsMatch(t, append(all, own...), names(reflect.TypeFor[*vault.Admin]()))
}

// Nobody makes an Admin of a Vault: OpenAdmin alone returns one, no field and no callback
// hands one out, and an Admin can't be put together in another package.
func TestNoAdminComesFromAVault(t *testing.T) {
	typ := reflect.TypeFor[vault.Admin]()
	require.Equal(t, 1, typ.NumField())
	require.False(t, typ.Field(0).IsExported(), "or vault.Admin{Field: v} would compile")
	v := vaulttest.Generated(t, nil).Vault()
	for _, other := range []any{v, *v, struct{ *vault.Vault }{v}, &struct{ *vault.Vault }{v}} {
		require.False(t, reflect.TypeOf(other).ConvertibleTo(typ))
		require.False(t, reflect.TypeOf(other).ConvertibleTo(reflect.PointerTo(typ)))
		require.False(t, reflect.TypeOf(other).AssignableTo(reflect.PointerTo(typ)))
	}
	var made vault.Admin
	require.False(t, reflect.ValueOf(&made).Elem().Field(0).CanSet())

	var returned []string
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if mentionsAdmin(decl.Type) {
					returned = append(returned, decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if typ, ok := spec.(*ast.TypeSpec); ok && typ.Name.Name == "Admin" {
						continue
					}
					require.False(t, mentionsAdmin(spec), "%s: a declaration holds an Admin", path)
				}
			}
		}
	}
	require.Equal(t, []string{"OpenAdmin"}, returned)
}

// mentionsAdmin reports whether the type Admin is named in n.
func mentionsAdmin(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == "Admin"
		return true
	})
	return found
}

// A Vault or an Admin that nobody opened is refused, as a nil scope is.
func TestUnopenedVaultsAreRefused(t *testing.T) {
	arguments := map[reflect.Type]any{
		reflect.TypeFor[context.Context]():            t.Context(),
		reflect.TypeOf(vaulttest.Security):            vaulttest.Security,
		reflect.TypeFor[string]():                     "alice",
		reflect.TypeFor[uint32]():                     uint32(1),
		reflect.TypeFor[time.Duration]():              time.Hour,
		reflect.TypeFor[vault.Erasure]():              vault.Erasure{Purpose: vaulttest.Security, Subject: strings.Repeat("0", 32)},
		reflect.TypeFor[vault.Role]():                 vault.RoleSeal,
		reflect.TypeFor[vault.Suspension]():           vault.Suspension{},
		reflect.TypeFor[vault.KEK]():                  vault.SharedKEK(vaulttest.NewAEAD(t)),
		reflect.TypeFor[func(vault.Progress) error](): func(vault.Progress) error { return nil },
	}
	ofVault := reflect.TypeFor[*vault.Vault]()
	for name, handle := range map[string]any{
		"nil Vault": (*vault.Vault)(nil), "zero Vault": &vault.Vault{}, "nil Admin": (*vault.Admin)(nil), "zero Admin": &vault.Admin{},
		"Vault of a nil Admin": (*vault.Admin)(nil).Vault(), "Vault of a zero Admin": (&vault.Admin{}).Vault(),
	} {
		typ := reflect.TypeOf(handle)
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			t.Run(name+"/"+m.Name, func(t *testing.T) {
				in := []reflect.Value{reflect.ValueOf(handle)}
				for i := 1; i < m.Type.NumIn(); i++ {
					arg := m.Type.In(i)
					if m.Type.IsVariadic() && i == m.Type.NumIn()-1 {
						arg = arg.Elem()
					}
					if m.Name != "Format" {
						require.Contains(t, arguments, arg)
						in = append(in, reflect.ValueOf(arguments[arg]))
					}
				}
				_, promoted := ofVault.MethodByName(m.Name)
				switch {
				case m.Name == "String" || m.Name == "Format":
					require.Equal(t, strings.TrimPrefix(typ.String(), "*"), fmt.Sprintf("%v", handle))
				case m.Name == "Vault":
					require.True(t, m.Func.Call(in)[0].IsNil())
				case name == "nil Admin" && promoted:
					require.Panics(t, func() { m.Func.Call(in) }, "as documented")
				case m.Name == "Stats" || m.Name == "Status":
					require.True(t, m.Func.Call(in)[0].IsZero())
				case m.Name == "Close":
					require.True(t, m.Func.Call(in)[0].IsNil())
				default:
					out := m.Func.Call(in)
					err, _ := out[len(out)-1].Interface().(error)
					require.ErrorIs(t, err, vault.ErrInvalid)
					require.ErrorContains(t, err, "nil vault")
					for _, result := range out[:len(out)-1] {
						require.True(t, result.IsZero())
					}
				}
			})
		}
	}
}

// A rotation makes one key, of the role that it is asked for, and its event names the
// role. A role that can't be rotated changes nothing.
func TestRotateByRole(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	var events []audit.Event
	a := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return nil })}, p)
	keys := func() map[uint32]vault.Key {
		all, err := a.Keys(ctx, p)
		require.NoError(t, err)
		byID := make(map[uint32]vault.Key)
		for _, k := range all {
			byID[k.ID] = k
		}
		return byID
	}
	generation := uint64(1)
	for _, role := range []vault.Role{vault.RoleSeal, vault.RoleIndex, vault.RoleCollect} {
		before := keys()
		require.NoError(t, a.Rotate(ctx, p, role))
		last := events[len(events)-1]
		after := keys()
		require.NotContains(t, before, last.KeyID)
		require.Contains(t, after, last.KeyID)
		generation++
		require.Equal(t, audit.Event{
			Time: last.Time, Action: audit.Rotate, Outcome: audit.Allowed, Purpose: p, Role: string(role), KeyID: last.KeyID, Generation: generation, Digest: last.Digest, Unwraps: 2,
		}, last)
		require.Len(t, after, len(before)+1)
		for id, k := range after {
			if old, known := before[id]; known {
				require.Equal(t, old, k)
				continue
			}
			require.Equal(t, role, k.Role)
			require.Equal(t, vault.Active, k.Status)
			require.False(t, k.PrimaryAt.IsZero())
		}
	}
	for role, named := range map[vault.Role]string{vault.RoleSubject: "subject", "": "", "alice@example.com": ""} {
		before := keys()
		pin, err := a.Pin(ctx, p)
		require.NoError(t, err)
		err = a.Rotate(ctx, p, role)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.NotContains(t, err.Error(), "alice")
		last := events[len(events)-1]
		require.Equal(t, audit.Event{
			Time: last.Time, Action: audit.Rotate, Outcome: audit.Failed, Purpose: p, Role: named, Generation: generation, Reason: "invalid", Digest: last.Digest, Unwraps: 1, Err: last.Err,
		}, last)
		require.Equal(t, before, keys())
		now, err := a.Pin(ctx, p)
		require.NoError(t, err)
		require.Equal(t, pin, now)
	}
}

// WrappedBy tells the KEK of a purpose by the name that its keys were wrapped under, through
// each move. A name that somebody else wrote into the record is refused.
func TestWrappedByNamesTheKEK(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	aead := vaulttest.NewAEAD(t)
	store := vault.Memory()
	v := vaulttest.Open(t, store, vault.SharedKEK(namedAEAD{aead, "transit/security:v1"}), nil)
	require.NoError(t, v.Generate(ctx, p))
	wrappedBy := func(v *vault.Admin, want string) {
		t.Helper()
		name, err := v.WrappedBy(ctx, p)
		require.NoError(t, err)
		require.Equal(t, want, name)
	}
	wrappedBy(v, "transit/security:v1")
	other := vault.SharedKEK(namedAEAD{aead, "transit/security:v2"})
	wrappedBy(vaulttest.Open(t, store, other, nil), "transit/security:v1") // the record's, not the configured one
	require.NoError(t, v.Rewrap(ctx, other, p))
	wrappedBy(v, "transit/security:v2")
	require.NoError(t, v.Rotate(ctx, p, vault.RoleSeal))
	wrappedBy(v, "transit/security:v2")

	record := vaulttest.GetRecord(t, store, "security/keys")
	forged := strings.Replace(string(record.Data), "security:v2", "security:v1", 1)
	require.NotEqual(t, string(record.Data), forged)
	at := vaulttest.PutRecord(t, store, "security/keys", record.Revision, forged)
	_, err := vaulttest.Open(t, store, other, nil).WrappedBy(ctx, p)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	vaulttest.PutRecord(t, store, "security/keys", at, string(record.Data))

	require.NoError(t, v.Rewrap(ctx, vault.SharedKEK(aead), p))
	wrappedBy(v, "")
	_, err = v.WrappedBy(ctx, vaulttest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

// The event of Generate tells keys that were made from keys that were left alone, so that an
// auditor sees when a purpose began. Of many processes that start at once, one made them.
func TestGenerateTellsMadeFromLeftAlone(t *testing.T) {
	ctx := t.Context()
	var mu sync.Mutex
	reasons := map[string]int{}
	opts := &vault.Options{Audit: auditFunc(func(e audit.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Action == audit.Generate {
			reasons[fmt.Sprint(e.Purpose, " ", e.Outcome, " ", e.Reason)]++
		}
		return nil
	})}
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	const processes = 8
	var wg sync.WaitGroup
	for range processes {
		v := vaulttest.Open(t, store, kek, opts)
		wg.Go(func() { require.NoError(t, v.Generate(ctx, vaulttest.Security)) })
	}
	wg.Wait()
	require.Equal(t, map[string]int{"security allowed made": 1, "security allowed exists": processes - 1}, reasons)

	clear(reasons)
	v := vaulttest.Open(t, store, kek, opts)
	require.NoError(t, v.Generate(ctx, vaulttest.Security, vaulttest.Advertising, vaulttest.Security))
	require.Equal(t, map[string]int{"security allowed exists": 2, "advertising allowed made": 1}, reasons)

	clear(reasons)
	refusing := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrUnavailable}), opts)
	require.ErrorIs(t, refusing.Generate(ctx, vaulttest.Billing), vault.ErrUnavailable)
	require.Equal(t, map[string]int{"billing failed unavailable": 1}, reasons)
}
