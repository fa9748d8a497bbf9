package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// kekFailing is a KEK that fails before there is an AEAD.
func kekFailing(err error) vault.KEK {
	return vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) { return nil, err })
}

// What the KEK of a purpose says, and whether that proves that the purpose's keys
// can't be opened here. Nothing is proof that could be otherwise tomorrow.
func TestWhatProvesThatKeysDoNotOpen(t *testing.T) {
	ours, theirs := vaulttest.NewAEAD(t), vaulttest.NewAEAD(t)
	store := vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, vault.KEKs{vaulttest.Advertising: vault.SharedKEK(ours), vaulttest.Security: vault.SharedKEK(theirs)}, nil).
		Generate(t.Context(), vaulttest.Advertising, vaulttest.Security))

	denied, disabled := vaulttest.Refusing{Err: vaulttest.Denial(true)}, vaulttest.Refusing{Err: vaulttest.Denial(false)}
	plain, silent, down := vaulttest.Refusing{Err: vault.ErrNoKeys}, vaulttest.Refusing{Err: errors.New("no route to host")}, vaulttest.Refusing{Err: vault.ErrUnavailable}
	both := vaulttest.Refusing{Err: fmt.Errorf("%w: %w", vault.ErrNoKeys, vault.ErrUnavailable)}
	broken := vaulttest.Refusing{Err: vault.ErrCorrupt}
	timeout := vaulttest.Refusing{Err: fmt.Errorf("%w: %w", vault.ErrNoKeys, context.DeadlineExceeded)}
	shared := vault.SharedKEK
	no := vault.KEKs{}

	for name, test := range map[string]struct {
		kek  vault.KEK
		want error
	}{
		"a denial":                             {shared(denied), nil},
		"a denial before there is an AEAD":     {kekFailing(vaulttest.Denial(true)), nil},
		"a plain refusal":                      {shared(plain), nil},
		"a key that is disabled today":         {shared(disabled), vault.ErrUnavailable},
		"a service that is down":               {shared(down), vault.ErrUnavailable},
		"a refusal that is an outage too":      {shared(both), vault.ErrUnavailable},
		"a refusal for want of time":           {shared(timeout), vault.ErrUnavailable},
		"an error of somebody else's":          {shared(silent), vault.ErrUnavailable},
		"another key":                          {shared(ours), vault.ErrUnavailable},
		"the key":                              {shared(theirs), vault.ErrGranted},
		"no KEK in the map":                    {no, vault.ErrUnavailable},
		"nil in the map":                       {vault.KEKs{vaulttest.Security: nil}, vault.ErrUnavailable},
		"a nil KEKFunc":                        {vault.KEKFunc(nil), vault.ErrUnavailable},
		"a KEKFunc without AEAD":               {kekFailing(nil), vault.ErrUnavailable},
		"a nil AEAD":                           {shared(nil), vault.ErrUnavailable},
		"a KEK that panics":                    {vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) { panic("x") }), vault.ErrUnavailable},
		"either: denied twice":                 {vault.EitherKEK(shared(denied), shared(denied)), nil},
		"either: denied, then the key":         {vault.EitherKEK(shared(denied), shared(theirs)), vault.ErrGranted},
		"either: the key, then denied":         {vault.EitherKEK(shared(theirs), shared(denied)), vault.ErrGranted},
		"either: down, then the key":           {vault.EitherKEK(shared(down), shared(theirs)), vault.ErrGranted},
		"either: denied, then disabled":        {vault.EitherKEK(shared(denied), shared(disabled)), vault.ErrUnavailable},
		"either: disabled, then denied":        {vault.EitherKEK(shared(disabled), shared(denied)), vault.ErrUnavailable},
		"either: denied, then down":            {vault.EitherKEK(shared(denied), shared(down)), vault.ErrUnavailable},
		"either: down, then denied":            {vault.EitherKEK(shared(down), shared(denied)), vault.ErrUnavailable},
		"either: denied, then silent":          {vault.EitherKEK(shared(denied), shared(silent)), vault.ErrUnavailable},
		"either: silent, then denied":          {vault.EitherKEK(shared(silent), shared(denied)), vault.ErrUnavailable},
		"either: plain, then disabled":         {vault.EitherKEK(shared(plain), shared(disabled)), vault.ErrUnavailable},
		"either: plain, then silent":           {vault.EitherKEK(shared(plain), shared(silent)), vault.ErrUnavailable},
		"either: plain, then both":             {vault.EitherKEK(shared(plain), shared(both)), vault.ErrUnavailable},
		"either: denied, then not configured":  {vault.EitherKEK(shared(denied), no), vault.ErrUnavailable},
		"either: not configured, then denied":  {vault.EitherKEK(no, shared(denied)), vault.ErrUnavailable},
		"either: not configured at all":        {vault.EitherKEK(no, no), vault.ErrUnavailable},
		"either: nil":                          {vault.EitherKEK(nil, shared(denied)), vault.ErrUnavailable},
		"either: refuses before there is AEAD": {vault.EitherKEK(kekFailing(vaulttest.Denial(true)), kekFailing(vaulttest.Denial(true))), nil},
		"either: one before, disabled":         {vault.EitherKEK(kekFailing(vaulttest.Denial(true)), kekFailing(vaulttest.Denial(false))), vault.ErrUnavailable},
		"a key that is broken today":           {shared(broken), vault.ErrCorrupt},
		"either: denied, then broken":          {vault.EitherKEK(shared(denied), shared(broken)), vault.ErrUnavailable},
		"either: broken, then denied":          {vault.EitherKEK(shared(broken), shared(denied)), vault.ErrCorrupt},
		"either within either":                 {vault.EitherKEK(shared(denied), vault.EitherKEK(shared(plain), shared(disabled))), vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			err := vaulttest.Open(t, store, test.kek, nil).MustNotOpen(t.Context(), vaulttest.Security)
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, test.want)
			require.Equal(t, errors.Is(test.want, vault.ErrGranted), errors.Is(err, vault.ErrGranted))
		})
	}
}

// A key file that LocalKEK does not take, because others could read it too, can be
// read by this process all the same.
func TestKeyFilesThatAreNotPrivateAreNoProof(t *testing.T) {
	dir, store := filepath.Join(t.TempDir(), "kek"), vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, vault.LocalKEK(dir), nil).Generate(t.Context(), vaulttest.Security))
	file := filepath.Join(dir, "security.kek")
	check := func() error {
		return vaulttest.Open(t, store, vault.LocalKEK(dir), nil).MustNotOpen(t.Context(), vaulttest.Security)
	}
	require.ErrorIs(t, check(), vault.ErrGranted)

	require.NoError(t, os.Chmod(file, 0o644))
	require.ErrorIs(t, check(), vault.ErrUnavailable)
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.ErrorIs(t, check(), vault.ErrUnavailable)
	require.NoError(t, os.Chmod(dir, 0o700))

	require.NoError(t, os.Rename(file, file+".1"))
	require.NoError(t, os.Symlink("security.kek.1", file))
	require.ErrorIs(t, check(), vault.ErrUnavailable)
	require.NoError(t, os.Remove(file))
	require.NoError(t, check(), "without a file there is no grant")

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	require.ErrorIs(t, check(), vault.ErrCorrupt, "a file that is broken today")
}

// Keys that this process holds are held, whatever the key service says by now.
func TestKeysThatAreOpenAreGranted(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
	for name, take := range map[string]func(*vault.Vault) error{
		"scope":  func(v *vault.Vault) error { _, err := v.Scope(t.Context(), vaulttest.Security); return err },
		"reader": func(v *vault.Vault) error { _, err := v.Reader(t.Context(), vaulttest.Security); return err },
		"lookup": func(v *vault.Vault) error { _, err := v.Lookup(t.Context(), vaulttest.Security); return err },
	} {
		t.Run(name, func(t *testing.T) {
			kek := &vaulttest.Spy{AEAD: a}
			v := vaulttest.Open(t, store, kek, nil)
			require.NoError(t, take(v))
			kek.Meddle = func(context.Context) error { return vaulttest.Denial(true) }
			require.ErrorIs(t, v.MustNotOpen(t.Context(), vaulttest.Security), vault.ErrGranted)
		})
	}
}

// That a process has a grant too many is what an auditor looks for.
func TestAGrantTooManyIsRecorded(t *testing.T) {
	var events []vault.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e vault.Event) error {
		events = append(events, e)
		return nil
	})}, vaulttest.Security)
	events = nil
	require.ErrorIs(t, v.MustNotOpen(t.Context(), vaulttest.Security), vault.ErrGranted)
	require.Len(t, events, 1)
	require.Equal(t, vault.Denied, events[0].Outcome)
	require.ErrorIs(t, events[0].Err, vault.ErrGranted)
}

// A check that could not be recorded has not passed.
func TestMustNotOpenFailsClosed(t *testing.T) {
	store := vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil).Generate(t.Context(), vaulttest.Security))
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(true)}), &vault.Options{Audit: auditFunc(func(vault.Event) error {
		return errors.New("disk full")
	})})
	require.ErrorIs(t, v.MustNotOpen(t.Context(), vaulttest.Security), vault.ErrUnavailable)
}
