package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
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

// The second floor writes the format and reads it back, also for a person, and reads what a
// collector of package vault sealed. It refuses every altered text: the ends of a text that
// encode no byte too.
func TestFloorWithChecksWritesTheFormat(t *testing.T) {
	ctx := t.Context()
	c, err := newChecked([]string{"user-1", "user-2"}, nil)
	require.NoError(t, err)
	refusesAltered := func(c *checked, text, person string) {
		t.Helper()
		for i := range text {
			b := []byte(text)
			b[i] ^= 1
			_, err := c.reveal(ctx, string(b), person)
			require.Error(t, err, i)
		}
		for _, s := range []string{text + "A", text + "\n", text[:len(text)-1], text[:30] + "\n" + text[30:], text[:len(text)-1] + "\n", ""} {
			_, err := c.reveal(ctx, s, person)
			require.Error(t, err)
		}
	}
	for _, s := range []string{address, "a@b.example", strings.Repeat("a", 19) + "@example.com"} {
		for person, size := range map[string]int{"": 140, "user-1": 134} {
			text, err := c.seal(ctx, s, person, true)
			require.NoError(t, err)
			var email pii.Email
			require.NoError(t, email.Scan(text))
			require.Equal(t, "security", email.Purposes().String())
			p, ok := email.Provenance(security)
			require.True(t, ok)
			require.Zero(t, p.Collected.Unix()%(24*60*60))
			require.Len(t, text, size)
			revealed, err := c.reveal(ctx, text, person)
			require.NoError(t, err)
			require.Equal(t, s, revealed)
			for _, other := range []string{"", "user-1", "user-2", "user-3"} {
				if other != person {
					_, err := c.reveal(ctx, text, other)
					require.Error(t, err)
				}
			}
			refusesAltered(c, text, person)
		}
	}
	for _, m := range mechanisms {
		c, text, err := m.taken(ctx)
		require.NoError(t, err)
		for range 2 {
			taken, err := c.takeIn(ctx, text)
			require.NoError(t, err)
			require.Len(t, taken, 140)
			revealed, err := c.reveal(ctx, taken, "")
			require.NoError(t, err)
			require.Equal(t, address, revealed)
		}
		if m.name == vault.X25519 {
			refusesAltered(c, text, "")
		}
	}
}

// The checks of the second floor are made for each value.
func TestFloorWithChecksRefuses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for name, refuse := range map[string]func(c *checked){
		"done":      func(*checked) { cancel() },
		"closed":    func(c *checked) { c.keys.Store(nil) },
		"lapsed":    func(c *checked) { c.until.Store(1) },
		"suspended": func(c *checked) { c.keys.Load().suspended = true },
		"unaudited": func(c *checked) { c.auditor = func() error { return errChecked } },
	} {
		c, err := newChecked(nil, nil)
		require.NoError(t, err)
		text, err := c.seal(t.Context(), address, "", true)
		require.NoError(t, err)
		refuse(c)
		at := t.Context()
		if name == "done" {
			at = ctx
		}
		_, err = c.seal(at, address, "", true)
		require.Error(t, err, name)
		revealed, err := c.reveal(at, text, "")
		require.Error(t, err, name)
		require.Empty(t, revealed)
		_, err = c.index(at, address)
		require.Error(t, err, name)
	}
	c, err := newChecked([]string{"user-1"}, nil)
	require.NoError(t, err)
	text, err := c.seal(t.Context(), address, "user-1", true)
	require.NoError(t, err)
	c.erasures.Store(true)
	_, err = c.reveal(t.Context(), text, "user-1")
	require.Error(t, err)
	for _, s := range []string{"", "a", "a@b", "@b.example", "a.@b.example", "a@b.1", "a@B.example", "a b@c.example", strings.Repeat("a", 65) + "@b.example"} {
		_, err = c.seal(t.Context(), s, "", true)
		require.Error(t, err, s)
		require.False(t, pii.ValidEmail(s) && validAddress(s))
	}
	// It computes AES-CMAC: equal inputs have equal indexes, and no others.
	one, err := c.index(t.Context(), address)
	require.NoError(t, err)
	again, err := c.index(t.Context(), address)
	require.NoError(t, err)
	other, err := c.index(t.Context(), "b"+address[1:])
	require.NoError(t, err)
	require.Equal(t, one, again)
	require.NotEqual(t, one, other)
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
