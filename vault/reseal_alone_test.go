package vault

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

var resealOtherKind = MustKind("reseal-other", "vault.ResealOther")

// A value of one purpose takes a path of its own through Reseal. For each value and each
// scope it decides as the path for several purposes does.
func TestResealOfOnePurposeDecidesAsForSeveral(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	store, kek := Memory(), testKEK(t)
	admin, err := OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Generate(ctx, security, ads))
	scope := func(v *Admin, p purpose.Purpose) *Scope {
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		return s
	}
	s, a := scope(admin, security), scope(admin, ads)
	front, err := admin.Collector(ctx, security)
	require.NoError(t, err)
	batch, err := front.Batch()
	require.NoError(t, err)
	seal := func(k Kind, sealers ...Sealer) Sealed {
		v, err := Seal(ctx, k, "text", sealers...)
		require.NoError(t, err)
		return v
	}
	noticed := purpose.Basis{Notice: "n-1", Retain: 1000 * 24 * 3600e9}
	values := map[string]Sealed{
		"zero": {}, "own": seal(lookKind, s), "under a notice": seal(lookKind, s.Under(noticed)),
		"of alice": seal(lookKind, s.For("alice")), "of alice, under a notice": seal(lookKind, s.For("alice").Under(noticed)),
		"of an erased person": seal(lookKind, s.For("erased")), "of another kind": seal(resealOtherKind, s), "of ads": seal(lookKind, a),
		"collected": seal(lookKind, front), "of a batch": seal(lookKind, batch), "of a batch, under a notice": seal(lookKind, batch.Under(noticed)),
		"suspended": seal(lookKind, s.Under(purpose.Basis{Notice: "n-2"})), "collected, suspended": seal(lookKind, front.Under(purpose.Basis{Notice: "n-2"})),
	}
	for name, v := range values {
		if name == "zero" {
			continue
		}
		for _, back := range []int{1, 20, 60} { // in the ciphertext, the header, the id
			text := []byte(v.text)
			if at := len(text) - back; at > 0 && text[at] != '.' {
				text[at] ^= 'A' ^ 'B'
			}
			var altered Sealed
			if altered.UnmarshalText(text) == nil { // other texts never become a value
				values[name+", altered"] = altered
			}
		}
	}
	_, err = admin.Erase(ctx, "erased", security)
	require.NoError(t, err)
	require.NoError(t, admin.Suspend(ctx, security, Suspension{Notice: "n-2"}))
	require.NoError(t, s.opened.refreshNow(ctx))

	closed, err := OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	shut := scope(closed, security)
	require.NoError(t, closed.Close())
	ended, cancel := context.WithCancel(ctx)
	cancel()
	calls := []struct {
		name string
		ctx  context.Context
		s    *Scope
	}{
		{"own", ctx, s}, {"alice", ctx, s.For("alice")}, {"bob", ctx, s.For("bob")}, {"erased", ctx, s.For("erased")}, {"no id", ctx, s.For("")},
		{"under a basis", ctx, s.Under(noticed)}, {"ads", ctx, a}, {"closed", ctx, shut}, {"ended", ended, s}, {"zero", ctx, new(Scope)},
	}
	done := 0
	for name, v := range values {
		for _, call := range calls {
			name := name + ", by " + call.name
			judged, judgedToo := 0, 0
			got, err := Reseal(call.ctx, lookKind, v, func(text string) bool { judged++; return text == "text" }, call.s)
			var want Sealed
			var texts []string
			value, wantErr := v.decode()
			if wantErr == nil {
				want, texts, wantErr = reseal(call.ctx, lookKind, value, []*Scope{call.s})
				judgedToo = len(texts)
			}
			if wantErr != nil {
				var failed *opError
				require.ErrorAs(t, err, &failed, name)
				require.True(t, errors.Is(failed.err, wantErr) || failed.err.Error() == wantErr.Error(), "%s: %v, not %v", name, failed.err, wantErr)
				require.EqualError(t, err, "vault: re-sealing look: "+failed.err.Error(), name)
				require.True(t, got.IsZero(), name)
				continue
			}
			require.NoError(t, err, name)
			done++
			require.Equal(t, judgedToo, judged, name)
			refused, err := Reseal(call.ctx, lookKind, v, func(string) bool { return false }, call.s)
			if judged > 0 {
				require.EqualError(t, err, "vault: re-sealing look: "+ErrCorrupt.Error(), name)
				require.True(t, refused.IsZero(), name)
			} else {
				require.NoError(t, err, name)
			}
			require.NotEqual(t, v.ID(), got.ID(), name)
			require.Equal(t, len(want.text), len(got.text), name)
			p, _ := got.Provenance(security)
			q, _ := want.Provenance(security)
			require.Equal(t, q, p, name)
			require.Equal(t, want.ByCollector(security), got.ByCollector(security), name)
			text, err := call.s.Reveal(ctx, lookKind, got)
			wantText, wantErr := call.s.Reveal(ctx, lookKind, want)
			require.Equal(t, wantErr, err, name)
			require.Equal(t, wantText, text, name)
		}
	}
	require.Greater(t, done, 15)

	_, err = Reseal(ctx, lookKind, values["own"], nil, s, a)
	var mismatch *purpose.MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, &purpose.MismatchError{Collected: purpose.NewSet(security), Asked: ads}, mismatch)
}

// A Reseal that fails behind the opening of the value returns no value: a store that does
// not answer has the caller wait for the newest keys, and hides the key of a person.
func TestResealNeedsTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		subject string
		idle    time.Duration
	}{"newest keys": {"", defaultRefresh}, "key of a person": {"new", 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newLookWorld(t, nil)
				w.store.setGet(func(ctx context.Context, _ ...string) ([]Record, error) { <-ctx.Done(); return nil, ctx.Err() })
				time.Sleep(c.idle)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				s := w.s
				if c.subject != "" {
					s = s.For(c.subject)
				}
				v, err := Reseal(ctx, lookKind, w.old, nil, s)
				require.ErrorIs(t, err, ErrUnavailable)
				require.True(t, v.IsZero())
				w.store.setGet(nil)
				time.Sleep(2 * defaultTimeout) // the reads that hung have ended
				synctest.Wait()
			})
		})
	}
}
