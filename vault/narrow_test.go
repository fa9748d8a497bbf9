package vault_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestLookupFindsWhatScopeIndexes(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	want, err := vaulttest.Scope(t, v, vaulttest.Security).Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	l := vaulttest.Lookup(t, v, vaulttest.Security)
	require.Equal(t, vaulttest.Security, l.Purpose())
	got, err := l.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, want, got)
	other, err := vaulttest.Lookup(t, v, vaulttest.Advertising).Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.NotEqual(t, want, other)

	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleIndex)
	all, err := l.Indexes(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Len(t, all, 2, "takes up a new key at once in the process that made it")
	require.Equal(t, want, all[1])
}

func TestReaderRevealsWhatScopeSeals(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	s, r := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
	require.Equal(t, vaulttest.Security, r.Purpose())
	for _, value := range []vault.Sealed{vaulttest.Seal(t, s), vaulttest.Seal(t, s, vaulttest.Scope(t, v, vaulttest.Advertising)), vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security))} {
		text, err := r.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err)
		require.Equal(t, "text", text)
		hint, err := r.Hint(t.Context(), vaulttest.Note, value, strings.ToUpper)
		require.NoError(t, err)
		require.Equal(t, "TEXT", hint)
	}
	_, err := r.Reveal(t.Context(), vaulttest.Note, vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Advertising)))
	require.ErrorIs(t, err, purpose.ErrMismatch)

	value := vaulttest.Seal(t, s.For("alice"))
	_, err = r.For("bob").Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	_, err = r.Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrSubject)
	require.NoError(t, r.Prefetch(t.Context(), "alice"))
	text, err := r.For("alice").Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)
	require.Equal(t, "text", text)

	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	_, err = r.Reveal(t.Context(), vaulttest.Note, vaulttest.Seal(t, s))
	require.NoError(t, err)
}

// An erasure binds every handle of the process, not scopes alone.
func TestEraseReachesReaders(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	r := vaulttest.Reader(t, v, vaulttest.Security).For("alice")
	_, err := r.Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)
	_, err = v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	_, err = r.Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrErased)
}

// A key that is put out of use is so for every handle of the process.
func TestRetiringReachesReadersAndLookups(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	old := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security))
	r, l := vaulttest.Reader(t, v, vaulttest.Security), vaulttest.Lookup(t, v, vaulttest.Security)
	_, err := r.Reveal(t.Context(), vaulttest.Note, old)
	require.NoError(t, err)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleIndex)
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Status == vault.Active {
			require.NoError(t, v.Retire(t.Context(), vaulttest.Security, k.ID))
		}
	}
	_, err = r.Reveal(t.Context(), vaulttest.Note, old)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	all, err := l.Indexes(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func TestNarrowHandlesCostOneCall(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security, vaulttest.Billing))
	kek := &vaulttest.Spy{AEAD: a}
	v := vaulttest.Open(t, store, kek, nil)
	for range 3 {
		l := vaulttest.Lookup(t, v, vaulttest.Security)
		r := vaulttest.Reader(t, v, vaulttest.Billing)
		for range 50 {
			_, err := l.Index(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			_, err = r.Reveal(t.Context(), vaulttest.Note, vault.Sealed{})
			require.ErrorIs(t, err, vault.ErrInvalid)
		}
	}
	require.EqualValues(t, 2, kek.Calls.Load())
}

// What another process did to keys is noticed without asking the key service
// for keys that are at hand.
func TestNarrowHandlesRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := vault.Memory(), vaulttest.NewAEAD(t)
		other := vaulttest.Open(t, store, vault.SharedKEK(a), nil)
		require.NoError(t, other.Generate(t.Context(), vaulttest.Security))
		_, err := other.Erase(t.Context(), "somebody", vaulttest.Security)
		require.NoError(t, err)
		kek := &vaulttest.Spy{AEAD: a}
		v := vaulttest.Open(t, store, kek, nil)
		l := vaulttest.Lookup(t, v, vaulttest.Security)
		for range 3 {
			time.Sleep((5 * time.Minute))
			synctest.Wait()
			all, err := l.Indexes(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			require.Len(t, all, 1)
			synctest.Wait()
		}
		require.EqualValues(t, 1, kek.Calls.Load())

		vaulttest.Rotate(t, other, vaulttest.Security, vault.RoleIndex)
		time.Sleep((5 * time.Minute))
		synctest.Wait()
		_, err = l.Index(t.Context(), vaulttest.Note, "text") // which has it look
		require.NoError(t, err)
		synctest.Wait()
		all, err := l.Indexes(t.Context(), vaulttest.Note, "text")
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.EqualValues(t, 2, kek.Calls.Load())
		v.Close()
		other.Close()
	})
}

func TestNarrowHandlesAreRefused(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	_, err := v.Lookup(t.Context(), vaulttest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = v.Reader(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)

	for _, l := range []*vault.Lookup{nil, {}} {
		_, err := l.Index(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = l.Indexes(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.True(t, l.Purpose().IsZero())
		require.Equal(t, "vault.Lookup()", fmt.Sprintf("%+v", l))
	}
	for _, r := range []*vault.Reader{nil, {}, (*vault.Reader)(nil).For("x"), (&vault.Reader{}).For("x")} {
		_, err := r.Reveal(t.Context(), vaulttest.Note, vault.Sealed{})
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = r.Hint(t.Context(), vaulttest.Note, vault.Sealed{}, strings.ToUpper)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.ErrorIs(t, r.Prefetch(t.Context(), "x"), vault.ErrInvalid)
		require.True(t, r.Purpose().IsZero())
		require.Equal(t, "vault.Reader()", fmt.Sprintf("%#v", r))
	}

	l, r := vaulttest.Lookup(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
	require.Equal(t, "vault.Lookup(security) vault.Reader(security)", fmt.Sprintf("%+v %#v", l, r))
	require.Equal(t, "vault.Lookup(security)", l.LogValue().String())
	require.Equal(t, "vault.Reader(security)", r.LogValue().String())
	require.NoError(t, v.Close())
	_, err = l.Index(t.Context(), vaulttest.Note, "text")
	require.ErrorIs(t, err, vault.ErrNoKeys, "closing the vault ends them")
	_, err = r.Reveal(t.Context(), vaulttest.Note, vaulttest.Seal(t, vaulttest.Scope(t, vaulttest.Generated(t, nil, vaulttest.Security), vaulttest.Security)))
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = v.Lookup(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestNarrowHandlesAreRecorded(t *testing.T) {
	var events []audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
		events = append(events, e)
		return nil
	})}, vaulttest.Security)
	events = nil
	l, r := vaulttest.Lookup(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
	_, _ = l.Index(t.Context(), vaulttest.Note, "text")
	_, _ = r.Reveal(t.Context(), vaulttest.Note, vault.Sealed{})
	var actions []audit.Action
	for _, e := range events {
		require.Equal(t, vaulttest.Security, e.Purpose)
		actions = append(actions, e.Action)
	}
	require.Equal(t, []audit.Action{audit.Open, audit.Open, audit.Index, audit.Reveal}, actions)
}

// Neither a lookup nor a reader nor a collector nor a scope leads to a key that can do
// more than it says: not even through unexported fields and atomic pointers, and not
// in a process that has opened all scopes there are.
func TestNarrowHandlesHoldNoOtherKeys(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, s.For("alice"), vaulttest.Scope(t, v, vaulttest.Advertising))
	c := vaulttest.Collector(t, v, vaulttest.Security)
	vaulttest.Opens(t, s, vaulttest.Seal(t, c)) // which opens keys that are opened when needed
	l, r := vaulttest.Lookup(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
	_, err := l.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	_, err = r.For("alice").Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)

	for name, test := range map[string]struct {
		handle                any
		ciphers, prfs, vaults int
	}{
		"lookup":    {l, 0, 1, 0}, // the key of indexes
		"reader":    {r, 2, 1, 0}, // those of the purpose and of alice, and of pseudonyms
		"collector": {c, 0, 0, 0},
		"scope":     {s, 2, 2, 0}, // of its own purpose alone
	} {
		t.Run(name, func(t *testing.T) {
			w := deepWalker{seen: map[unsafe.Pointer]bool{}, types: map[string]int{}}
			w.walk(reflect.ValueOf(test.handle))
			require.Equal(t, test.ciphers, w.types["gcm.GCM"], "keys that open")
			require.Equal(t, test.prfs, w.types["aescmac.CMAC"], "keys that index")
			require.Equal(t, test.vaults, w.types["vault.Vault"], "a handle's own, which has no more")
			require.Zero(t, w.types["vault.privateKey"], "keys of collectors stand behind functions")
			require.Positive(t, w.types["purpose.Purpose"], "it has walked")
		})
	}

	// From the vault it finds everything, so it would elsewhere.
	w := deepWalker{seen: map[unsafe.Pointer]bool{}, types: map[string]int{}}
	w.walk(reflect.ValueOf(v))
	require.GreaterOrEqual(t, w.types["gcm.GCM"], 3)
	require.GreaterOrEqual(t, w.types["aescmac.CMAC"], 4)
	require.Equal(t, 1, w.types["vault.Vault"])
}

// A deepWalker counts the types that can be reached from a value by reflection,
// with the help of package unsafe where reflection ends: unexported fields, atomic
// pointers and maps of package sync. It looks neither into functions nor into channels, which
// TestNothingLeadsFromAHandleToOtherKeys does with the garbage collector.
type deepWalker struct {
	seen  map[unsafe.Pointer]bool
	types map[string]int
}

func (w *deepWalker) walk(v reflect.Value) {
	if !v.IsValid() {
		return
	}
	w.types[v.Type().String()]++
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || w.seen[v.UnsafePointer()] {
			return
		}
		w.seen[v.UnsafePointer()] = true
		w.walk(v.Elem())
	case reflect.Interface:
		w.walk(v.Elem())
	case reflect.Struct:
		if strings.HasPrefix(v.Type().String(), "atomic.Pointer[") && v.CanAddr() {
			// struct{ _ [0]*T; _ noCopy; v unsafe.Pointer }
			target := v.Type().Field(0).Type.Elem()
			// A timer may write to it, as to the last reading of a clock.
			w.walk(reflect.NewAt(target.Elem(), atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(v.UnsafeAddr())))))
			return
		}
		if v.Type() == reflect.TypeFor[sync.Map]() && v.CanAddr() {
			for key, value := range (*sync.Map)(unsafe.Pointer(v.UnsafeAddr())).Range {
				w.walk(reflect.ValueOf(key))
				w.walk(reflect.ValueOf(value))
			}
			return
		}
		for i := range v.NumField() {
			w.walk(v.Field(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			w.walk(key)
			w.walk(v.MapIndex(key))
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			w.walk(v.Index(i))
		}
	}
}

// A reader to a recipient reveals the values of its reader, and each event names the
// recipient. No text that could be of a person becomes a recipient, and no recipient
// replaces another.
func TestSendNamesTheRecipient(t *testing.T) {
	var last audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
		last = e
		return nil
	})}, vaulttest.Security)
	s, r := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
	value, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice"))
	require.NoError(t, err)
	for _, reader := range []*vault.Reader{r.To("sms.example").For("alice"), r.For("alice").To("sms.example")} {
		text, err := reader.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err)
		require.Equal(t, "text", text)
		require.Equal(t, []any{audit.Send, audit.Allowed, "sms.example"}, []any{last.Action, last.Outcome, last.Recipient})
		require.NotEmpty(t, last.Subject)
	}
	_, err = r.To("sms.example").Reveal(t.Context(), vaulttest.Note, value)
	require.EqualError(t, err, "vault: sending note: not sealed for this subject")
	require.Equal(t, "sms.example", last.Recipient)
	_, err = r.For("alice").To("sms.example").Hint(t.Context(), vaulttest.Note, value, func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, []any{audit.Hint, "sms.example"}, []any{last.Action, last.Recipient})
	require.Equal(t, uint64(2), v.Stats().Operations[audit.Send].Allowed)

	for _, bad := range []string{"", "a@example.com", "+14155552671", "14155552671", "415.555.2671", "Mail.example", "a b", "a\n", "é", strings.Repeat("a", 256)} {
		_, err = r.For("alice").To(bad).Reveal(t.Context(), vaulttest.Note, value)
		require.ErrorIs(t, err, vault.ErrInvalid, bad)
		require.Empty(t, last.Recipient)
	}
	_, err = r.For("alice").To("sms.example").To("mail.example").Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = r.To("!").For("alice").Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrInvalid)
}
