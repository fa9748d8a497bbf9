package vault

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A brakeWorld is a process beside one that suspends, with a value under a notice.
type brakeWorld struct {
	*lookWorld
	p       purpose.Purpose
	noticed Sealed
	uses    map[string]func() error // that a suspension of the notice stops
}

const brakeNotice = "2fa-prompt-v2"

func newBrakeWorld(t *testing.T, opts *Options) *brakeWorld {
	w := &brakeWorld{lookWorld: newLookWorld(t, opts)}
	w.p = w.s.Purpose()
	ctx := t.Context()
	var err error
	w.noticed, err = Seal(ctx, lookKind, "text", w.s.Under(purpose.Basis{Notice: brakeNotice}))
	require.NoError(t, err)
	r, err := w.idle.Reader(ctx, w.p)
	require.NoError(t, err)
	ads, err := w.idle.Scope(ctx, purpose.MustParse("advertising"))
	require.NoError(t, err)
	ads = ads.Under(purpose.Basis{Consent: "c-1"})
	itself := func(text string) string { return text }
	w.uses = map[string]func() error{
		"reveal": func() error { _, err := w.s.Reveal(ctx, lookKind, w.noticed); return err },
		"reader": func() error { _, err := r.Reveal(ctx, lookKind, w.noticed); return err },
		"hint":   func() error { _, err := r.Hint(ctx, lookKind, w.noticed, itself); return err },
		"index": func() error {
			_, err := w.s.IndexSealed(ctx, lookKind, w.noticed, func(text string) (string, bool) { return text, true })
			return err
		},
		"extend": func() error { _, err := Extend(ctx, lookKind, w.noticed, nil, w.s, ads); return err },
	}
	return w
}

// goesOn requires that values under no notice, and texts, are used as before.
func (w *brakeWorld) goesOn(t *testing.T) {
	t.Helper()
	text, err := w.s.Reveal(t.Context(), lookKind, w.old)
	require.NoError(t, err)
	require.Equal(t, "text", text)
	_, err = w.l.Index(t.Context(), lookKind, "text")
	require.NoError(t, err)
	_, err = Seal(t.Context(), lookKind, "text", w.s)
	require.NoError(t, err)
	_, err = Reseal(t.Context(), lookKind, w.noticed, nil, w.s)
	require.NoError(t, err)
}

// Another process heeds a suspension within Refresh, whether its keys are in use or idle,
// its machine was suspended or its clock set back. It heeds the end within half a minute.
func TestSuspensionReachesOtherProcesses(t *testing.T) {
	for how, pass := range passing {
		for name := range newBrakeUses {
			t.Run(how+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newBrakeWorld(t, nil)
					require.NoError(t, w.uses[name]())
					require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
					require.NoError(t, w.uses[name](), "it can't be known here yet")
					pass(w.idle.backend, defaultRefresh)
					require.ErrorIs(t, w.uses[name](), ErrSuspended)
					w.goesOn(t)
					require.NoError(t, w.admin.Resume(t.Context(), w.p, brakeNotice))
					require.ErrorIs(t, w.uses[name](), ErrSuspended)
					pass(w.idle.backend, suspendedRefresh)
					require.NoError(t, w.uses[name]())
				})
			})
		}
	}
}

var newBrakeUses = map[string]bool{"reveal": true, "reader": true, "hint": true, "index": true, "extend": true}

// The process that suspends heeds it at once, with all handles that it has open, and looks
// for the next change within half a minute.
func TestSuspensionHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, nil)
		s, err := w.admin.Scope(t.Context(), w.p)
		require.NoError(t, err)
		l, err := w.admin.Lookup(t.Context(), w.p)
		require.NoError(t, err)
		require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Reason: "under review"}))
		_, err = s.Reveal(t.Context(), lookKind, w.old)
		require.EqualError(t, err, "vault: revealing look: suspended for security")
		_, err = l.Indexes(t.Context(), lookKind, "text")
		require.ErrorIs(t, err, ErrSuspended)
		_, err = Seal(t.Context(), lookKind, "text", s)
		require.ErrorIs(t, err, ErrSuspended)
		other, err := OpenAdmin(t.Context(), w.store.Store, w.admin.kek, nil)
		require.NoError(t, err)
		defer other.Close()
		require.NoError(t, other.Resume(t.Context(), w.p, ""))
		time.Sleep(suspendedRefresh)
		for _, err := range []error{
			only(s.Reveal(t.Context(), lookKind, w.old)), only(l.Indexes(t.Context(), lookKind, "text")), only(Seal(t.Context(), lookKind, "text", s)),
		} {
			require.NoError(t, err)
		}
	})
}

func only[T any](_ T, err error) error { return err }

// A process whose store does not answer uses values for SuspendLifetime and no longer: it
// can't know whether it was stopped. Rotations and collecting go on. When the store
// answers, so does the process.
func TestSuspendLifetime(t *testing.T) {
	for name, down := range map[string]func(ctx context.Context) ([]Record, error){
		"fails":   func(context.Context) ([]Record, error) { return nil, errors.New("down") },
		"hangs":   func(ctx context.Context) ([]Record, error) { <-ctx.Done(); return nil, ctx.Err() },
		"garbles": func(context.Context) ([]Record, error) { return []Record{{Name: "security/keys", Revision: 9}}, nil },
	} {
		for how, pass := range passing {
			if how == "clock set back" {
				continue // which the test below has
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newBrakeWorld(t, nil)
					index := func() error { _, err := w.l.Index(t.Context(), lookKind, "text"); return err }
					w.store.setGet(func(ctx context.Context, _ ...string) ([]Record, error) { return down(ctx) })
					require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
					pass(w.idle.backend, defaultSuspendLifetime*9/10-time.Minute)
					for _, use := range w.uses {
						require.NoError(t, use(), "an outage harms nobody for a while")
					}
					require.NoError(t, index())
					pass(w.idle.backend, defaultSuspendLifetime/10+time.Minute)
					w.uses["lookup"] = index
					for use, f := range w.uses {
						err := f()
						require.ErrorIs(t, err, ErrUnavailable, use)
						require.ErrorContains(t, err, "key store has not answered for 1h0m0s, so the use may be suspended", use)
						require.NotErrorIs(t, err, ErrSuspended, use)
					}
					delete(w.uses, "lookup")
					_, err := Seal(t.Context(), lookKind, "text", w.s)
					require.NoError(t, err)
					_, err = Reseal(t.Context(), lookKind, w.noticed, nil, w.s)
					require.NoError(t, err)
					for _, o := range w.idle.Status() {
						require.False(t, o.Stops.After(time.Now()))
					}

					w.store.setGet(nil)
					time.Sleep(lookPause)
					w.s.opened.peek()
					w.l.scope.opened.peek()
					time.Sleep(2 * defaultTimeout) // the read that hung has ended
					synctest.Wait()
					for use, f := range w.uses {
						require.ErrorIs(t, f(), ErrSuspended, use)
					}
					w.goesOn(t)
				})
			})
		}
	}
}

// A SuspendLifetime of less than Refresh has the store read that often. One of more than
// KeyLifetime changes nothing: the lease on the keys ends first.
func TestSuspendLifetimeBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, &Options{Refresh: time.Hour, SuspendLifetime: time.Minute})
		require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
		time.Sleep(time.Minute)
		for use, f := range w.uses {
			require.ErrorIs(t, f(), ErrSuspended, use)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, &Options{KeyLifetime: time.Hour, SuspendLifetime: 24 * time.Hour})
		w.store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
		time.Sleep(time.Hour)
		require.ErrorIs(t, w.uses["reveal"](), ErrUnavailable)
		require.NotContains(t, w.uses["reveal"]().Error(), "suspended")
	})
}

// A store that is put back to before the suspension does not end it: not in a process that
// has seen it, and not in a new one with a pin.
func TestStoreFromBeforeTheSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, nil)
		before, err := w.store.Store.Get(t.Context(), keyRecordName(w.p), vaultRecordName)
		require.NoError(t, err)
		require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
		pin, err := w.admin.Pin(t.Context(), w.p)
		require.NoError(t, err)
		time.Sleep(defaultRefresh)
		require.ErrorIs(t, w.uses["reveal"](), ErrSuspended)
		w.store.setGet(func(_ context.Context, names ...string) (found []Record, err error) {
			for _, r := range before {
				if slices.Contains(names, r.Name) {
					found = append(found, r)
				}
			}
			return found, nil
		})
		for range 3 {
			time.Sleep(suspendedRefresh)
			require.ErrorIs(t, w.uses["reveal"](), ErrSuspended)
		}
		require.True(t, slices.ContainsFunc(w.idle.Status(), func(o Opened) bool { return errors.Is(o.RefreshErr, ErrCorrupt) && len(o.Suspended) == 1 }))
		for _, pinned := range []bool{false, true} {
			opts := &Options{}
			if pinned {
				opts.Pin = FixedPins(pin)
			}
			v, err := Open(t.Context(), w.store, w.admin.kek, opts)
			require.NoError(t, err)
			_, err = v.Scope(t.Context(), w.p)
			if pinned {
				require.ErrorIs(t, err, ErrCorrupt)
			} else {
				require.NoError(t, err, "nothing but a pin tells a new process")
			}
			v.Close()
		}
	})
}

// A suspension that overtakes an operation stops it: the value is under a key that this
// process learns of together with the suspension.
func TestSuspensionThatOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, nil)
		w.rotate(t)
		s, err := w.admin.Scope(t.Context(), w.p)
		require.NoError(t, err)
		w.noticed, err = Seal(t.Context(), lookKind, "text", s.Under(purpose.Basis{Notice: brakeNotice}))
		require.NoError(t, err)
		require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
		require.Nil(t, w.s.opened.current.Load().suspended)
		require.ErrorIs(t, w.uses["reveal"](), ErrSuspended)
	})
}

// A suspension of the purpose that a value is extended to overtakes the extension, when the
// key of the person is under a key that this process learns of together with the suspension.
func TestSuspensionThatOvertakesAnExtension(t *testing.T) {
	for _, suspended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newBrakeWorld(t, nil)
			ctx, ads := t.Context(), purpose.MustParse("advertising")
			to, err := w.idle.Scope(ctx, ads)
			require.NoError(t, err)
			to = to.For("alice").Under(purpose.Basis{Consent: "c-1"})
			v, err := Seal(ctx, lookKind, "text", w.s.For("alice"))
			require.NoError(t, err)
			there, err := w.admin.Scope(ctx, ads)
			require.NoError(t, err)
			rotateNow(t, w.admin, ads, RoleSeal)
			_, err = Seal(ctx, lookKind, "text", there.For("alice"))
			require.NoError(t, err)
			if suspended {
				require.NoError(t, w.admin.Suspend(ctx, ads, Suspension{Actions: []audit.Action{audit.Extend}}))
			}
			before := to.opened.current.Load()
			extended, err := Extend(ctx, lookKind, v, nil, w.s.For("alice"), to)
			require.NotSame(t, before, to.opened.current.Load())
			if suspended {
				require.ErrorIs(t, err, ErrSuspended)
			} else {
				require.NoError(t, err)
				require.True(t, extended.Purposes().Contains(ads))
			}
		})
	}
}

// A suspension ends by the wall clock of each process, and is gone from the record with
// the next change.
func TestSuspensionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, nil)
		ctx := t.Context()
		until := time.Now().Add(time.Hour + time.Millisecond)
		require.NoError(t, w.admin.Suspend(ctx, w.p, Suspension{Notice: brakeNotice, Until: until, Reason: "review"}))
		require.NoError(t, w.admin.Suspend(ctx, w.p, Suspension{Notice: "other"}))
		all, err := w.idle.Suspensions(ctx, w.p)
		require.NoError(t, err)
		end := until.Add(time.Second).Truncate(time.Second).UTC()
		require.Equal(t, Suspension{Notice: brakeNotice, Actions: suspendable[1:], Reason: "review", Until: end, Since: time.Now().UTC().Truncate(time.Second)}, all[0])
		require.Len(t, all, 2)
		err = w.uses["reveal"]()
		require.EqualError(t, err, "vault: revealing look: suspended for security under notice 2fa-prompt-v2 until "+end.Format(time.RFC3339))
		require.Equal(t, all, w.idle.Status()[len(w.idle.Status())-1].Suspended)

		time.Sleep(time.Hour)
		require.ErrorIs(t, w.uses["reveal"](), ErrSuspended, "not before the second is full")
		time.Sleep(2 * time.Second)
		require.NoError(t, w.uses["reveal"]())
		all, err = w.idle.Suspensions(ctx, w.p)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, w.admin.Suspend(ctx, w.p, Suspension{Notice: "third"}))
		r, _, err := w.admin.readKeyRecord(ctx, w.p)
		require.NoError(t, err)
		require.Len(t, r.Suspended, 2)
		require.NoError(t, w.admin.Resume(ctx, w.p, "third"))
		require.NoError(t, w.admin.Resume(ctx, w.p, "other"))
		r, _, err = w.admin.readKeyRecord(ctx, w.p)
		require.NoError(t, err)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, string(text), "suspended", "older versions read the record again")
	})
	// A process whose clock is behind, within or beyond the skew of machines, stops all the
	// longer. Nobody compares Since with a clock.
	s := &suspensions{purpose.MustParse("security"), []suspensionRecord{{Actions: suspendable, Since: time.Now().Add(maxSkew).Unix()}}}
	require.ErrorIs(t, s.refusal(audit.Reveal, ""), ErrSuspended)
}

// Suspend replaces the suspension of its notice, and keeps the others in order. There are
// at most 64.
func TestSuspendReplaces(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "b"}))
	require.NoError(t, v.Suspend(ctx, p, Suspension{}))
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "a"}))
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "b", Actions: []audit.Action{audit.Hint, audit.Seal, audit.Hint}}))
	all, err := v.Suspensions(ctx, p)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, []string{"", "a", "b"}, []string{all[0].Notice, all[1].Notice, all[2].Notice})
	require.Equal(t, suspendable, all[0].Actions)
	require.Equal(t, []audit.Action{audit.Seal, audit.Hint}, all[2].Actions)
	all[0].Actions[0] = audit.Erase // a copy
	again, err := v.Suspensions(ctx, p)
	require.NoError(t, err)
	require.Equal(t, suspendable, again[0].Actions)
	for i := range maxSuspensions - 3 {
		require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "n-" + strings.Repeat("x", i+1), Reason: strings.Repeat("ü", maxSuspendReason/2)}))
	}
	require.ErrorIs(t, v.Suspend(ctx, p, Suspension{Notice: "one-more"}), ErrInvalid)
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "a"}), "one that is there")
	require.NoError(t, v.Resume(ctx, p, "a"))
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "one-more"}))
	for name, s := range map[string]Suspension{
		"action":           {Actions: []audit.Action{audit.Erase}},
		"one wrong action": {Actions: []audit.Action{audit.Reveal, "look"}},
		"notice":           {Notice: "two words"}, "long notice": {Notice: strings.Repeat("n", purpose.MaxReference+1)},
		"line": {Reason: "one\ntwo"}, "control": {Reason: "\x1b[2J"}, "direction": {Reason: "a\u202eb"}, "bytes": {Reason: "\xff"},
		"long": {Reason: strings.Repeat("r", maxSuspendReason+1)}, "past": {Until: time.Now().Add(-time.Second)}, "far": {Until: time.Unix(maxKeyTime+1, 0)},
		"year zero": {Until: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		require.ErrorIs(t, v.Suspend(ctx, p, s), ErrInvalid, name)
	}
	require.ErrorIs(t, v.Resume(ctx, p, "two words"), ErrInvalid)
	require.ErrorIs(t, v.Suspend(ctx, purpose.Purpose{}, Suspension{}), ErrInvalid)
	require.ErrorIs(t, v.Suspend(ctx, purpose.MustParse("billing"), Suspension{}), ErrNoKeys)
}

// Suspend and Resume go through while another process changes the keys as well, and
// rotations keep suspensions.
func TestSuspendBesideOtherChanges(t *testing.T) {
	ctx := t.Context()
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	other, err := OpenAdmin(ctx, store.Store, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	conflicts := 2
	store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
		found, err := store.Store.Get(ctx, names...)
		if conflicts > 0 && names[0] == keyRecordName(p) {
			conflicts--
			if err := other.Rotate(ctx, p, RoleIndex); err != nil {
				return nil, err
			}
		}
		return found, err
	})
	require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: brakeNotice}))
	require.Zero(t, conflicts)
	for _, change := range []func() error{
		func() error { return other.Rotate(ctx, p, RoleSeal) },
		func() error { return other.Rewrap(ctx, v.kek, p) },
		func() error { return other.Generate(ctx, p) },
	} {
		require.NoError(t, change())
		all, err := other.Suspensions(ctx, p)
		require.NoError(t, err)
		require.Len(t, all, 1)
	}
	conflicts = 5
	require.ErrorIs(t, v.Resume(ctx, p, brakeNotice), ErrConflict)
	conflicts = 0
	require.NoError(t, v.Resume(ctx, p, brakeNotice))
}

// A record with a suspension that no writer makes is refused, and so is any suspension by a
// reader that does not know the field.
func TestRecordsWithSuspensions(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	good, _, err := v.readKeyRecord(ctx, p)
	require.NoError(t, err)
	first := suspensionRecord{Notice: "", Actions: []audit.Action{audit.Reveal}, Since: 5}
	second := suspensionRecord{Notice: "n-1", Actions: suspendable, Reason: "review", Since: 5, Until: 6}
	read := func(all ...suspensionRecord) error {
		r := *good
		r.Suspended = all
		text, err := json.Marshal(r)
		require.NoError(t, err)
		_, err = parseKeyRecord(p, *v.vault.Load(), text)
		return err
	}
	require.NoError(t, read())
	require.NoError(t, read(first))
	require.NoError(t, read(first, second))
	change := func(f func(*suspensionRecord)) suspensionRecord {
		s := second
		s.Actions = slices.Clone(s.Actions)
		f(&s)
		return s
	}
	long := make([]suspensionRecord, maxSuspensions+1)
	for i := range long {
		long[i] = change(func(s *suspensionRecord) { s.Notice = strings.Repeat("n", i%64+1) + strings.Repeat("m", i/64) })
	}
	slices.SortFunc(long, func(a, b suspensionRecord) int { return strings.Compare(a.Notice, b.Notice) })
	for name, all := range map[string][]suspensionRecord{
		"twice":            {first, first},
		"out of order":     {second, first},
		"unknown action":   {change(func(s *suspensionRecord) { s.Actions[0] = "erase" })},
		"no action":        {change(func(s *suspensionRecord) { s.Actions = nil })},
		"empty actions":    {change(func(s *suspensionRecord) { s.Actions = []audit.Action{} })},
		"action twice":     {change(func(s *suspensionRecord) { s.Actions = []audit.Action{audit.Hint, audit.Hint} })},
		"actions reversed": {change(func(s *suspensionRecord) { slices.Reverse(s.Actions) })},
		"notice":           {change(func(s *suspensionRecord) { s.Notice = "two words" })},
		"reason":           {change(func(s *suspensionRecord) { s.Reason = "a\nb" })},
		"escape":           {change(func(s *suspensionRecord) { s.Reason = "a\x1b[2Jb" })},
		"C1":               {change(func(s *suspensionRecord) { s.Reason = "a\u009bb" })},
		"end of a line":    {change(func(s *suspensionRecord) { s.Reason = "a\u2028b" })},
		"direction":        {change(func(s *suspensionRecord) { s.Reason = "a\u202eb" })},
		"isolate":          {change(func(s *suspensionRecord) { s.Reason = "a\u2066b" })},
		"long reason":      {change(func(s *suspensionRecord) { s.Reason = strings.Repeat("r", maxSuspendReason+1) })},
		"before 1970":      {change(func(s *suspensionRecord) { s.Since = -1 })},
		"since 10000":      {change(func(s *suspensionRecord) { s.Since, s.Until = maxKeyTime+1, 0 })},
		"until 10000":      {change(func(s *suspensionRecord) { s.Until = maxKeyTime + 1 })},
		"negative end":     {change(func(s *suspensionRecord) { s.Until = -1 })},
		"ends at once":     {change(func(s *suspensionRecord) { s.Until = s.Since })},
		"too many":         long,
	} {
		require.ErrorIs(t, read(all...), ErrCorrupt, name)
	}
	require.NoError(t, read(long[:maxSuspensions]...))
	// A later Unicode may assign these, and a reader of before must not refuse the keys.
	for _, reason := range []string{"\u0378", "\U0003fffd", "\ue000", "wegen Täuschung", "欺瞞的"} {
		require.NoError(t, read(change(func(s *suspensionRecord) { s.Reason = reason })), reason)
	}

	r := *good
	r.Suspended = []suspensionRecord{first}
	text, err := json.Marshal(r)
	require.NoError(t, err)
	older := maps.Clone(recordNames)
	delete(older, "suspended")
	exact := func(text []byte, known names) bool {
		return exactNames(json.NewDecoder(strings.NewReader(string(text))), known)
	}
	require.True(t, exact(text, recordNames))
	require.False(t, exact(text, older), "a reader of before would let everything go on")
	for _, spelt := range []string{
		strings.Replace(string(text), `"suspended"`, `"Suspended"`, 1),
		strings.Replace(string(text), `"suspended":[`, `"suspended":[],"suspended":[`, 1),
		strings.Replace(string(text), `"reason"`, `"Reason"`, 1),
		strings.Replace(string(text), `"since"`, `"ends":1,"since"`, 1),
		string(text[:strings.Index(string(text), `"suspended":`)]) + `"suspended":[]}`,
	} {
		_, err := parseKeyRecord(p, *v.vault.Load(), []byte(spelt))
		require.ErrorIs(t, err, ErrCorrupt, spelt[strings.Index(strings.ToLower(spelt), `"suspended`):])
	}
}
