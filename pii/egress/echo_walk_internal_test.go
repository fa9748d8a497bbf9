package egress

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// next finds what a comparison with each plaintext by itself finds.
func TestEchoesOfManyPlaintexts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"a", "A", "b", "+", "1", "%", "\\", "&", "@", "é", "%61", "%2561", `\u0061`, `\\u0061`, "&#97;", "&#x61;", "%25", `\\`, "&amp;", "&#233;", "%C3%A9", `\u00e9`}
	text := func(of []string, n int) (b []byte) {
		for range n {
			b = append(b, of[r.IntN(len(of))]...)
		}
		return b
	}
	for range 30_000 {
		var e echoes
		for i := range 1 + r.IntN(6) {
			e.add(text(pieces[:10], 1+r.IntN(4)), fmt.Appendf(nil, "<%d>", i))
		}
		all := append([]echo(nil), e.all...)
		b, atEnd := text(pieces, 1+r.IntN(6)), r.IntN(2) == 0
		before, size, sealed := e.next(b, atEnd)
		wantBefore, wantSize := nextByEach(all, b, atEnd)
		require.Equal(t, []int{wantBefore, wantSize}, []int{before, size}, "%q in %q, at the end: %v", all, b, atEnd)
		if size == 0 {
			continue
		}
		require.True(t, slices.ContainsFunc(all, func(one echo) bool { // of two that match the same bytes, any one
			n, _ := matchEither(one.plain, b[before:], atEnd)
			return n == size && string(one.sealed) == string(sealed)
		}), "%q in %q", all, b)
	}
}

// A place in a response takes the steps of one plaintext, however many plaintexts begin alike.
func TestEchoesOfManyPlaintextsTakeNoTimeEach(t *testing.T) {
	steps := func(plaintexts int) int {
		var e echoes
		for i := range plaintexts {
			e.add(fmt.Appendf(nil, "+1415555%04d", i), []byte("sealed"))
		}
		_, _, _ = e.match([]byte("x"), true) // sorts
		w := echoWalk{b: []byte("+1415555+1415555"), atEnd: true, escapes: true}
		w.walk(e.all, 0, 0)
		return w.steps
	}
	require.Equal(t, 9, steps(1))
	require.Equal(t, 9, steps(5000))
}

// nextByEach is next, which compares with one echo after the other.
func nextByEach(all []echo, b []byte, atEnd bool) (before, size int) {
	for i := range b {
		for _, one := range all {
			n, more := matchEither(one.plain, b[i:], atEnd)
			if more {
				return i, 0
			}
			size = max(size, n)
		}
		if size > 0 {
			return i, size
		}
	}
	return len(b), 0
}

func matchEither(plain, b []byte, atEnd bool) (size int, more bool) {
	size, more = matchOne(plain, b, atEnd, true)
	if size == 0 && !more && bytes.ContainsAny(plain, `%\&`) {
		return matchOne(plain, b, atEnd, false)
	}
	return size, more
}

func matchOne(rest, b []byte, atEnd, escapes bool) (size int, more bool) {
	for len(rest) > 0 {
		if size == len(b) {
			return 0, !atEnd
		}
		if escapes {
			c, n, short := decodeEscape(b[size:], atEnd)
			if short {
				return 0, true
			}
			if n > 0 && len(c) <= len(rest) && equalFold(c, rest[:len(c)]) {
				size, rest = size+n, rest[len(c):]
				continue
			}
		}
		if lower(b[size]) != lower(rest[0]) {
			return 0, false
		}
		size, rest = size+1, rest[1:]
	}
	return size, false
}

func equalFold(a, b []byte) bool {
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
