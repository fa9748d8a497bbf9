package vault_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestCheckDenied(t *testing.T) {
	store := vault.Memory()
	ours, theirs := vaulttest.NewAEAD(t), vaulttest.NewAEAD(t)
	admin := vault.KEKs{vaulttest.Advertising: vault.SharedKEK(ours), vaulttest.Security: vault.SharedKEK(theirs)}
	require.NoError(t, vaulttest.Open(t, store, admin, nil).Generate(t.Context(), vaulttest.Advertising, vaulttest.Security))
	ctx := t.Context()
	// The ads process: its own key, and what the key service says of security's.
	process := func(security_ vault.KEK) *vault.Admin {
		return vaulttest.Open(t, store, vault.KEKs{vaulttest.Advertising: vault.SharedKEK(ours), vaulttest.Security: security_}, nil)
	}

	t.Run("a KEK that was not asked is no proof", func(t *testing.T) {
		err := process(nil).CheckDenied(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorContains(t, err, "refused for another reason than a missing grant")
	})
	t.Run("a KEK that says why is believed", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(true)})).CheckDenied(ctx, vaulttest.Security))
		require.ErrorIs(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(false)})).CheckDenied(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("a grant too many", func(t *testing.T) {
		v := process(vault.SharedKEK(theirs))
		err := v.CheckDenied(ctx, vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrGranted)
		require.EqualError(t, err, "vault: checking keys of security: this process can open keys that it must not have")
		vaulttest.Scope(t, v, vaulttest.Security)
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrGranted, "opened before")
	})
	t.Run("a refusal is proof if it is for want of a grant", func(t *testing.T) {
		require.NoError(t, process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrAccessDenied})).CheckDenied(ctx, vaulttest.Security))
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrNoKeys}))
		vaulttest.Scope(t, v, vaulttest.Advertising)
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("a refusal without a reason proves nothing", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: errors.New("dial tcp: no route to host")}))
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrUnavailable)
		vaulttest.Scope(t, v, vaulttest.Advertising)
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrUnavailable, "beside a purpose that does open")
	})
	t.Run("a service that is down is no proof", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrUnavailable}))
		vaulttest.Scope(t, v, vaulttest.Advertising)
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrUnavailable)
	})
	t.Run("no keys to try are no proof", func(t *testing.T) {
		require.ErrorIs(t, process(nil).CheckDenied(ctx, vaulttest.Billing), vault.ErrNoKeys)
	})
	t.Run("all of them", func(t *testing.T) {
		v := process(vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrAccessDenied}))
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security, vaulttest.Advertising), vault.ErrGranted)
		require.ErrorIs(t, v.CheckDenied(ctx), vault.ErrInvalid)
		require.ErrorIs(t, v.CheckDenied(ctx, purpose.Purpose{}), vault.ErrInvalid)
	})
	t.Run("is recorded as a check", func(t *testing.T) {
		var events []audit.Event
		v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrAccessDenied}), &vault.Options{Audit: auditFunc(func(e audit.Event) error {
			events = append(events, e)
			return nil
		})})
		require.NoError(t, v.CheckDenied(ctx, vaulttest.Security))
		require.Len(t, events, 1)
		require.Equal(t, audit.CheckDenied, events[0].Action)
		require.Equal(t, audit.Allowed, events[0].Outcome)

		events = nil
		v = vaulttest.Open(t, store, admin, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
			events = append(events, e)
			return nil
		})})
		require.NoError(t, v.CheckKEK(ctx, vaulttest.Security))
		require.Len(t, events, 1)
		require.Equal(t, audit.CheckKEK, events[0].Action, "the opposite proof is another action")
	})
}

// namedAEAD is an AEAD that tells the name of its key.
type namedAEAD struct {
	vault.AEAD
	name string
}

func (n namedAEAD) KeyName() string { return n.name }

// A denial for a key of another name than the record's proves nothing: the key was
// mistyped, and the one that wraps the keys was never asked for.
func TestADenialIsForTheKeyOfTheRecord(t *testing.T) {
	denied := vaulttest.Refusing{Err: vault.ErrAccessDenied}
	named := func(a vault.AEAD, name string) vault.KEK {
		if name == "" {
			return vault.SharedKEK(a)
		}
		return vault.SharedKEK(namedAEAD{a, name})
	}
	for _, test := range []struct {
		wrapped string
		asked   vault.KEK
		proof   bool
	}{
		{"key-1", named(denied, "key-1"), true},
		{"key-1", named(denied, "kye-1"), false},
		{"key-1", named(denied, ""), false},
		{"", named(denied, ""), true},
		{"", named(denied, "key-1"), false},
		{"key-1", vault.EitherKEK(named(denied, "key-2"), named(denied, "key-1")), true},
		{"key-1", vault.EitherKEK(named(denied, "key-1"), named(denied, "key-0")), true},
		{"key-1", vault.EitherKEK(named(denied, "key-2"), named(denied, "key-0")), false},
	} {
		store := vault.Memory()
		require.NoError(t, vaulttest.Open(t, store, named(vaulttest.NewAEAD(t), test.wrapped), nil).Generate(t.Context(), vaulttest.Security))
		err := vaulttest.Open(t, store, test.asked, nil).CheckDenied(t.Context(), vaulttest.Security)
		if test.proof {
			require.NoError(t, err, test)
			continue
		}
		require.ErrorIs(t, err, vault.ErrUnavailable, test)
	}
}

// With key files, a file that the process may read is a grant.
func TestCheckDeniedWithFiles(t *testing.T) {
	dir, store := t.TempDir(), vault.Memory()
	all := vault.LocalKEK(filepath.Join(dir, "all"))
	require.NoError(t, vaulttest.Open(t, store, all, nil).Generate(t.Context(), vaulttest.Security))
	require.ErrorIs(t, vaulttest.Open(t, store, all, nil).CheckDenied(t.Context(), vaulttest.Security), vault.ErrGranted)
	other := vaulttest.Open(t, store, vault.LocalKEK(filepath.Join(dir, "ads")), nil)
	require.ErrorIs(t, other.CheckDenied(t.Context(), vaulttest.Security), vault.ErrUnavailable, "the file may be elsewhere")
}

func TestPurposes(t *testing.T) {
	v := vaulttest.Generated(t, nil)
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Zero(t, found.Len())

	dashed := purpose.MustParse("security-2fa")
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Advertising, dashed))
	for range 3 {
		vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"), vaulttest.Scope(t, v, dashed).For("alice"))
	}
	_, err = v.Erase(t.Context(), "bob", vaulttest.Security)
	require.NoError(t, err)
	found, err = v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, purpose.NewSet(vaulttest.Advertising, vaulttest.Security, dashed), found)

	require.NoError(t, v.Close())
	_, err = v.Purposes(t.Context())
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestPurposesOfDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v := vaulttest.Open(t, vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, purpose.MustParse("security-2fa"), vaulttest.Advertising))
	vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	found, err := v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, "advertising+security+security-2fa", found.String())

	// A folder of subjects that is open to others hides no purpose.
	require.NoError(t, os.Chmod(filepath.Join(dir, "security", "subjects"), 0o755))
	found, err = v.Purposes(t.Context())
	require.NoError(t, err)
	require.Equal(t, "advertising+security+security-2fa", found.String())
	// A folder of a purpose might have been any.
	require.NoError(t, os.Chmod(filepath.Join(dir, "security"), 0o755))
	found, err = v.Purposes(t.Context())
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.Zero(t, found.Len())
}

// Purposes costs few calls of the store: one List for folders of few names, one more for
// each folder of many, of which few names are taken, and a Get for 256 key records.
func TestPurposesCallsTheStoreSeldom(t *testing.T) {
	const purposes = 1000
	for name, test := range map[string]struct {
		subjects int // in every folder
		lists    int
	}{
		"few subjects":  {2, 1},
		"many subjects": {50, 1 + purposes},
	} {
		t.Run(name, func(t *testing.T) {
			store := &tallyStore{Store: vault.Memory()}
			for i := range purposes {
				p := fmt.Sprintf("p%04d", i)
				vaulttest.PutRecord(t, store, p+"/keys", 0, "x")
				for j := range test.subjects {
					vaulttest.PutRecord(t, store, fmt.Sprintf("%s/subjects/%02d", p, j), 0, "x")
				}
			}
			v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
			*store = tallyStore{Store: store.Store}
			found, err := v.Purposes(t.Context())
			require.NoError(t, err)
			require.Equal(t, purposes, found.Len())
			require.Equal(t, (purposes+255)/256, store.gets)
			require.Equal(t, test.lists, store.lists)
			require.LessOrEqual(t, store.names, purposes*32)
		})
	}
}

// A tallyStore counts the calls of a store that one goroutine makes.
type tallyStore struct {
	vault.Store
	gets, lists, names int
}

func (s *tallyStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	s.gets++
	return s.Store.Get(ctx, names...)
}

func (s *tallyStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	s.lists++
	return func(yield func(string, error) bool) {
		for name, err := range s.Store.List(ctx, prefix, after) {
			s.names++
			if !yield(name, err) {
				return
			}
		}
	}
}

// A key file that can't be read costs no other purpose: all are listed, with an error that
// names the file. A store that does not answer lists nothing.
func TestPurposesGoOnPastABadKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v := vaulttest.Open(t, vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Billing, vaulttest.Advertising))
	file := func(p purpose.Purpose) string { return filepath.Join(dir, p.String(), "keys.key") }
	whole, err := os.ReadFile(file(vaulttest.Billing))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		damage func() error
		want   error
	}{
		"malformed":               {func() error { return os.WriteFile(file(vaulttest.Billing), []byte("x"), 0o600) }, vault.ErrCorrupt},
		"empty":                   {func() error { return os.WriteFile(file(vaulttest.Billing), nil, 0o600) }, vault.ErrCorrupt},
		"cut short":               {func() error { return os.WriteFile(file(vaulttest.Billing), whole[:len(whole)-1], 0o600) }, vault.ErrCorrupt},
		"open to others":          {func() error { return os.Chmod(file(vaulttest.Billing), 0o644) }, vault.ErrNoKeys},
		"with a second hard link": {func() error { return os.Link(file(vaulttest.Billing), dir+"-backup") }, vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.damage())
			found, err := v.Purposes(t.Context())
			require.ErrorIs(t, err, test.want)
			require.NotErrorIs(t, err, vault.ErrUnavailable)
			require.ErrorContains(t, err, "vault: listing purposes: record billing/keys: ")
			require.Equal(t, "advertising+billing+security", found.String())
			require.NoError(t, os.RemoveAll(dir+"-backup"))
			require.NoError(t, os.Remove(file(vaulttest.Billing)))
			require.NoError(t, os.WriteFile(file(vaulttest.Billing), whole, 0o600))
		})
	}
	require.NoError(t, os.WriteFile(file(vaulttest.Security), nil, 0o600))
	require.NoError(t, os.WriteFile(file(vaulttest.Billing), nil, 0o600))
	_, err = v.Purposes(t.Context())
	require.ErrorContains(t, err, "record billing/keys: ", "the first one")

	for _, failure := range []error{vault.ErrUnavailable, fmt.Errorf("%w: %w", vault.ErrCorrupt, vault.ErrUnavailable), errors.New("down")} {
		down := vaulttest.Open(t, failingGet{vault.Dir(dir), failure}, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
		found, err := down.Purposes(t.Context())
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.Zero(t, found.Len())
	}
}

// failingGet is a store whose reads fail.
type failingGet struct {
	vault.Store
	err error
}

func (s failingGet) Get(context.Context, ...string) ([]vault.Record, error) { return nil, s.err }

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
	both := vaulttest.Refusing{Err: fmt.Errorf("%w: %w", vault.ErrAccessDenied, vault.ErrUnavailable)}
	broken := vaulttest.Refusing{Err: vault.ErrCorrupt}
	timeout := vaulttest.Refusing{Err: fmt.Errorf("%w: %w", vault.ErrAccessDenied, context.DeadlineExceeded)}
	shared := vault.SharedKEK
	no := vault.KEKs{}

	for name, test := range map[string]struct {
		kek  vault.KEK
		want error
	}{
		"a denial":                             {shared(denied), nil},
		"a denial before there is an AEAD":     {kekFailing(vaulttest.Denial(true)), nil},
		"a plain refusal":                      {shared(plain), vault.ErrUnavailable},
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
			err := vaulttest.Open(t, store, test.kek, nil).CheckDenied(t.Context(), vaulttest.Security)
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
		return vaulttest.Open(t, store, vault.LocalKEK(dir), nil).CheckDenied(t.Context(), vaulttest.Security)
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
	require.ErrorIs(t, check(), vault.ErrUnavailable, "a missing file may be elsewhere")

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	require.ErrorIs(t, check(), vault.ErrCorrupt, "a file that is broken today")
}

// Keys that this process holds are held, whatever the key service says by now.
func TestKeysThatAreOpenAreGranted(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
	for name, take := range map[string]func(*vault.Admin) error{
		"scope":  func(v *vault.Admin) error { _, err := v.Scope(t.Context(), vaulttest.Security); return err },
		"reader": func(v *vault.Admin) error { _, err := v.Reader(t.Context(), vaulttest.Security); return err },
		"lookup": func(v *vault.Admin) error { _, err := v.Lookup(t.Context(), vaulttest.Security); return err },
	} {
		t.Run(name, func(t *testing.T) {
			kek := &vaulttest.Spy{AEAD: a}
			v := vaulttest.Open(t, store, kek, nil)
			require.NoError(t, take(v))
			kek.Meddle(func(context.Context) error { return vaulttest.Denial(true) })
			require.ErrorIs(t, v.CheckDenied(t.Context(), vaulttest.Security), vault.ErrGranted)
		})
	}
}

// That a process has a grant too many is what an auditor looks for.
func TestAGrantTooManyIsRecorded(t *testing.T) {
	var events []audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
		events = append(events, e)
		return nil
	})}, vaulttest.Security)
	events = nil
	require.ErrorIs(t, v.CheckDenied(t.Context(), vaulttest.Security), vault.ErrGranted)
	require.Len(t, events, 1)
	require.Equal(t, audit.Denied, events[0].Outcome)
	require.ErrorIs(t, events[0].Err, vault.ErrGranted)
}

// A check that could not be recorded has not passed.
func TestCheckDeniedFailsClosed(t *testing.T) {
	store := vault.Memory()
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil).Generate(t.Context(), vaulttest.Security))
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.Refusing{Err: vaulttest.Denial(true)}), &vault.Options{Audit: auditFunc(func(audit.Event) error {
		return errors.New("disk full")
	})})
	require.ErrorIs(t, v.CheckDenied(t.Context(), vaulttest.Security), vault.ErrUnavailable)
}

// Processes that have a Dir each, and copies of each other's wrapped keys, prove that they
// are denied them, as OPERATIONS.md describes. Their Dirs are of one vault: the wrapped keys
// of another vault are no keys to try.
func TestCheckDeniedWithADirForEach(t *testing.T) {
	ctx := t.Context()
	for _, oneVault := range []bool{true, false} {
		base := t.TempDir()
		theirs, ours := filepath.Join(base, "security"), filepath.Join(base, "advertising")
		copied := func(file string) {
			t.Helper()
			b, err := os.ReadFile(filepath.Join(theirs, file))
			require.NoError(t, err)
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(ours, file)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(ours, file), b, 0o600))
		}
		require.NoError(t, vaulttest.Open(t, vault.Dir(theirs), vault.SharedKEK(vaulttest.NewAEAD(t)), nil).Generate(ctx, vaulttest.Security))
		v := vaulttest.Open(t, vault.Dir(ours), vault.KEKs{
			vaulttest.Advertising: vault.SharedKEK(vaulttest.NewAEAD(t)), vaulttest.Security: vault.SharedKEK(vaulttest.Refusing{Err: vault.ErrAccessDenied}),
		}, nil)
		if oneVault {
			copied("0-vault.key")
		}
		require.NoError(t, v.Generate(ctx, vaulttest.Advertising))
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Security), vault.ErrNoKeys, "no keys to try")
		copied("security/keys.key")
		if err := v.CheckDenied(ctx, vaulttest.Security); oneVault {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, vault.ErrCorrupt)
		}
		require.ErrorIs(t, v.CheckDenied(ctx, vaulttest.Advertising), vault.ErrGranted)
	}
}
