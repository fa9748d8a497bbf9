package auditlog

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The times of entries take bounded memory, and are never too early, nor too late by more
// than a small share of the time that they are of.
func TestEntryTimes(t *testing.T) {
	var times entryTimes
	begin := time.Unix(1_700_000_000, 0)
	at := func(i int64) time.Time { return begin.Add(time.Duration(i) * 700 * time.Millisecond) }
	const n = 100_000
	for i := range int64(n) {
		times.add(i, at(i))
		require.LessOrEqual(t, len(times.samples), 1001)
	}
	longest := at(n).Sub(begin) / 200
	for i := range int64(n) {
		got := times.after(i)
		require.False(t, got.Before(at(i)))
		require.LessOrEqual(t, got.Sub(at(i)), longest)
	}
	require.Equal(t, at(n-1), times.add(n, begin), "no entry is older than one before it")
	times.drop(n / 2)
	require.False(t, times.after(n/2).Before(at(n/2)))
	require.LessOrEqual(t, times.after(0).Sub(at(n/2)), longest)
	times.drop(2 * n)
	require.Empty(t, times.samples)
	times.add(2*n, at(3*n))
	require.Equal(t, time.Second, times.step)
}

// Heads are evaluated by the times of their cosignatures, in which order they are found,
// and in bounded memory.
func TestHeadsInAnyOrder(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	for _, gap := range []int{0, 777} {
		r := &Report{counts: map[FindingKind]int{}}
		w := &witnessing{verifier: nil, since: begin}
		c := &witnessCheck{report: r, bound: 70 * time.Second, witnesses: []*witnessing{w}}
		const minutes = 10_000
		heads := make([]cosignedHead, 0, minutes)
		for m := range minutes {
			if gap != 0 && m >= gap && m < gap+5 {
				continue
			}
			end := begin.Add(time.Duration(m+1) * time.Minute)
			heads = append(heads, cosignedHead{int64(m+1) * 100, end, end})
		}
		const near = 50
		for i := 0; i+near <= len(heads); i += near {
			rand.Shuffle(near, func(a, b int) { heads[i+a], heads[i+b] = heads[i+b], heads[i+a] })
		}
		w.verifier = named("w")
		for _, h := range heads {
			c.add(w, h)
			require.Less(t, len(w.heads), maxCosigned)
		}
		require.EqualValues(t, minutes*100, c.end(minutes*100))
		if gap == 0 {
			require.Empty(t, r.Findings)
			continue
		}
		require.Len(t, r.Findings, 1)
		require.EqualValues(t, gap*100, r.Findings[0].Entry)
		require.Contains(t, r.Findings[0].Text, "6m0s")
	}
}

type named string

func (n named) Name() string              { return string(n) }
func (n named) KeyHash() uint32           { return 0 }
func (n named) Verify(_, sig []byte) bool { return false }

// The age of unwitnessed entries is never younger than they are.
func TestUnwitnessedIsTheOldest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var u unwitnessed
		type head struct {
			size  int64
			since time.Time
		}
		var published []head // not witnessed
		var since time.Time
		size, now := int64(0), time.Unix(1000, 0)
		for range 20 {
			now = now.Add(time.Second)
			switch random.IntN(3) {
			case 0:
				size++
				u.committed(now)
				if since.IsZero() {
					since = now
				}
			case 1:
				u.published(size)
				if !since.IsZero() {
					published = append(published, head{size, since})
				}
				since = time.Time{}
			case 2:
				if len(published) == 0 {
					continue
				}
				n := random.IntN(len(published))
				u.witnessed(published[n].size)
				published = published[n+1:]
			}
			want := since
			if len(published) > 0 {
				want = published[0].since
			}
			got := u.oldest()
			require.Equal(t, want.IsZero(), got.IsZero())
			require.False(t, got.After(want))
		}
	}
}
