package faulttest

import (
	"context"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// research is a purpose of another process: its key is denied to this one.
var research = purpose.MustParse("research")

// A faultBase is what all worlds begin with: a store, made once.
type faultBase struct {
	keys     map[purpose.Purpose]vault.AEAD // of the key service
	next     vault.AEAD                     // the key to re-wrap with
	before   map[string][]byte              // records of long ago
	now      map[string][]byte
	revision map[string]int64 // of the records of long ago, in every world
	names    []string
	subjects []string          // those of security's subjects
	others   map[string][]byte // what stands under another name of the same kind
	strange  string            // name of a subject of another purpose

	active, retired uint32 // keys that seal, or have sealed
	published       uint32 // a key of collectors that is still to become primary
	value, alices   vault.Sealed
	adsOfAlice      vault.Sealed
}

// newFaultBase is called in a bubble, so that its values are not of the future.
func newFaultBase(t *testing.T) *faultBase {
	a := vaulttest.NewAEAD(t)
	b := &faultBase{
		keys:     map[purpose.Purpose]vault.AEAD{vaulttest.Security: a, vaulttest.Advertising: vaulttest.NewAEAD(t), vaulttest.Billing: a},
		next:     vaulttest.NewAEAD(t),
		revision: map[string]int64{},
		others:   map[string][]byte{},
	}
	ctx := t.Context()
	keks := vault.KEKs{research: vault.SharedKEK(vaulttest.NewAEAD(t))}
	for p, a := range b.keys {
		keks[p] = vault.SharedKEK(a)
	}
	store := vault.Memory()
	v, err := vault.OpenAdmin(ctx, store, keks, vaulttest.DestroyingAtOnce(nil))
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, vaulttest.Security, vaulttest.Advertising, research))
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	_, err = v.Erase(ctx, "carol", vaulttest.Security, vaulttest.Advertising)
	require.NoError(t, err)
	b.alices, b.adsOfAlice = vaulttest.Seal(t, sec.For("alice")), vaulttest.Seal(t, ads.For("alice"))
	vaulttest.Seal(t, sec.For("bob"))
	b.before = vaulttest.Content(t, store)

	_, err = v.Erase(ctx, "dave", vaulttest.Security)
	require.NoError(t, err)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal) // a key that nothing is under
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	vaulttest.Rotate(t, v, vaulttest.Advertising, vault.RoleSeal)
	keys, err := v.Keys(ctx, vaulttest.Security)
	require.NoError(t, err)
	b.retired, b.active = keys[0].ID, keys[2].ID
	require.NoError(t, v.Rotate(ctx, vaulttest.Security, vault.RoleCollect))
	published, err := vaulttest.Published(ctx, v, vaulttest.Security, vault.RoleCollect)
	require.NoError(t, err)
	b.published = published.ID
	require.NoError(t, v.Retire(ctx, vaulttest.Security, b.retired))
	b.value = vaulttest.Seal(t, sec)
	b.now = vaulttest.Content(t, store)
	b.names = slices.Sorted(maps.Keys(b.now))
	for _, name := range b.names {
		if strings.HasPrefix(name, "security/subjects/") {
			b.subjects = append(b.subjects, name)
		}
	}

	name := func(s *vault.Scope, subject string) string {
		pseudonym, err := s.Pseudonym(ctx, subject)
		require.NoError(t, err)
		return s.Purpose().String() + "/subjects/" + pseudonym[:2] + "/" + pseudonym
	}
	b.strange = name(ads, "alice")
	for _, pair := range [][2]string{
		{"security/keys", "advertising/keys"},
		{"security/erasures", "advertising/erasures"},
		{name(sec, "alice"), name(sec, "bob")},
		{b.strange, name(sec, "alice")},
	} {
		b.others[pair[0]], b.others[pair[1]] = b.now[pair[1]], b.now[pair[0]]
	}
	b.store() // whose revisions are those of all
	return b
}

// store returns a store that was first what it was long ago.
func (b *faultBase) store() vault.Store {
	store := vault.Memory()
	for _, name := range b.names {
		data := b.now[name]
		if before, ok := b.before[name]; ok {
			b.revision[name], _ = store.Put(context.Background(), vault.Record{Name: name, Data: before})
		}
		if string(data) != string(b.before[name]) {
			store.Put(context.Background(), vault.Record{Name: name, Data: data, Revision: b.revision[name]})
		}
	}
	return store
}

// older returns what stood in the place of r long ago, if anything.
func (b *faultBase) older(r vault.Record) []vault.Record {
	if data, ok := b.before[r.Name]; ok {
		return []vault.Record{{Name: r.Name, Data: data, Revision: b.revision[r.Name]}}
	}
	return nil
}

// A faultWorld is a process whose store and key service can fail.
type faultWorld struct {
	*faultBase
	inner    vault.Store
	plug     *plug
	v        *vault.Admin
	sec, ads *vault.Scope // opened before

	mu     sync.Mutex
	events []audit.Event
	audit  func(context.Context, audit.Event) error // nil records all
}

// Audit is the vault's auditor.
func (w *faultWorld) Audit(ctx context.Context, e audit.Event) error {
	w.mu.Lock()
	w.events = append(w.events, e)
	audit := w.audit
	w.mu.Unlock()
	if audit != nil {
		return audit(ctx, e)
	}
	return nil
}

// recorded returns the events since it was called last.
func (w *faultWorld) recorded() []audit.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// auditWith has f decide from now on.
func (w *faultWorld) auditWith(f func(context.Context, audit.Event) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.audit = f
}

const (
	faultTimeout  = time.Minute
	faultLifetime = 100 * 24 * time.Hour
)

func (b *faultBase) world(t *testing.T) *faultWorld {
	w := &faultWorld{faultBase: b, inner: b.store(), plug: &plug{}}
	v, err := vault.OpenAdmin(t.Context(), plugStore{w.inner, w.plug}, plugKEK{w.plug, b.keys}, &vault.Options{
		Timeout: faultTimeout, KeyLifetime: faultLifetime, DestroyAfter: time.Nanosecond,
		Refresh: 300 * 24 * time.Hour, // never: what goes on in the background is not counted here
		Audit:   w,
	})
	require.NoError(t, err)
	w.v = v
	return w
}

// opened is world with scopes that are open already.
func (w *faultWorld) opened(t *testing.T) *faultWorld {
	w.sec, w.ads = vaulttest.Scope(t, w.v, vaulttest.Security), vaulttest.Scope(t, w.v, vaulttest.Advertising)
	return w
}

// fresh returns the vault of a process that has no faults.
func (w *faultWorld) fresh(t *testing.T, opts *vault.Options) *vault.Admin {
	keks := vault.KEKs{}
	for p, a := range w.keys {
		keks[p] = vault.EitherKEK(vault.SharedKEK(a), vault.SharedKEK(w.next))
	}
	v, err := vault.OpenAdmin(t.Context(), w.inner, keks, opts)
	require.NoError(t, err)
	return v
}

// A faultUse runs an operation, and returns what it hands out.
type faultUse func(context.Context) (any, error)

// A faultOp is an operation that a vault offers. prepare does what has to be done
// before, and returns it; calls tells on whom it calls, at most.
type faultOp struct {
	name    string
	prepare func(t *testing.T, w *faultWorld) faultUse

	unaudited bool    // it is no use of anything
	refusal   bool    // it succeeds if the key service denies
	tolerant  bool    // of records that are damaged
	listsOnce bool    // where few names are in a folder
	goesOn    bool    // past a record that is damaged: it returns its result and an error that is ErrCorrupt
	completes int     // the call, from 1, that reads whether the last erasure is complete; damage says no
	waits     int     // how often it waits for an answer, one after the other, if more than once
	left      int     // how many goroutines it leaves behind at most, if more than two
	once      bool    // done again, it is ErrInvalid
	also      []error // that it makes of what goes wrong
}

func cold(f func(*vault.Admin, context.Context) (any, error)) func(*testing.T, *faultWorld) faultUse {
	return func(_ *testing.T, w *faultWorld) faultUse {
		return func(ctx context.Context) (any, error) { return f(w.v, ctx) }
	}
}

func warm(f func(*faultWorld, context.Context) (any, error)) func(*testing.T, *faultWorld) faultUse {
	return func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		return func(ctx context.Context) (any, error) { return f(w, ctx) }
	}
}

func nothing(err error) (any, error) { return nil, err }

func itself(s string) string { return s }

var consented = purpose.Basis{Consent: "c-1"}

var faultOps = []faultOp{
	// Opening keys.
	{name: "Open", unaudited: true, prepare: func(t *testing.T, w *faultWorld) faultUse {
		return func(ctx context.Context) (any, error) {
			return vault.OpenAdmin(ctx, plugStore{w.inner, w.plug}, plugKEK{w.plug, w.keys}, nil)
		}
	}},
	{name: "Scope", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Scope(ctx, vaulttest.Security) })},
	{name: "Collector", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Collector(ctx, vaulttest.Security) })},
	{name: "Lookup", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Lookup(ctx, vaulttest.Security) })},
	{name: "Reader", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Reader(ctx, vaulttest.Security) })},

	// Changing them.
	{name: "Generate", prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Generate(ctx, vaulttest.Billing))
	})},
	{name: "Rotate", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Rotate(ctx, vaulttest.Security, vault.RoleSeal))
	})},
	{name: "Rotate while in use", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.Rotate(ctx, vaulttest.Security, vault.RoleSeal))
	})},
	{name: "RotateIndex", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Rotate(ctx, vaulttest.Security, vault.RoleIndex))
	})},
	{name: "RotateCollector", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Rotate(ctx, vaulttest.Security, vault.RoleCollect))
	})},
	{name: "RotateIfOlder", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return v.RotateIfOlder(ctx, vaulttest.Security, vault.RoleIndex, time.Nanosecond)
	})},
	{name: "Promote", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.Promote(ctx, vaulttest.Security, w.published))
	})},
	{name: "Suspend", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Suspend(ctx, vaulttest.Security, vault.Suspension{Notice: "n-1", Reason: "deceptive"}))
	})},
	{name: "Resume", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.Resume(ctx, vaulttest.Security, "n-1"))
	})},
	{name: "Suspensions", prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return v.Suspensions(ctx, vaulttest.Security)
	})},
	{name: "Retire", once: true, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.Retire(ctx, vaulttest.Security, w.active))
	})},
	{name: "Reinstate", once: true, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.Reinstate(ctx, vaulttest.Security, w.retired))
	})},
	{name: "Destroy", once: true, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.Destroy(ctx, vaulttest.Security, w.retired))
	})},
	{name: "Rewrap", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		kek := plugKEK{w.plug, map[purpose.Purpose]vault.AEAD{vaulttest.Security: w.next}}
		return nothing(w.v.Rewrap(ctx, kek, vaulttest.Security))
	})},
	{name: "RewrapSubjects", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.v.RewrapSubjects(ctx, vaulttest.Security, "", nil))
	})},

	// Asking about them.
	{name: "Keys", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Keys(ctx, vaulttest.Security) })},
	{name: "Pin", prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Pin(ctx, vaulttest.Security) })},
	{name: "WrappedBy", completes: 4, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.WrappedBy(ctx, vaulttest.Security) })},
	{name: "CheckKEK", prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) {
		return nothing(v.CheckKEK(ctx, vaulttest.Security))
	})},
	{name: "CheckDenied", refusal: true, tolerant: true, also: []error{vault.ErrUnavailable},
		prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return nothing(v.CheckDenied(ctx, research)) })},
	{name: "Purposes", unaudited: true, tolerant: true, listsOnce: true, goesOn: true, prepare: cold(func(v *vault.Admin, ctx context.Context) (any, error) { return v.Purposes(ctx) })},

	// Values of nobody in particular, under keys that are open.
	{name: "Seal", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Seal(ctx, vaulttest.Note, "text", w.sec)
	})},
	{name: "Reveal", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.Reveal(ctx, vaulttest.Note, w.value)
	})},
	{name: "Hint", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.Hint(ctx, vaulttest.Note, w.value, itself)
	})},
	{name: "Index", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) { return w.sec.Index(ctx, vaulttest.Note, "text") })},
	{name: "Indexes", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.Indexes(ctx, vaulttest.Note, "text")
	})},
	{name: "IndexSealed", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.IndexSealed(ctx, vaulttest.Note, w.value, vaulttest.Accepting(itself))
	})},
	{name: "Extend", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Extend(ctx, vaulttest.Note, w.value, nil, w.sec, w.ads.Under(consented))
	})},
	{name: "Reseal", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Reseal(ctx, vaulttest.Note, w.value, nil, w.sec)
	})},
	// These call nobody but the auditor.
	{name: "Withdraw", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return unless(w.value.Withdraw(ctx, vaulttest.Security, w.v))
	})},
	{name: "Sweep", prepare: func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		value := vaulttest.Seal(t, w.sec.Under(purpose.Basis{Retain: time.Second}))
		time.Sleep(time.Minute)
		return func(ctx context.Context) (any, error) { return unless(value.Sweep(ctx, w.sec)) }
	}},
	{name: "RecordClear", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.value.RecordClear(ctx, vaulttest.Security, w.sec))
	})},
	{name: "Pseudonym", unaudited: true, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) { return w.sec.Pseudonym(ctx, "alice") })},
	{name: "Seal with a collector", prepare: func(t *testing.T, w *faultWorld) faultUse {
		c, err := w.v.Collector(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		return func(ctx context.Context) (any, error) { return vault.Seal(ctx, vaulttest.Note, "text", c) }
	}},

	// Values of persons whom this process has not met yet.
	{name: "Seal for somebody new", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Seal(ctx, vaulttest.Note, "text", w.sec.For("eve"))
	})},
	{name: "Seal for a person", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Seal(ctx, vaulttest.Note, "text", w.sec.For("alice"))
	})},
	{name: "Reveal a person's", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.For("alice").Reveal(ctx, vaulttest.Note, w.alices)
	})},
	{name: "Reveal a person's with a reader", prepare: func(t *testing.T, w *faultWorld) faultUse {
		r := vaulttest.Reader(t, w.v, vaulttest.Security)
		return func(ctx context.Context) (any, error) { return r.For("alice").Reveal(ctx, vaulttest.Note, w.alices) }
	}},
	{name: "Prefetch", unaudited: true, left: 11, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return nothing(w.sec.Prefetch(ctx, "alice", "bob"))
	})},
	{name: "Prefetch with a reader", unaudited: true, left: 11, prepare: func(t *testing.T, w *faultWorld) faultUse {
		r := vaulttest.Reader(t, w.v, vaulttest.Security)
		return func(ctx context.Context) (any, error) { return nothing(r.Prefetch(ctx, "alice", "bob")) }
	}},
	{name: "Hint of a person's with a reader", prepare: func(t *testing.T, w *faultWorld) faultUse {
		r := vaulttest.Reader(t, w.v, vaulttest.Security)
		return func(ctx context.Context) (any, error) {
			return r.For("alice").Hint(ctx, vaulttest.Note, w.alices, itself)
		}
	}},
	{name: "Index a person's", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.sec.For("alice").IndexSealed(ctx, vaulttest.Note, w.alices, vaulttest.Accepting(itself))
	})},
	{name: "Extend a person's", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Extend(ctx, vaulttest.Note, w.adsOfAlice, nil, w.ads.For("alice"), w.sec.For("alice").Under(consented))
	})},
	{name: "Reseal a person's", prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return vault.Reseal(ctx, vaulttest.Note, w.alices, nil, w.sec.For("alice"))
	})},
	{name: "Map over a person's", waits: 2, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		var leaked any
		var errs []error
		for text, err := range batch.Map(ctx, slices.Values([]vault.Sealed{w.alices, w.alices}), func(ctx context.Context, v vault.Sealed) (string, error) {
			return w.sec.For("alice").Reveal(ctx, vaulttest.Note, v)
		}) {
			if err != nil {
				errs = append(errs, err)
				if text != "" {
					leaked = text
				}
			}
		}
		if len(errs) == 0 {
			return nil, nil
		}
		return leaked, errs[0]
	})},
	{name: "Erase", tolerant: true, prepare: warm(func(w *faultWorld, ctx context.Context) (any, error) {
		return w.v.Erase(ctx, "alice", vaulttest.Security)
	})},
	{name: "EraseAgain", tolerant: true, prepare: func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		pseudonym, err := w.sec.Pseudonym(t.Context(), "alice")
		require.NoError(t, err)
		return func(ctx context.Context) (any, error) {
			return w.v.EraseAgain(ctx, vault.Erasure{Purpose: vaulttest.Security, Subject: pseudonym})
		}
	}},

	// Values under keys that this process does not have, or must not use any more.
	{name: "Reveal what a new key sealed", prepare: func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		other := w.fresh(t, nil)
		defer other.Close()
		vaulttest.Rotate(t, other, vaulttest.Security, vault.RoleSeal)
		value := vaulttest.Seal(t, vaulttest.Scope(t, other, vaulttest.Security))
		return func(ctx context.Context) (any, error) { return w.sec.Reveal(ctx, vaulttest.Note, value) }
	}},
	{name: "Reveal under keys that lapsed", prepare: func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		time.Sleep(faultLifetime + time.Hour)
		return func(ctx context.Context) (any, error) { return w.sec.Reveal(ctx, vaulttest.Note, w.value) }
	}},
	{name: "Prefetch under keys that lapsed", unaudited: true, waits: 2, left: 11, prepare: func(t *testing.T, w *faultWorld) faultUse {
		w.opened(t)
		time.Sleep(faultLifetime + time.Hour)
		return func(ctx context.Context) (any, error) { return nothing(w.sec.Prefetch(ctx, "alice", "bob")) }
	}},
	{name: "Index under keys that lapsed", prepare: func(t *testing.T, w *faultWorld) faultUse {
		l := vaulttest.Lookup(t, w.v, vaulttest.Security)
		time.Sleep(faultLifetime + time.Hour)
		return func(ctx context.Context) (any, error) { return l.Index(ctx, vaulttest.Note, "text") }
	}},
}

// unless returns a value that a failure leaves as it was.
func unless(v vault.Sealed, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Every method and function that takes a context is in a row: it can call the store.
func TestEveryOperationHasARow(t *testing.T) {
	src, err := os.ReadFile("operations_test.go")
	require.NoError(t, err)
	_, rows, found := strings.Cut(string(src), "var faultOps = ")
	require.True(t, found)
	rows, _, _ = strings.Cut(rows, "\n}\n")
	ctx := reflect.TypeFor[context.Context]()
	operations := map[string]bool{"vault.OpenAdmin(": true, "vault.Seal(": true, "vault.Extend(": true, "vault.Reseal(": true}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[*vault.Admin](), reflect.TypeFor[*vault.Scope](), reflect.TypeFor[*vault.Reader](), reflect.TypeFor[*vault.Lookup](),
		reflect.TypeFor[*vault.Collector](), reflect.TypeFor[*vault.Sealed](),
	} {
		for i := range typ.NumMethod() {
			if m := typ.Method(i); m.Type.NumIn() > 1 && m.Type.In(1) == ctx {
				operations["."+m.Name+"("] = true
			}
		}
	}
	require.Greater(t, len(operations), 25)
	for call := range operations {
		require.Contains(t, rows, call)
	}
}
