package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// Every contender does its job and the tables come out; how fast is for people
// to read.
func TestRun(t *testing.T) {
	var out, samples strings.Builder
	require.NoError(t, run(t.Context(), &out, &samples, 1, true))
	require.NotContains(t, out.String(), "failed")
	for _, race := range []string{"seal", "reveal", "index", "collect", "others seal", "others reveal", "two processors"} {
		require.Contains(t, out.String(), race)
	}
	require.Contains(t, samples.String(), "Benchmark/seal/pii.SealEmail-from-the-typed-text ")
	require.NotContains(t, out.String()+samples.String(), address)
}

// The floor writes the format, so it is a floor of our own job.
func TestFloorWritesTheFormat(t *testing.T) {
	f, err := newFloor()
	require.NoError(t, err)
	for _, s := range []string{address, "a@b.example", strings.Repeat("a", 19) + "@example.com"} {
		text := f.seal(s)
		var email pii.Email
		require.NoError(t, email.Scan(text))
		require.Equal(t, "security", email.Purposes().String())
		require.Len(t, text, 140)
		for range 2 {
			revealed, err := f.reveal(text)
			require.NoError(t, err)
			require.Equal(t, s, revealed)
		}
		for i := range text {
			b := []byte(text)
			b[i] ^= 1
			_, err := f.reveal(string(b))
			require.Error(t, err, i)
		}
	}
}

// The ratio of the whole run lies in the range of its parts only by chance, and the range is
// of best slices.
func TestSpreadIsOfTheParts(t *testing.T) {
	times := func(all ...time.Duration) result { return result{n: 1, times: all} }
	low, high := times(2, 9, 4, 9, 6, 9, 8, 9, 10, 9).spread(times(2, 2, 2, 2, 2, 2, 2, 2, 2, 1))
	require.Equal(t, 1.0, low)
	require.Equal(t, 9.0, high)
	low, high = times(6).spread(times(2))
	require.Equal(t, 3.0, low)
	require.Equal(t, 3.0, high)
}

func TestWhatFailsIsOutAndSaysSo(t *testing.T) {
	results := measure([]contender{
		each("works", func() error { return nil }),
		each("fails", func() error { return io.ErrUnexpectedEOF }),
	}, 1)
	var out strings.Builder
	printTable(&out, race{name: "job"}, results)
	require.Contains(t, out.String(), "failed: fails: unexpected EOF")
}

// For benchstat and profiles: the same contenders as ordinary benchmarks.
func Benchmark(b *testing.B) {
	races, err := allRaces(b.Context(), false)
	require.NoError(b, err)
	for _, r := range races {
		for _, c := range r.contenders {
			b.Run(r.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				if err := c.run(b.N); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
