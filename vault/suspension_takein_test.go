package vault

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A collector seals without keys, so a suspension stops its values where the purpose takes
// them in, and extensions on both sides. The purpose's own values move to another key, and
// while they must not be revealed, no function sees them.
func TestSuspendedTakingIn(t *testing.T) {
	const other = "another-notice"
	seal, reveal, index, extend := []audit.Action{audit.Seal}, []audit.Action{audit.Reveal}, []audit.Action{audit.Index}, []audit.Action{audit.Extend}
	for name, c := range map[string]struct {
		ads                         bool // the suspension is of the other purpose
		suspension                  Suspension
		collected, extended, sealed audit.Action // the stopped actions, "" for an operation that goes on
		own                         bool         // the purpose's own value is judged
	}{
		"nothing":              {suspension: Suspension{Notice: other}, own: true},
		"notice":               {suspension: Suspension{Notice: brakeNotice}, collected: audit.Reveal, extended: audit.Extend},
		"sealing of notice":    {suspension: Suspension{Notice: brakeNotice, Actions: seal}, collected: audit.Seal, sealed: audit.Seal, own: true},
		"revealing of notice":  {suspension: Suspension{Notice: brakeNotice, Actions: reveal}, collected: audit.Reveal},
		"indexing of notice":   {suspension: Suspension{Notice: brakeNotice, Actions: index}, own: true},
		"purpose":              {collected: audit.Seal, extended: audit.Extend, sealed: audit.Seal},
		"sealing":              {suspension: Suspension{Actions: seal}, collected: audit.Seal, sealed: audit.Seal, own: true},
		"revealing":            {suspension: Suspension{Actions: reveal}, collected: audit.Reveal},
		"indexing":             {suspension: Suspension{Actions: index}, own: true},
		"other purpose":        {ads: true, extended: audit.Extend, own: true},
		"sealing of other":     {ads: true, suspension: Suspension{Actions: seal}, extended: audit.Seal, own: true},
		"extending to other":   {ads: true, suspension: Suspension{Actions: extend}, extended: audit.Extend, own: true},
		"revealing of other":   {ads: true, suspension: Suspension{Actions: reveal}, own: true},
		"notice of other":      {ads: true, suspension: Suspension{Notice: brakeNotice}, own: true},
		"its notice of other":  {ads: true, suspension: Suspension{Notice: other}, extended: audit.Extend, own: true},
		"its sealing of other": {ads: true, suspension: Suspension{Notice: other, Actions: seal}, extended: audit.Seal, own: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				w := newBrakeWorld(t, nil)
				ads, err := w.idle.Scope(ctx, purpose.MustParse("advertising"))
				require.NoError(t, err)
				ads = ads.Under(purpose.Basis{Notice: other, Consent: "c-1"})
				collector, err := w.idle.Collector(ctx, w.p)
				require.NoError(t, err)
				collected, err := Seal(ctx, lookKind, "text", collector.Under(purpose.Basis{Notice: brakeNotice}))
				require.NoError(t, err)
				judged := false
				judge := func(string) bool { judged = true; return true }
				reseal := func(v Sealed) error { judged = false; _, err := Reseal(ctx, lookKind, v, judge, w.s); return err }
				require.NoError(t, reseal(collected))
				require.True(t, judged)

				p := w.p
				if c.ads {
					p = ads.Purpose()
				}
				require.NoError(t, w.admin.Suspend(ctx, p, c.suspension))
				passing["idle"](w.idle.backend, defaultRefresh)
				require.NoError(t, w.s.opened.refreshNow(ctx)) // a Reseal does not wait for the store
				requireStopped(t, c.collected, reseal(collected))
				require.Equal(t, c.collected == "", judged, "of a collector")
				require.NoError(t, reseal(w.noticed), "the purpose's own value")
				require.Equal(t, c.own, judged, "own")
				_, err = Extend(ctx, lookKind, w.noticed, nil, w.s, ads)
				requireStopped(t, c.extended, err)
				_, err = Seal(ctx, lookKind, "text", w.s.Under(purpose.Basis{Notice: brakeNotice}))
				requireStopped(t, c.sealed, err)
			})
		})
	}
}

// requireStopped requires that an operation was refused for the action, or that it succeeded.
func requireStopped(t *testing.T, a audit.Action, err error) {
	t.Helper()
	if a == "" {
		require.NoError(t, err)
		return
	}
	var refusal *SuspendedError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, a, refusal.Action)
}
