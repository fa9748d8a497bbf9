//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// sampled reports whether the nth point of something is to be tried: a few are,
// and all of them with ONLYFOR_CRASHES set.
func sampled(nth, phase int) bool { return crashes() > 0 || (nth+phase)%12 == 0 }

// The plug is pulled at each point of each operation. Keys are those of before or
// of after, and what was sealed before opens; once the operation has returned
// they are those of after. A few points are tried, and all of them with
// ONLYFOR_CRASHES set.
func TestPluggedOutAtEachPoint(t *testing.T) {
	template, none := newSite(t), &site{Dir: t.TempDir()}
	for phase, op := range changes {
		t.Run(op.name, func(t *testing.T) {
			from := template
			if op.nothing {
				from = none
			}
			old, new := statesOf(t, from, op)
			w := from.copy(t)
			s := plugIn(t, w.Dir)
			left, points := map[string]*site{}, 0
			s.change = func() {
				points++
				for i, early := range []bool{false, true} {
					if sampled(points, phase+i) {
						left[fmt.Sprintf("before change %d, all names: %v", points, early)] = s.left(t, w, early)
					}
				}
			}
			v, err := w.begin(t.Context(), s.system())
			require.NoError(t, err)
			defer v.Close()
			require.NoError(t, op.do(t.Context(), w, s.system(), v))
			require.GreaterOrEqual(t, points, 10)
			for at, w := range left {
				require.Contains(t, []string{old, new}, w.freshState(t), at)
			}
			for _, early := range []bool{false, true} {
				require.Equal(t, w.freshState(t), s.left(t, w, early).freshState(t), "after it had returned")
			}
		})
	}
}

// A process dies, or is held up, at each point of each operation. Another one
// finds what that has written so far: it does the same again or finds that it is
// done already, or it only goes on sealing with the keys that are there. Whatever
// it is told then outlives a power cut: a name that the first process has written
// and not synced is no more durable for being there. A few points are tried, and
// all of them with ONLYFOR_CRASHES set.
func TestPluggedOutAfterAnotherHasSeenIt(t *testing.T) {
	template, none := newSite(t), &site{Dir: t.TempDir()}
	for phase, op := range changes {
		for i, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/again: %v", op.name, again), func(t *testing.T) {
				from := template
				if op.nothing {
					from = none
				}
				points := callsOf(t, from, op, true)
				for point := 1; point <= points; point++ {
					// Right after the rename is where it matters most: before the directory is
					// synced, and before and after the old content is overwritten.
					if sampled(point, phase+i) || point >= points-6 {
						diesAndIsFollowed(t, from, op, point, again)
					}
				}
			})
		}
	}
}

func diesAndIsFollowed(t *testing.T, from *site, op operation, point int, again bool) {
	t.Helper()
	at := fmt.Sprintf("it died before change %d", point)
	w := from.copy(t)
	s := plugIn(t, w.Dir)
	n := 0
	s.change = func() {
		n++
		s.dead = s.dead || n == point
	}
	v, err := w.begin(t.Context(), s.system())
	require.NoError(t, err)
	op.do(t.Context(), w, s.system(), v)
	v.Close()
	require.True(t, s.dead, at)

	s.dead, s.change = false, func() {}
	v, err = w.vault(t.Context(), s.system())
	if again {
		v, err = w.begin(t.Context(), s.system())
	}
	require.NoError(t, err)
	defer v.Close()
	if again {
		if err := op.do(t.Context(), w, s.system(), v); err != nil {
			require.ErrorIs(t, err, vault.ErrInvalid, at) // it is done, and can't be twice
		}
	}
	now, err := w.state(t.Context(), v)
	require.NoError(t, err)
	var sealed []sealedValue
	if now != "" {
		by := vaulttest.Scope(t, v, vaulttest.Security)
		sealed = append(sealed, sealedValue{string(vaulttest.MustText(t, vaulttest.Seal(t, by))), ""})
		for _, subject := range []string{bob, dave} {
			value, err := vault.Seal(t.Context(), vaulttest.Note, "text", by.For(subject))
			if errors.Is(err, vault.ErrErased) && subject == dave {
				continue
			}
			require.NoError(t, err, at)
			sealed = append(sealed, sealedValue{string(vaulttest.MustText(t, value)), subject})
		}
		now, err = w.state(t.Context(), v)
		require.NoError(t, err)
	}
	left := s.left(t, w, false)
	require.Equal(t, now, left.freshState(t), at)
	if now != "" {
		left.Values = sealed
		v, err := left.vault(t.Context(), disk())
		require.NoError(t, err)
		defer v.Close()
		require.NoError(t, left.check(t.Context(), v), at)
	}
}
