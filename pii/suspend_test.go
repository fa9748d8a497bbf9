package pii_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A stoppedBy says which suspended actions stop an operation on a value under
// eventNotice: for the whole purpose, and for the notice.
type stoppedBy struct{ whole, notice []audit.Action }

// stopped are the operations of [eventRows] that a suspension stops, by a word that all
// names of such operations have. Every other operation goes on.
var stopped = []struct {
	word string
	by   stoppedBy
}{
	{"Indexed", stoppedBy{[]audit.Action{audit.Seal, audit.Index}, []audit.Action{audit.Seal}}},
	{"IndexSealed", stoppedBy{[]audit.Action{audit.Index}, []audit.Action{audit.Index}}},
	{"Sealed.Index", stoppedBy{[]audit.Action{audit.Index}, []audit.Action{audit.Index}}},
	{"Matches", stoppedBy{[]audit.Action{audit.Index}, []audit.Action{audit.Index}}},
	{"Index", stoppedBy{[]audit.Action{audit.Index}, nil}}, // of a text, which has no notice
	{".Reveal", stoppedBy{[]audit.Action{audit.Reveal}, []audit.Action{audit.Reveal}}},
	{".Hint", stoppedBy{[]audit.Action{audit.Hint}, []audit.Action{audit.Hint}}},
	{".Extend", stoppedBy{[]audit.Action{audit.Extend}, []audit.Action{audit.Extend}}},
	{".Seal ", stoppedBy{[]audit.Action{audit.Seal}, []audit.Action{audit.Seal}}},
	{".SealEmail", stoppedBy{[]audit.Action{audit.Seal}, []audit.Action{audit.Seal}}},
	{".SealPhone", stoppedBy{[]audit.Action{audit.Seal}, []audit.Action{audit.Seal}}},
	{".SealOptional", stoppedBy{[]audit.Action{audit.Seal}, []audit.Action{audit.Seal}}},
}

// goOn are words in the names of all other operations.
var goOn = []string{"vault.Vault.", "vault.Admin.", "Reseal", "Withdraw", "Sweep", "RecordClear"}

func stoppersOf(apis string) (by stoppedBy) {
	for _, row := range stopped {
		if strings.Contains(apis+" ", row.word) {
			return row.by
		}
	}
	return stoppedBy{}
}

// Each operation is stopped by the suspensions that its documentation names, by purpose and
// by notice, and by no other. [TestEveryOperationIsOneEvent] sees to it that eventRows has
// every operation.
func TestEverySuspensionStopsItsOperations(t *testing.T) {
	actions := []audit.Action{audit.Seal, audit.Reveal, audit.Hint, audit.Index, audit.Extend}
	stops := 0
	for _, row := range eventRows() {
		by := stoppersOf(row.apis)
		if by.whole == nil {
			continue
		}
		stops++
		t.Run(row.apis, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newEventWorld(t)
				ctx := t.Context()
				try := func(s vault.Suspension, p purpose.Purpose, want audit.Action) {
					t.Helper()
					require.NoError(t, w.v.Suspend(ctx, p, s))
					w.events = nil
					err := row.success(w, ctx)
					events := w.events
					require.NoError(t, w.v.Resume(ctx, p, s.Notice))
					if want == "" {
						require.NoError(t, err, "%v", s)
						return
					}
					var refusal *vault.SuspendedError
					require.ErrorIs(t, err, vault.ErrSuspended, "%v", s)
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, vault.SuspendedError{Purpose: p, Notice: s.Notice, Action: want}, *refusal)
					require.NotErrorIs(t, err, vault.ErrUnavailable)
					require.NotErrorIs(t, err, vault.ErrCorrupt)
					last := events[len(events)-1]
					require.Equal(t, audit.Denied, last.Outcome)
					require.Equal(t, "suspended", last.Reason)
					if strings.Contains(row.apis, "Indexed") && want == audit.Index { // the value was sealed, and is dropped
						events = events[1:]
					}
					for _, e := range events {
						require.Equal(t, "suspended", e.Reason)
					}
				}
				for _, a := range actions {
					only := []audit.Action{a}
					want := func(by []audit.Action) audit.Action {
						if slices.Contains(by, a) {
							return a
						}
						return ""
					}
					try(vault.Suspension{Actions: only}, forSecurity, want(by.whole))
					try(vault.Suspension{Notice: eventNotice, Actions: only}, forSecurity, want(by.notice))
					try(vault.Suspension{Notice: "signup-v2", Actions: only}, forSecurity, "")
				}
				if strings.Contains(row.apis, "Extend") {
					for _, a := range actions {
						want := audit.Action("")
						if a == audit.Extend || a == audit.Seal { // it seals for the other purpose
							want = a
						}
						try(vault.Suspension{Actions: []audit.Action{a}}, forAdvertising, want)
					}
				} else {
					try(vault.Suspension{}, forAdvertising, "")
				}
			})
		})
	}
	require.GreaterOrEqual(t, stops, 29)
}

// Every other operation goes on while everything is suspended: rotations, erasures,
// withdrawals, and the reseal of own values. Reseal hands no plaintext to anybody then.
func TestOtherOperationsGoOn(t *testing.T) {
	for _, row := range eventRows() {
		if stoppersOf(row.apis).whole != nil {
			continue
		}
		require.True(t, slices.ContainsFunc(goOn, func(word string) bool { return strings.Contains(row.apis, word) }),
			"%s: say whether a suspension stops it", row.apis)
		for _, notice := range []string{"", eventNotice} {
			t.Run(row.apis+" "+notice, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newEventWorld(t)
					ctx := t.Context()
					for _, p := range []purpose.Purpose{forSecurity, forAdvertising} {
						require.NoError(t, w.v.Suspend(ctx, p, vault.Suspension{Notice: notice, Actions: []audit.Action{audit.Seal, audit.Reveal, audit.Hint, audit.Index, audit.Extend}}))
					}
					w.events = nil
					require.NoError(t, row.success(w, ctx))
					require.Len(t, w.events, row.events)
				})
			})
		}
	}
}

// A value of a collector is not taken in while sealing or revealing is suspended for it,
// and its plaintext is judged by nobody. An own value is sealed anew, unjudged.
func TestSuspendedReseal(t *testing.T) {
	w := newEventWorld(t)
	ctx := t.Context()
	c, err := w.v.Collector(ctx, forSecurity)
	require.NoError(t, err)
	collected, err := vault.Seal(ctx, emailKind, "bob@example.com", c.Under(purpose.Basis{Notice: eventNotice}))
	require.NoError(t, err)
	for _, notice := range []string{"", eventNotice} {
		for _, a := range []audit.Action{audit.Seal, audit.Reveal, audit.Hint, audit.Index, audit.Extend} {
			require.NoError(t, w.v.Suspend(ctx, forSecurity, vault.Suspension{Notice: notice, Actions: []audit.Action{a}}))
			judged := 0
			judge := func(string) bool { judged++; return true }
			_, err := vault.Reseal(ctx, emailKind, collected, judge, w.security)
			if a == audit.Seal || a == audit.Reveal {
				var refusal *vault.SuspendedError
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, a, refusal.Action)
				require.Zero(t, judged)
			} else {
				require.NoError(t, err)
				require.Equal(t, 1, judged)
			}
			judged = 0
			_, err = vault.Reseal(ctx, emailKind, w.value, judge, w.security)
			require.NoError(t, err)
			require.Equal(t, a != audit.Reveal, judged == 1)
			require.NoError(t, w.v.Resume(ctx, forSecurity, notice))
		}
	}
	// The default set of a notice lets nobody read, and collecting goes on.
	require.NoError(t, w.v.Suspend(ctx, forSecurity, vault.Suspension{Notice: eventNotice}))
	_, err = vault.Seal(ctx, emailKind, "carol@example.com", w.security)
	require.NoError(t, err)
	_, err = w.security.Reveal(ctx, emailKind, w.value)
	require.ErrorIs(t, err, vault.ErrSuspended)
}

// A notice in a header that was altered opens no suspended value: the value does not open
// at all.
func TestRelabelledNoticeIsNoWayAround(t *testing.T) {
	w := newEventWorld(t)
	ctx := t.Context()
	require.NoError(t, w.v.Suspend(ctx, forSecurity, vault.Suspension{Notice: eventNotice}))
	text, err := w.value.MarshalBinary()
	require.NoError(t, err)
	at := strings.Index(string(text), eventNotice)
	require.Positive(t, at)
	text[at+len(eventNotice)-1] = '2'
	var forged vault.Sealed
	require.NoError(t, forged.UnmarshalBinary(text))
	p, _ := forged.Provenance(forSecurity)
	require.Equal(t, "signup-v2", p.Notice)
	for _, use := range []func() error{
		func() error { _, err := w.security.Reveal(ctx, emailKind, forged); return err },
		func() error { _, err := w.reader.Reveal(ctx, emailKind, forged); return err },
		func() error { _, err := w.security.Hint(ctx, emailKind, forged, itself); return err },
		func() error { _, err := w.security.IndexSealed(ctx, emailKind, forged, agreed); return err },
		func() error { _, err := vault.Reseal(ctx, emailKind, forged, nil, w.security); return err },
		func() error {
			_, err := vault.Extend(ctx, emailKind, forged, nil, w.security, w.ads.Under(withConsent))
			return err
		},
	} {
		require.ErrorIs(t, use(), vault.ErrCorrupt)
	}
	// Without the slot there is no notice, and no value either.
	_, err = w.security.Reveal(ctx, emailKind, w.value.Without(forSecurity))
	require.Error(t, err)
}

// The events of a suspension say what was stopped, where, until when and why.
func TestEventsOfSuspensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEventWorld(t)
		ctx := audit.WithCaller(t.Context(), "oncall@ops")
		until := time.Now().Add(90 * time.Minute).Truncate(time.Second)
		require.NoError(t, w.v.Suspend(ctx, forSecurity, vault.Suspension{
			Notice: eventNotice, Actions: []audit.Action{audit.Hint, audit.Reveal}, Reason: "deceptive", Until: until,
		}))
		e := w.events[0]
		require.Equal(t, audit.Suspend, e.Action)
		require.Equal(t, audit.Allowed, e.Outcome)
		require.Equal(t, "reveal,hint: deceptive", e.Note)
		require.Equal(t, purpose.Provenance{Notice: eventNotice, Expires: until.UTC()}, e.Provenance)
		require.Equal(t, "oncall@ops", e.Caller)
		require.NoError(t, w.v.Resume(ctx, forSecurity, eventNotice))
		require.NoError(t, w.v.Resume(ctx, forSecurity, eventNotice))
		require.Len(t, w.events, 3)
		require.Equal(t, audit.Resume, w.events[1].Action)
		require.Equal(t, eventNotice, w.events[1].Provenance.Notice)
		require.Empty(t, w.events[1].Reason)
		require.Equal(t, e.Generation+1, w.events[1].Generation)
		require.Equal(t, "absent", w.events[2].Reason)
		require.Equal(t, e.Generation+1, w.events[2].Generation, "nothing was written")
		_, err := w.security.Reveal(ctx, emailKind, w.value)
		require.NoError(t, err)
		require.False(t, errors.Is(err, vault.ErrSuspended))
	})
}
