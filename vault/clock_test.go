package vault

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// The date of a clock is at most clockLag late, however long nobody has asked for it.
func TestDateOfAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		second := func() time.Time { return time.Unix(time.Now().Unix(), 0) }
		at := func(want time.Time) {
			t.Helper()
			require.Equal(t, want.Unix(), c.date().Unix())
		}
		at(second())
		first := second()
		time.Sleep(time.Until(first.Add(time.Second - clockLag/2))) // a new reading is made here
		at(first)
		time.Sleep(clockLag / 2) // the next second, and the reading is still used
		at(first)
		time.Sleep(clockLag)
		at(first.Add(time.Second))
		for range 3 {
			time.Sleep(25 * time.Hour)
			at(second())
			c.now() // by the other readers of the clock
			at(second())
		}
	})
}

// A value that is sealed after a long time has the date of that time.
func TestCollectedLaterIsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := subjectsOf(t, Memory(), testKEK(t), &Options{ExactTimes: true})
		kind := MustKind("email", "pii.Email")
		for range 3 {
			v, err := Seal(t.Context(), kind, "alice", s)
			require.NoError(t, err)
			p, ok := v.Provenance(s.Purpose())
			require.True(t, ok)
			require.Equal(t, time.Now().Unix(), p.Collected.Unix())
			time.Sleep(13 * time.Hour)
		}
		synctest.Wait()
	})
}

// A clock that is set further ahead than the format can express seals nothing, with and
// without a basis.
func TestClockBeyondTheFormat(t *testing.T) {
	v, p := testVault(t, Memory(), nil)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	buf := getBuffers()
	defer buf.release()
	for last, want := range map[int64]error{format.MaxSeconds: nil, format.MaxSeconds + 1: errUnsetClock} {
		value := plainValue{lookKind, "text", time.Unix(last, 0)}
		for _, s := range []*Scope{s, s.Under(purpose.Basis{Notice: "n-1"})} {
			body := buf.ids.appendID(nil)
			_, err := s.appendSlot(t.Context(), body, buf, value)
			require.Equal(t, want, err)
		}
	}
}
