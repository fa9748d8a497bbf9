package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	require.Contains(t, samples.String(), "Benchmark/seal/pii.SealEmail-from-what-was-typed ")
	require.NotContains(t, out.String()+samples.String(), address)
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
