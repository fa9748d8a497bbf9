package vault

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A suspension that overtakes an operation leaves the operation's own refusal as it is, even
// if it would let the value pass.
func TestSuspensionThatOvertakesHidesNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBrakeWorld(t, nil)
		w.rotate(t)
		s, err := w.admin.Scope(t.Context(), w.p)
		require.NoError(t, err)
		expired, err := Seal(t.Context(), lookKind, "text", s.Under(purpose.Basis{Retain: time.Second}))
		require.NoError(t, err)
		require.NoError(t, w.admin.Suspend(t.Context(), w.p, Suspension{Notice: brakeNotice}))
		time.Sleep(2 * time.Second)
		require.Nil(t, w.s.opened.current.Load().suspended)
		text, err := w.s.Reveal(t.Context(), lookKind, expired)
		require.ErrorIs(t, err, ErrExpired)
		require.Empty(t, text)
		require.NotNil(t, w.s.opened.current.Load().suspended)
	})
}

// The events of Suspend and Resume say what stops and why, and never repeat a text that is
// malformed. Each changes the keys once, and a Resume without a suspension changes nothing.
func TestSuspensionEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var last audit.Event
		v, p := testVault(t, Memory(), &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error { last = e; return nil })})
		generation := func() uint64 {
			r, _, err := v.readKeyRecord(ctx, p)
			require.NoError(t, err)
			return r.Generation
		}
		before := generation()
		until := time.Now().Add(time.Hour).UTC()
		require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "n-1", Actions: []audit.Action{audit.Hint, audit.Seal}, Reason: "under review", Until: until}))
		require.Equal(t, audit.Suspend, last.Action)
		require.Equal(t, audit.Allowed, last.Outcome)
		require.Equal(t, purpose.Provenance{Notice: "n-1", Expires: until}, last.Provenance)
		require.Equal(t, "seal,hint: under review", last.Note)
		require.Equal(t, before+1, generation())
		require.NoError(t, v.Suspend(ctx, p, Suspension{Notice: "n-2", Actions: []audit.Action{audit.Index}}))
		require.Equal(t, "index", last.Note)
		require.Equal(t, before+2, generation())

		require.ErrorIs(t, v.Suspend(ctx, p, Suspension{Notice: "n-3", Reason: "one\ntwo"}), ErrInvalid)
		require.Equal(t, audit.Failed, last.Outcome)
		require.Empty(t, last.Note)
		require.Zero(t, last.Provenance)
		require.ErrorIs(t, v.Resume(ctx, p, "two words"), ErrInvalid)
		require.Zero(t, last.Provenance)
		require.Equal(t, before+2, generation())

		require.NoError(t, v.Resume(ctx, p, "absent"))
		require.Equal(t, audit.Resume, last.Action)
		require.Equal(t, audit.Allowed, last.Outcome)
		require.Equal(t, "absent", last.Reason)
		require.Equal(t, "absent", last.Provenance.Notice)
		require.Equal(t, before+2, generation())

		time.Sleep(time.Hour)
		require.NoError(t, v.Resume(ctx, p, "n-1"), "it has ended by itself")
		require.Equal(t, "absent", last.Reason)
		require.Equal(t, before+2, generation())
		require.NoError(t, v.Resume(ctx, p, "n-2"))
		require.Empty(t, last.Reason)
		require.Equal(t, "n-2", last.Provenance.Notice)
		require.Equal(t, before+3, generation())
		r, _, err := v.readKeyRecord(ctx, p)
		require.NoError(t, err)
		require.Nil(t, r.Suspended, "the one that has ended is gone as well")

		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		_, err = v.Suspensions(ctx, p)
		require.NoError(t, err)
		require.Equal(t, audit.List, last.Action)
		require.Equal(t, before+3, last.Generation)
		require.Equal(t, hexID(s.opened.current.Load().digest), last.Digest)
	})
}

// Suspensions fails rather than answer from memory.
func TestSuspensionsAsksTheStore(t *testing.T) {
	ctx := t.Context()
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	require.NoError(t, v.Suspend(ctx, p, Suspension{}))
	_, err := v.Suspensions(ctx, purpose.MustParse("billing"))
	require.ErrorIs(t, err, ErrNoKeys)
	_, err = v.Suspensions(ctx, p)
	require.NoError(t, err)
	store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, errors.New("down") })
	all, err := v.Suspensions(ctx, p)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Empty(t, all)
}

// The first and the last of every range of a suspension's record.
func TestSuspensionRecordBounds(t *testing.T) {
	_, err := newSuspensionRecord(Suspension{Until: time.Unix(maxKeyTime, 0)}, 1)
	require.NoError(t, err)
	_, err = newSuspensionRecord(Suspension{Notice: "two words"}, 1)
	require.ErrorIs(t, err, ErrInvalid)

	x := suspensionRecord{Until: 5}
	require.False(t, x.ended(4))
	require.True(t, x.ended(5))
	for _, r := range []suspensionRecord{
		{Actions: suspendable[:1], Since: 1}, {Actions: suspendable, Since: 0}, {Actions: suspendable, Since: maxKeyTime},
		{Actions: suspendable, Since: 1, Until: maxKeyTime}, {Actions: suspendable, Since: 1, Until: 2},
	} {
		require.True(t, r.valid(), "%v", r)
	}
	for r, moves := range map[rune]bool{
		0x1f: true, ' ': false, 0x7e: false, 0x7f: true, 0x9f: true, 0xa0: false, 0x61b: false, 0x61c: true, 0x61d: false,
		0x200d: false, 0x200e: true, 0x200f: true, 0x2010: false, 0x2027: false, 0x2028: true, 0x202e: true, 0x202f: false,
		0x2065: false, 0x2066: true, 0x2069: true, 0x206a: false,
	} {
		require.Equal(t, moves, movesText(r), "%U", r)
	}
}
