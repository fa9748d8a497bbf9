package vault

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
)

// rotateNow rotates the keys of a role, and makes the new key primary at once.
func rotateNow(t *testing.T, v *Admin, p purpose.Purpose, role Role) {
	t.Helper()
	require.NoError(t, v.Rotate(t.Context(), p, role))
	all, err := v.Keys(t.Context(), p)
	require.NoError(t, err)
	var last Key
	for _, k := range all {
		if k.Role == role && k.PrimaryAt.After(last.PrimaryAt) {
			last = k
		}
	}
	if last.ID != 0 { // not the first key of its role
		require.NoError(t, v.Promote(t.Context(), p, last.ID))
	}
}

// Two processes whose clocks differ disagree on the primary key for a while. The process
// that is behind opens values of the other, and does not move records of subjects back.
func TestClocksThatDiffer(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	ahead, err := v.Scope(ctx, p)
	require.NoError(t, err)
	_, err = Seal(ctx, lookKind, "text", ahead.For("alice"))
	require.NoError(t, err)
	require.NoError(t, v.Rotate(ctx, p, RoleSeal))
	other, err := OpenAdmin(ctx, v.store, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	behind, err := other.Scope(ctx, p)
	require.NoError(t, err)
	ahead.opened.current.Load().seal.schedule.passed.Store(1) // its time has come there

	value, err := Seal(ctx, lookKind, "text", ahead)
	require.NoError(t, err)
	require.True(t, value.OnPrimaryKey(ahead))
	require.False(t, value.OnPrimaryKey(behind))
	text, err := behind.Reveal(ctx, lookKind, value)
	require.NoError(t, err)
	require.Equal(t, "text", text)

	changed := func(v *Admin) (n int) {
		require.NoError(t, v.RewrapSubjects(ctx, p, "", func(p Progress) error { n = p.Changed; return nil }))
		return n
	}
	require.Zero(t, changed(other), "on the primary key")
	require.Equal(t, 1, changed(v))
	require.Zero(t, changed(other), "on the next key already")
	require.Zero(t, changed(v))
}

// A newer record that lacks a key which is in use here was written by somebody who did not
// know the key. It is refused until it says that the key was destroyed.
func TestRecordThatLostAKey(t *testing.T) {
	ctx := t.Context()
	for _, role := range []Role{RoleSeal, RoleIndex, RoleCollect} {
		for name, c := range map[string]struct {
			edit func(r *keyRecord, old uint32)
			want error
		}{
			"unchanged": {func(*keyRecord, uint32) {}, nil},
			"lost":      {func(r *keyRecord, old uint32) { delete(r.Destroyed, old) }, errLostKey},
			"destroyed once, and no more": {func(r *keyRecord, _ uint32) {
				maps.DeleteFunc(r.Destroyed, func(id uint32, at int64) bool { return at == 1 })
			}, errLostKey},
		} {
			t.Run(string(role)+"/"+name, func(t *testing.T) {
				v, p := testVault(t, Memory(), nil)
				r, _, err := v.readKeyRecord(ctx, p)
				require.NoError(t, err)
				known, err := r.describe()
				require.NoError(t, err)
				var old uint32
				for _, k := range known {
					if k.Role == role {
						old = k.ID
					}
				}
				require.NoError(t, v.change(ctx, p, &pendingEvent{}, func(r *keyRecord) error {
					r.Destroyed = map[uint32]int64{1: 1}
					return nil
				}))
				var opened []*Admin
				for range 2 {
					w, err := OpenAdmin(ctx, v.store, v.kek, nil)
					require.NoError(t, err)
					defer w.Close()
					_, err = w.Scope(ctx, p)
					require.NoError(t, err)
					_, err = w.Lookup(ctx, p)
					require.NoError(t, err)
					opened = append(opened, w)
				}
				rotateNow(t, v, p, role)
				require.NoError(t, v.change(ctx, p, &pendingEvent{}, func(r *keyRecord) error {
					r.Destroyed[old] = 2
					if err := r.edit(role, func(m *keyset.Manager) error { return m.Delete(old) }); err != nil {
						return err
					}
					c.edit(r, old)
					return nil
				}))
				for _, pk := range opened[0].findAll(p) {
					require.Equal(t, c.want, pk.refreshNow(ctx))
				}
				_, err = opened[1].Keys(ctx, p)
				require.ErrorIs(t, err, c.want)
				err = opened[1].Rotate(ctx, p, RoleSeal)
				require.ErrorIs(t, err, c.want)
				if c.want != nil {
					require.ErrorIs(t, err, ErrCorrupt)
				}
				_, err = v.Keys(ctx, p)
				require.NoError(t, err, "who wrote it has nothing to miss")
			})
		}
	}
}

// The statuses of described keys follow the time.
func TestKeysAsOf(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	keys := []Key{
		{ID: 1, Role: RoleSeal, Status: Primary}, {ID: 2, Role: RoleSeal, Status: Active, PrimaryAt: at(10)},
		{ID: 3, Role: RoleSeal, Status: Active, PrimaryAt: at(20)}, {ID: 4, Role: RoleSeal, Status: Retired, Retired: at(5)},
		{ID: 5, Role: RoleIndex, Status: Primary},
	}
	for second, want := range map[int64][]Status{
		9: {Primary, Active, Active, Retired, Primary}, 10: {Active, Primary, Active, Retired, Primary},
		19: {Active, Primary, Active, Retired, Primary}, 20: {Active, Active, Primary, Retired, Primary},
	} {
		var got []Status
		for _, k := range asOf(keys, at(second)) {
			got = append(got, k.Status)
			require.Equal(t, k.PrimaryAt.After(at(second)), !k.PrimaryAt.IsZero())
		}
		require.Equal(t, want, got, second)
	}
	require.Equal(t, at(10), keys[1].PrimaryAt, "the list itself stays")
}

// A schedule reads no clock once nothing is to come, and does not go back.
func TestScheduleDoesNotGoBack(t *testing.T) {
	none := func(uint32) (int, bool) { return 0, false }
	_, err := newSchedule(1, map[uint32]int64{2: 3}, none)
	require.ErrorIs(t, err, errKeyset)
	s, err := newSchedule(1, map[uint32]int64{2: 1, 3: maxKeyTime, 4: 2}, func(id uint32) (int, bool) { return int(id), true })
	require.NoError(t, err)
	require.Equal(t, 1, s.last())
	require.Equal(t, 4, s.primary())
	require.Equal(t, 4, s.last())
	require.True(t, s.mayBecome(func(k int) bool { return k == 3 }))
	require.False(t, s.mayBecome(func(k int) bool { return k == 2 }))
	s.passed.Store(3)
	require.Equal(t, 3, s.primary(), "even if the clock is set back")
}

// RotateIfOlder asks for the youngest key of the role that is in use. Keys that are retired
// and keys of other roles do not count, and a key may be of the end of its second.
func TestYoungerKeys(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	all, err := v.Keys(ctx, p)
	require.NoError(t, err)
	var old uint32
	for _, k := range all {
		if k.Role == RoleSeal {
			old = k.ID
		}
	}
	rotateNow(t, v, p, RoleSeal)
	require.NoError(t, v.Retire(ctx, p, old))
	r, _, err := v.readKeyRecord(ctx, p)
	require.NoError(t, err)
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for id := range r.Seal.Created {
		r.Seal.Created[id] = 1000
	}
	r.Seal.Created[old] = 5000 // of a host whose clock was ahead
	for id := range r.Index.Created {
		r.Index.Created[id] = 3000
	}
	for _, c := range []struct {
		role  Role
		than  time.Time
		young bool
	}{
		{RoleSeal, at(999), true}, {RoleSeal, at(1000), true}, {RoleSeal, at(1001).Add(-1), true}, {RoleSeal, at(1001), false},
		{RoleSeal, at(4000), false}, {RoleIndex, at(2999), true}, {RoleIndex, at(3001), false},
	} {
		young, err := r.hasYounger(c.role, c.than)
		require.NoError(t, err)
		require.Equal(t, c.young, young, c)
	}
	for id := range r.Index.Created {
		r.Index.Created[id] = -1
	}
	_, err = r.hasYounger(RoleSeal, at(0))
	require.Error(t, err, "a record that can't be read has no age")
}

// A newer record lacks a key if it does not know the key any more, or if it has a key again
// that was destroyed. A key may be retired, reinstated and destroyed.
func TestStatesThatARecordMayLeave(t *testing.T) {
	of := func(s keyState) *keys {
		if s == 0 {
			return &keys{}
		}
		return &keys{states: map[uint32]keyState{7: s}}
	}
	for _, was := range []keyState{keyInUse, keyRetired, keyDestroyed} {
		for _, is := range []keyState{0, keyInUse, keyRetired, keyDestroyed} {
			want := is == 0 || was == keyDestroyed && is != keyDestroyed
			require.Equal(t, want, of(is).lacks(of(was)), "%d after %d", is, was)
		}
	}
	require.False(t, of(keyInUse).lacks(of(0)), "a new key")
}
