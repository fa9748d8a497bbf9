package vault_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// keysOf returns the keys of security of one role, by age.
func keysOf(t *testing.T, v *vault.Admin, role vault.Role) (all []vault.Key) {
	t.Helper()
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == role {
			all = append(all, k)
		}
	}
	return all
}

// publish rotates the keys of a role, and returns the published key.
func publish(t *testing.T, v *vault.Admin, role vault.Role) vault.Key {
	t.Helper()
	require.NoError(t, v.Rotate(t.Context(), vaulttest.Security, role))
	k, err := vaulttest.Published(t.Context(), v, vaulttest.Security, role)
	require.NoError(t, err)
	require.NotZero(t, k.ID)
	return k
}

// sealKey returns the id of the key that a new value of the scope is under.
func sealKey(t *testing.T, s *vault.Scope) uint32 {
	t.Helper()
	value, ok := reference.Parse(string(vaulttest.MustText(t, vaulttest.Seal(t, s))))
	require.True(t, ok)
	return uint32(reference.Uint(value.Slots[0].Sealed[1:5]))
}

// A published key opens and matches at once, in every process. It seals and indexes from
// its time on, and in that second for all processes, without anybody changing the record.
func TestPublishedKeyBecomesPrimaryAtItsTime(t *testing.T) {
	for _, refresh := range []time.Duration{time.Millisecond, 1500 * time.Millisecond, 5 * time.Minute, 24 * time.Hour} {
		t.Run(refresh.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, kek, opts := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), &vault.Options{Refresh: refresh}
				v := vaulttest.Open(t, store, kek, opts)
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				require.True(t, keysOf(t, v, vault.RoleSeal)[0].PrimaryAt.IsZero())
				scopes := []*vault.Scope{
					vaulttest.Scope(t, v, vaulttest.Security),
					vaulttest.Scope(t, vaulttest.Open(t, store, kek, opts), vaulttest.Security),
				}
				oldIndex, err := scopes[0].Index(t.Context(), vaulttest.Note, "text")
				require.NoError(t, err)
				time.Sleep(300 * time.Millisecond) // in the middle of a second
				before := time.Now()
				old := keysOf(t, v, vault.RoleSeal)[0]
				seal, index := publish(t, v, vault.RoleSeal), publish(t, v, vault.RoleIndex)
				require.Equal(t, vault.Active, seal.Status)
				least := before.Add(refresh + refresh/10)
				require.False(t, seal.PrimaryAt.Before(least))
				require.True(t, seal.PrimaryAt.Before(least.Add(time.Second)), "rounded up")

				time.Sleep(time.Until(seal.PrimaryAt) - time.Nanosecond)
				synctest.Wait()
				require.Equal(t, seal.PrimaryAt, index.PrimaryAt)
				for _, s := range scopes {
					require.Equal(t, old.ID, sealKey(t, s))
				}
				synctest.Wait()
				for _, s := range scopes {
					all, err := s.Indexes(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
					require.Len(t, all, 2, "the published key is looked for")
					require.Equal(t, oldIndex, all[0])
				}
				_, opened := v.RotateIfOlder(t.Context(), vaulttest.Security, vault.RoleSeal, 48*time.Hour)
				require.NoError(t, opened)

				time.Sleep(time.Nanosecond)
				value := vaulttest.Seal(t, scopes[0])
				for _, s := range scopes {
					require.Equal(t, seal.ID, sealKey(t, s))
					require.True(t, value.OnPrimaryKey(s))
					all, err := s.Indexes(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
					require.Len(t, all, 2)
					require.Equal(t, oldIndex, all[1])
					now, err := s.Index(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
					require.Equal(t, now, all[0])
					vaulttest.Opens(t, s, value)
				}
				keys := keysOf(t, v, vault.RoleSeal)
				require.Equal(t, []vault.Status{vault.Active, vault.Primary}, []vault.Status{statusOf(keys, old.ID), statusOf(keys, seal.ID)})
				for _, k := range keys {
					require.True(t, k.PrimaryAt.IsZero())
				}
				require.NoError(t, v.Retire(t.Context(), vaulttest.Security, old.ID), "the writer makes the promotion permanent")
				synctest.Wait()
			})
		})
	}
}

func statusOf(keys []vault.Key, id uint32) vault.Status {
	for _, k := range keys {
		if k.ID == id {
			return k.Status
		}
	}
	return ""
}

// At each moment all processes that are in use agree on the primary keys, through any
// rotations.
func TestProcessesAgreeOnThePrimaryKey(t *testing.T) {
	random := seed.Rand(t)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			const refresh = time.Minute
			store, kek, opts := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), &vault.Options{Refresh: refresh}
			var admins []*vault.Admin
			var scopes []*vault.Scope
			for range 4 {
				v := vaulttest.Open(t, store, kek, opts)
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				admins, scopes = append(admins, v), append(scopes, vaulttest.Scope(t, v, vaulttest.Security))
			}
			rotate := func(role vault.Role) {
				require.NoError(t, admins[random.IntN(len(admins))].Rotate(t.Context(), vaulttest.Security, role))
			}
			seen := map[uint32]bool{}
			for i := range 400 {
				time.Sleep(time.Duration(random.Int64N(int64(refresh / 3))))
				if random.IntN(20) == 0 {
					rotate([]vault.Role{vault.RoleSeal, vault.RoleIndex}[random.IntN(2)])
				}
				// Whatever is drawn, three keys become primary one after another.
				if i%100 == 50 {
					rotate(vault.RoleSeal)
					time.Sleep(2 * refresh)
				}
				now := time.Now()
				first, err := scopes[0].Index(t.Context(), vaulttest.Note, "text")
				require.NoError(t, err)
				id := sealKey(t, scopes[0])
				seen[id] = true
				for _, s := range scopes[1:] {
					other, err := s.Index(t.Context(), vaulttest.Note, "text")
					require.NoError(t, err)
					require.Equal(t, first, other)
					require.Equal(t, id, sealKey(t, s))
				}
				require.Equal(t, now, time.Now(), "asked at one moment")
				synctest.Wait()
			}
			require.Greater(t, len(seen), 4, "keys became primary")
		})
	}
}

// Of two keys that are published, each has its time, and the later one wins.
func TestTwoPublishedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Generated(t, &vault.Options{Refresh: time.Hour}, vaulttest.Security)
		s := vaulttest.Scope(t, v, vaulttest.Security)
		first, second := publish(t, v, vault.RoleSeal), publish(t, v, vault.RoleSeal)
		require.Equal(t, first.PrimaryAt.Add(time.Second), second.PrimaryAt)
		time.Sleep(time.Until(first.PrimaryAt))
		require.Equal(t, first.ID, sealKey(t, s))
		time.Sleep(time.Second)
		require.Equal(t, second.ID, sealKey(t, s))

		// A key that is promoted stays primary: the times before its own are over.
		first, second = publish(t, v, vault.RoleSeal), publish(t, v, vault.RoleSeal)
		third := publish(t, v, vault.RoleSeal)
		require.NoError(t, v.Promote(t.Context(), vaulttest.Security, second.ID))
		require.Equal(t, second.ID, sealKey(t, s))
		time.Sleep(time.Until(first.PrimaryAt))
		require.Equal(t, second.ID, sealKey(t, s))
		require.NoError(t, v.Retire(t.Context(), vaulttest.Security, first.ID), "it is an ordinary key")
		time.Sleep(time.Until(third.PrimaryAt))
		require.Equal(t, third.ID, sealKey(t, s))
	})
}

// When the times of two published keys have passed without a change of the record, the
// next change makes the later key permanent: the earlier one can be retired.
func TestPromotionsThatPassedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Generated(t, &vault.Options{Refresh: time.Hour}, vaulttest.Security)
		s := vaulttest.Scope(t, v, vaulttest.Security)
		for _, role := range []vault.Role{vault.RoleSeal, vault.RoleIndex, vault.RoleCollect} {
			oldest := keysOf(t, v, role)[0]
			first, second := publish(t, v, role), publish(t, v, role)
			time.Sleep(time.Until(second.PrimaryAt))
			for _, k := range []vault.Key{first, oldest} {
				require.NoError(t, v.Retire(t.Context(), vaulttest.Security, k.ID), role)
			}
			require.ErrorIs(t, v.Retire(t.Context(), vaulttest.Security, second.ID), vault.ErrInvalid)
			require.Equal(t, vault.Primary, statusOf(keysOf(t, v, role), second.ID))
		}
		vaulttest.Opens(t, s, vaulttest.Seal(t, s))
	})
}

// A key can be promoted only while it is published, and then it is out of no use.
func TestPromoteAndRetireRefuse(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	var events []audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return nil })}, p)
	old := keysOf(t, v, vault.RoleSeal)[0]
	for name, id := range map[string]uint32{
		"unknown": old.ID + 1, "of pseudonyms": keysOf(t, v, vault.RoleSubject)[0].ID,
	} {
		require.ErrorIs(t, v.Promote(ctx, p, id), vault.ErrInvalid, name)
		require.ErrorIs(t, v.Retire(ctx, p, id), vault.ErrInvalid, name)
	}
	coming := publish(t, v, vault.RoleSeal)
	require.ErrorIs(t, v.Retire(ctx, p, old.ID), vault.ErrInvalid, "primary")
	require.EqualError(t, v.Retire(ctx, p, coming.ID), "vault: retiring keys of security: key becomes primary at "+
		coming.PrimaryAt.Format(time.RFC3339)+": invalid argument")
	require.ErrorIs(t, v.Destroy(ctx, p, coming.ID), vault.ErrInvalid)

	require.NoError(t, v.Promote(ctx, p, coming.ID))
	last := events[len(events)-1]
	require.Equal(t, audit.Event{
		Time: last.Time, Action: audit.Promote, Outcome: audit.Allowed, Purpose: p, Role: "seal", KeyID: coming.ID, Generation: 3, Digest: last.Digest, Unwraps: 2,
	}, last)
	require.True(t, keysOf(t, v, vault.RoleSeal)[1].PrimaryAt.IsZero())
	before, err := v.Pin(ctx, p)
	require.NoError(t, err)
	require.NoError(t, v.Promote(ctx, p, coming.ID), "again")
	after, err := v.Pin(ctx, p)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.EqualError(t, v.Promote(ctx, p, old.ID), "vault: promoting keys of security: key is not published: invalid argument")
	require.NoError(t, v.Retire(ctx, p, old.ID))
	require.EqualError(t, v.Promote(ctx, p, old.ID), "vault: promoting keys of security: key is retired, not active: invalid argument")
}

// A key is destroyed after it was retired for the time that the options name, counted
// from its last retirement. Until then the error names the date.
func TestDestroyWaits(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for after, waits := range map[time.Duration]time.Duration{
		0: month, time.Nanosecond: 0, time.Second - 1: 0, 2 * time.Second: 2 * time.Second, 2500 * time.Millisecond: 2 * time.Second, time.Hour: time.Hour,
	} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, p := t.Context(), vaulttest.Security
				v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), &vault.Options{DestroyAfter: after})
				require.NoError(t, err)
				defer v.Close()
				require.NoError(t, v.Generate(ctx, p))
				old := keysOf(t, v, vault.RoleIndex)[0]
				vaulttest.Rotate(t, v, p, vault.RoleIndex)
				require.NoError(t, v.Retire(ctx, p, old.ID))
				require.Equal(t, time.Now().UTC(), keysOf(t, v, vault.RoleIndex)[0].Retired)
				time.Sleep(waits / 2)
				require.NoError(t, v.Reinstate(ctx, p, old.ID))
				require.Equal(t, vault.Key{ID: old.ID, Role: old.Role, Status: vault.Active, Created: old.Created}, keysOf(t, v, vault.RoleIndex)[0])
				time.Sleep(waits)
				require.ErrorIs(t, v.Destroy(ctx, p, old.ID), vault.ErrInvalid, "in use")
				require.NoError(t, v.Retire(ctx, p, old.ID))
				if waits > 0 {
					from := time.Now().UTC().Add(waits)
					time.Sleep(waits - 1)
					require.EqualError(t, v.Destroy(ctx, p, old.ID), "vault: destroying keys of security: key can be destroyed from "+
						from.Format(time.RFC3339)+" on: invalid argument")
					time.Sleep(time.Nanosecond)
				}
				require.NoError(t, v.Destroy(ctx, p, old.ID))
				require.Len(t, keysOf(t, v, vault.RoleIndex), 1)
			})
		})
	}
}

// Data under a key that was retired or destroyed is told from forged data, in every
// process and for data of every type; and it is corrupt nevertheless.
func TestRetiredKeys(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, p))
	s := vaulttest.Scope(t, v, p)
	idle := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), p)
	values := map[string]vault.Sealed{
		"": vaulttest.Seal(t, s), "collected": vaulttest.Seal(t, vaulttest.Collector(t, v, p)), "alice": vaulttest.Seal(t, s.For("alice")),
	}
	old := append(keysOf(t, v, vault.RoleSeal), keysOf(t, v, vault.RoleCollect)...)
	vaulttest.Rotate(t, v, p, vault.RoleSeal)
	vaulttest.Rotate(t, v, p, vault.RoleCollect)
	fresh := vaulttest.Seal(t, s.For("bob"))
	check := func(what string, want error) {
		t.Helper()
		opened := vaulttest.Open(t, store, kek, nil)
		reader := vaulttest.Reader(t, opened, p)
		for who, s := range map[string]*vault.Scope{"open": s, "new": vaulttest.Scope(t, opened, p)} {
			for name, value := range values {
				subject := s
				if name == "alice" {
					subject = s.For(name)
					if who == "open" {
						continue // her key is in the cache
					}
				}
				_, err := subject.Reveal(ctx, vaulttest.Note, value)
				require.ErrorIs(t, err, want, "%s: %s %s", what, who, name)
				if want != nil {
					require.ErrorIs(t, err, vault.ErrCorrupt)
					require.ErrorContains(t, err, ": revealing note: key is retired or destroyed")
					_, err = vault.Reseal(ctx, vaulttest.Note, value, nil, subject)
					require.ErrorIs(t, err, want)
					_, err = subject.IndexSealed(ctx, vaulttest.Note, value, vaulttest.Accepting(func(s string) string { return s }))
					require.ErrorIs(t, err, want)
				}
			}
		}
		_, err := reader.Reveal(ctx, vaulttest.Note, values[""])
		require.ErrorIs(t, err, want, what)
		_, err = vault.Seal(ctx, vaulttest.Note, "text", vaulttest.Scope(t, opened, p).For("alice"))
		require.ErrorIs(t, err, want, "%s: a person whose key is under the old key", what)
		vaulttest.Opens(t, vaulttest.Scope(t, opened, p).For("bob"), fresh)
	}
	for _, k := range old {
		require.NoError(t, v.Retire(ctx, p, k.ID))
	}
	check("retired", vault.ErrRetired)
	for _, k := range old {
		require.NoError(t, v.Reinstate(ctx, p, k.ID))
	}
	check("reinstated", nil)
	for _, k := range old {
		require.NoError(t, v.Retire(ctx, p, k.ID))
		require.NoError(t, v.Destroy(ctx, p, k.ID))
	}
	check("destroyed", vault.ErrRetired) // as with an old dump of the database
	vaulttest.Opens(t, idle, values[""]) // until it looks at the store

	// An id that the purpose never had is corrupt, and nothing else.
	value, ok := reference.Parse(string(vaulttest.MustText(t, values[""])))
	require.True(t, ok)
	had := map[uint32]bool{}
	for _, k := range append(old, keysOf(t, v, vault.RoleSeal)...) {
		had[k.ID] = true
	}
	unknown := old[0].ID ^ 1
	for had[unknown] {
		unknown++
	}
	binary.BigEndian.PutUint32(value.Slots[0].Sealed[1:], unknown)
	forged, err := vault.ParseSealed(value.Text())
	require.NoError(t, err)
	_, err = s.Reveal(ctx, vaulttest.Note, forged)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.NotErrorIs(t, err, vault.ErrRetired)
	require.NotErrorIs(t, vault.ErrCorrupt, vault.ErrRetired)

	// Erasing a person needs no key of theirs.
	_, err = v.Erase(ctx, "alice", p)
	require.NoError(t, err)
}

// A rotation by a calendar runs on many hosts, and rotates once in each period.
func TestRotateIfOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, p := t.Context(), vaulttest.Security
		store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
		var mu sync.Mutex
		var events []audit.Event
		opts := &vault.Options{Audit: auditFunc(func(e audit.Event) error {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
			return nil
		})}
		var hosts []*vault.Admin
		for range 5 {
			hosts = append(hosts, vaulttest.Open(t, store, kek, opts))
		}
		require.NoError(t, hosts[0].Generate(ctx, p))
		const quarter = 90 * 24 * time.Hour
		for _, role := range []vault.Role{vault.RoleSeal, vault.RoleIndex, vault.RoleCollect} {
			rotated, err := hosts[0].RotateIfOlder(ctx, p, role, time.Nanosecond)
			require.NoError(t, err)
			require.False(t, rotated, "made in this second")
		}
		for round := range 3 {
			time.Sleep(quarter + time.Second)
			events = nil
			var wg sync.WaitGroup
			results := make([]bool, len(hosts))
			for i, v := range hosts {
				wg.Go(func() {
					var err error
					results[i], err = v.RotateIfOlder(ctx, p, vault.RoleSeal, quarter)
					require.NoError(t, err)
				})
			}
			wg.Wait()
			n := 0
			for _, rotated := range results {
				if rotated {
					n++
				}
			}
			require.Equal(t, 1, n)
			require.Len(t, keysOf(t, hosts[0], vault.RoleSeal), 2+round)
			actions := map[audit.Action]int{}
			for _, e := range events {
				actions[e.Action]++
				require.NoError(t, e.Err)
			}
			require.Equal(t, map[audit.Action]int{audit.Rotate: 1, audit.List: len(hosts)}, actions, "and the Keys of this test")
		}
		for age, role := range map[time.Duration]vault.Role{0: vault.RoleSeal, -time.Hour: vault.RoleSeal, time.Hour: vault.RoleSubject, time.Minute: "other"} {
			rotated, err := hosts[0].RotateIfOlder(ctx, p, role, age)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.False(t, rotated)
		}
		_, err := hosts[0].RotateIfOlder(ctx, purpose.MustParse("billing"), vault.RoleSeal, time.Hour)
		require.ErrorIs(t, err, vault.ErrNoKeys)
		require.EqualError(t, err, fmt.Sprintf("vault: rotating keys of billing: key store has none: %v", vault.ErrNoKeys))
	})
}
