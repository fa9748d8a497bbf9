package vault

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Status tells, for each kind of handle, what was granted and read when, and what fails,
// without the words of a client.
func TestStatus(t *testing.T) {
	require.Empty(t, (*Vault)(nil).Status())
	require.Empty(t, new(Vault).Status())
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, nil)
		start := time.Now()
		_, err := w.idle.Reader(t.Context(), w.s.Purpose())
		require.NoError(t, err)
		_, err = w.idle.Scope(t.Context(), purpose.MustParse("advertising"))
		require.NoError(t, err)
		status := func(handle string) Opened {
			for _, o := range w.idle.Status() {
				if o.Purpose == w.s.Purpose() && o.Handle == handle {
					return o
				}
			}
			t.Fatal("no ", handle)
			return Opened{}
		}
		var names []string
		for _, o := range w.idle.Status() {
			names = append(names, o.Purpose.String()+" "+o.Handle)
		}
		require.Equal(t, []string{"advertising scope", "security lookup", "security reader", "security scope"}, names)
		roles := func(o Opened) (roles []Role) {
			for _, k := range o.Primary {
				require.Equal(t, start.Unix(), k.Created.Unix())
				require.Equal(t, Primary, k.Status)
				roles = append(roles, k.Role)
			}
			return roles
		}
		require.Equal(t, []Role{RoleSeal, RoleIndex, RoleSubject, RoleCollect}, roles(status("scope")))
		require.Equal(t, []Role{RoleIndex}, roles(status("lookup")))
		require.Equal(t, []Role{RoleSeal, RoleSubject, RoleCollect}, roles(status("reader")))

		time.Sleep(time.Hour)
		o := status("lookup")
		require.WithinDuration(t, start, o.Looked, clockLag)
		require.WithinDuration(t, start, o.Granted, clockLag)
		lease := w.idle.early(defaultKeyLifetime)
		require.WithinDuration(t, start.Add(lease), o.Lapses, clockLag)
		require.EqualValues(t, 1, o.Generation)
		require.NoError(t, errors.Join(o.RefreshErr, o.RenewErr))

		w.rotate(t)
		_, err = w.l.Index(t.Context(), lookKind, "text") // and learns of the rotation
		require.NoError(t, err)
		o = status("lookup")
		require.EqualValues(t, 7, o.Generation)
		require.WithinDuration(t, start.Add(time.Hour), o.Looked, clockLag)
		require.WithinDuration(t, start.Add(time.Hour+lease), o.Lapses, clockLag, "the newer record was granted")
		require.EqualValues(t, 1, status("scope").Generation, "of its own")

		// Each fault shows as an error of this package, and goes with it.
		const secret = "alice@example.com"
		w.store.setGet(func(context.Context, ...string) ([]Record, error) {
			return nil, fmt.Errorf("%s: %w", secret, ErrUnavailable)
		})
		time.Sleep(defaultRefresh)
		_, err = w.l.Index(t.Context(), lookKind, "text")
		require.NoError(t, err)
		require.Equal(t, ErrUnavailable, status("lookup").RefreshErr)
		require.NoError(t, status("scope").RefreshErr)
		w.store.setGet(nil)
		kek := w.idle.kek
		setKEK := func(k KEK) { w.idle.mu.Lock(); w.idle.kek = k; w.idle.mu.Unlock() }
		setKEK(kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) {
			return nil, fmt.Errorf("%s: %w", secret, ErrAccessDenied)
		}))
		time.Sleep(13 * time.Hour)
		_, err = w.l.Index(t.Context(), lookKind, "text")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, status("lookup").RefreshErr)
		require.Equal(t, ErrAccessDenied, status("lookup").RenewErr)
		require.WithinDuration(t, time.Now(), status("lookup").Looked, clockLag, "the store answers")
		require.WithinDuration(t, start.Add(time.Hour), status("lookup").Granted, clockLag, "and the key service has not agreed since")
		require.WithinDuration(t, start.Add(time.Hour+lease), status("lookup").Lapses, clockLag)
		setKEK(kek)
		time.Sleep(defaultRefresh)
		_, err = w.l.Index(t.Context(), lookKind, "text")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, status("lookup").RenewErr)
		require.WithinDuration(t, time.Now(), status("lookup").Granted, clockLag)

		require.NoError(t, w.idle.Close())
		require.Empty(t, w.idle.Status())
	})
}

// Status names the key that seals now: a published key from its time on, though nothing has
// changed in the store since, and without a call of the store.
func TestStatusFollowsThePublishedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, nil)
		sealing := func() (ids []uint32) {
			for _, o := range w.idle.Status() {
				for _, k := range o.Primary {
					if o.Purpose == w.s.Purpose() && o.Handle == "scope" && k.Role == RoleSeal {
						require.True(t, k.PrimaryAt.IsZero())
						ids = append(ids, k.ID)
					}
				}
			}
			return ids
		}
		keys := func() (old, next Key) {
			all, err := w.admin.Keys(t.Context(), w.s.Purpose())
			require.NoError(t, err)
			for _, k := range all {
				switch {
				case k.Role == RoleSeal && k.PrimaryAt.IsZero():
					old = k
				case k.Role == RoleSeal:
					next = k
				}
			}
			return old, next
		}
		require.NoError(t, w.admin.Rotate(t.Context(), w.s.Purpose(), RoleSeal))
		old, next := keys()
		time.Sleep(defaultRefresh)
		_, err := Seal(t.Context(), lookKind, "text", w.s) // and learns of the published key
		require.NoError(t, err)
		synctest.Wait()
		time.Sleep(time.Until(next.PrimaryAt) - time.Nanosecond)
		require.Equal(t, []uint32{old.ID}, sealing())
		calls := w.idle.Stats().StoreCalls
		time.Sleep(time.Nanosecond)
		require.Equal(t, []uint32{next.ID}, sealing())
		require.Equal(t, calls, w.idle.Stats().StoreCalls)
	})
}

// The errors of Status are bare: none of them has a text of its own.
func TestBareErrors(t *testing.T) {
	for _, sentinel := range []error{ErrCorrupt, ErrAccessDenied, ErrNoKeys, ErrUnavailable, ErrConflict, ErrInvalid} {
		err := fmt.Errorf("text: %w", sentinel)
		require.Equal(t, sentinel, bareError(&err))
	}
	late := fmt.Errorf("text: %w: %w", ErrUnavailable, context.DeadlineExceeded)
	require.Equal(t, errLate, bareError(&late))
	other := errors.New("text")
	require.Equal(t, ErrUnavailable, bareError(&other))
	require.NoError(t, bareError(nil))
}

// Counters count each thing once, on every lane.
func TestStats(t *testing.T) {
	require.Zero(t, (*Vault)(nil).Stats())
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	before := v.Stats()
	alice := s.For("alice")
	value, err := Seal(t.Context(), lookKind, "text", alice)
	require.NoError(t, err)
	after := v.Stats()
	require.EqualValues(t, 1, after.SubjectMisses-before.SubjectMisses)
	require.EqualValues(t, 2, after.StoreCalls-before.StoreCalls, "a read and a write")
	require.Equal(t, before.StoreFailures, after.StoreFailures)
	require.Equal(t, before.KEKCalls, after.KEKCalls, "never for a value")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250 {
				_, err := alice.Reveal(t.Context(), lookKind, value)
				require.NoError(t, err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1000, v.Stats().SubjectHits-after.SubjectHits)
	require.Equal(t, after.StoreCalls, v.Stats().StoreCalls)
	store.setGet(func(context.Context, ...string) ([]Record, error) { panic("broken") })
	_, err = s.For("bob").Reveal(t.Context(), lookKind, value)
	require.ErrorIs(t, err, ErrUnavailable)
	store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
	_, err = s.For("bob").Reveal(t.Context(), lookKind, value)
	require.ErrorIs(t, err, ErrUnavailable)
	require.EqualValues(t, 2, v.Stats().StoreFailures-after.StoreFailures)
	store.setGet(nil)
	_, err = v.Purposes(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, v.Stats().StoreFailures-after.StoreFailures)
	calls := v.Stats().StoreCalls
	_, err = v.store.Put(t.Context(), Record{Name: keyRecordName(p), Data: []byte("x"), Revision: 1 << 40})
	require.ErrorIs(t, err, ErrConflict)
	require.EqualValues(t, 1, v.Stats().StoreCalls-calls)
	require.EqualValues(t, 2, v.Stats().StoreFailures-after.StoreFailures, "another process was first")
	before = v.Stats()
	require.NoError(t, v.CheckKEK(t.Context(), p))
	require.EqualValues(t, 2, v.Stats().KEKCalls-before.KEKCalls)
	require.EqualValues(t, 1, v.Stats().KEKFailures-before.KEKFailures, "the self-test")
	v.kek = kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, ErrAccessDenied })
	require.Error(t, v.CheckKEK(t.Context(), p))
	require.EqualValues(t, 3, v.Stats().KEKCalls-before.KEKCalls)
	require.EqualValues(t, 2, v.Stats().KEKFailures-before.KEKFailures)
	require.NoError(t, v.Close())
	require.EqualValues(t, 1000, v.Stats().SubjectHits-after.SubjectHits, "they stay")
}

// Every action that package audit declares is counted.
func TestEveryActionIsCounted(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "audit/audit.go", nil, 0)
	require.NoError(t, err)
	var declared []audit.Action
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Action" {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				declared = append(declared, audit.Action(text))
			}
		}
		return true
	})
	require.Greater(t, len(declared), 15)
	require.ElementsMatch(t, declared, countedActions[:])
	for i, a := range countedActions {
		require.Equal(t, i, actionNumber(a))
	}
}

// Operations are counted as they are recorded, with and without an auditor.
func TestOperationsAreCountedAsRecorded(t *testing.T) {
	use := func(a audit.Auditor) Stats {
		v, p := testVault(t, Memory(), &Options{Audit: a})
		ctx, ads := t.Context(), purpose.MustParse("advertising")
		require.NoError(t, v.Generate(ctx, ads))
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		other, err := v.Scope(ctx, ads)
		require.NoError(t, err)
		x, err := Seal(ctx, lookKind, "text", s, other)
		require.NoError(t, err)
		_, err = Seal(ctx, lookKind, "", s)
		require.Error(t, err)
		_, err = s.Reveal(ctx, lookKind, x)
		require.NoError(t, err)
		one, err := Seal(ctx, lookKind, "text", s)
		require.NoError(t, err)
		_, err = other.Reveal(ctx, lookKind, one)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = s.Hint(ctx, lookKind, x, func(string) string { return "" })
		require.NoError(t, err)
		_, err = s.Index(ctx, lookKind, "text")
		require.NoError(t, err)
		_, err = s.Indexes(ctx, lookKind, "")
		require.Error(t, err)
		_, err = s.IndexSealed(ctx, lookKind, x, func(text string) (string, bool) { return text, true })
		require.NoError(t, err)
		_, err = Reseal(ctx, lookKind, x, nil, s, other)
		require.NoError(t, err)
		_, err = Reseal(ctx, lookKind, one, nil, s) // which takes a path of its own
		require.NoError(t, err)
		_, err = Extend(ctx, lookKind, one, nil, s, other.Under(purpose.Basis{Consent: "c"}))
		require.NoError(t, err)
		_, err = v.Erase(ctx, "alice", p, ads)
		require.NoError(t, err)
		_, err = v.Keys(ctx, p)
		require.NoError(t, err)
		require.NoError(t, v.RewrapSubjects(ctx, p, "", nil))
		return v.Stats()
	}
	var mu sync.Mutex
	recorded := map[Result]uint64{}
	counted := use(auditorFunc(func(_ context.Context, e audit.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Outcome == audit.Allowed {
			e.Reason = "" // an event may have one, such as "absent"
		}
		recorded[Result{Purpose: e.Purpose, Action: e.Action, Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason}]++
		return nil
	}))
	results := map[Result]uint64{}
	operations := map[audit.Action]Outcomes{}
	for _, r := range counted.Results {
		n := r.Count
		r.Count = 0
		results[r] = n
		o := operations[r.Action]
		*map[audit.Outcome]*uint64{audit.Allowed: &o.Allowed, audit.Denied: &o.Denied, audit.Failed: &o.Failed}[r.Outcome] += n
		operations[r.Action] = o
	}
	require.Equal(t, recorded, results)
	require.Equal(t, operations, counted.Operations)
	require.Equal(t, counted.Results, use(nil).Results, "without an auditor")
	require.Equal(t, Outcomes{Allowed: 3, Failed: 1}, operations[audit.Seal])
	require.Equal(t, Outcomes{Allowed: 1, Denied: 1}, operations[audit.Reveal])
}
