package vault

import (
	"bytes"
	"context"
	"crypto/cipher"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// recordBuffers records all buffers that are used until the test ends.
func recordBuffers(t *testing.T) func() []*buffers {
	t.Helper()
	var mu sync.Mutex
	var all []*buffers
	bufferPool = sync.Pool{New: func() any {
		mu.Lock()
		defer mu.Unlock()
		s := new(buffers)
		all = append(all, s)
		return s
	}}
	t.Cleanup(func() { bufferPool = sync.Pool{New: func() any { return new(buffers) }} })
	return func() []*buffers {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// failing is a subject's cipher that panics, as one in hardware might.
type failing struct{ cipher.AEAD }

func (failing) Seal([]byte, []byte, []byte, []byte) []byte { panic("sealing") }

func (f failing) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	_, _ = f.AEAD.Open(dst, nonce, ciphertext, aad)
	panic("opening")
}

// Whatever becomes of an operation, nothing that it had in hand is left in
// memory that others get to use.
func TestBuffersAreCleared(t *testing.T) {
	const marker = "plaintext-"
	used := recordBuffers(t)
	kind, other := MustKind("note", "vault.Note"), MustKind("other", "vault.Other")
	p, q := purpose.MustParse("security"), purpose.MustParse("billing")
	a, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	ctx := t.Context()
	v, err := OpenAdmin(ctx, Memory(), SharedKEK(a), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, p, q))
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	to, err := v.Scope(ctx, q)
	require.NoError(t, err)
	c, err := v.Collector(ctx, p)
	require.NoError(t, err)
	alice, bob := s.For(marker+"alice"), s.For("bob")

	for _, size := range []int{1, 31, 32, format.MaxPlaintext} {
		text := strings.Repeat(marker, format.MaxPlaintext)[:size]
		same := func(text string) string { return text }
		panics := func(string) string { panic("callback") }
		own, err := Seal(ctx, kind, text, s)
		require.NoError(t, err)
		alices, err := Seal(ctx, kind, text, alice)
		require.NoError(t, err)
		collected, err := Seal(ctx, kind, text, c)
		require.NoError(t, err)
		past, err := own.decode()
		require.NoError(t, err)
		require.NoError(t, putSlot(ctx, past, s, kind, text, &purpose.Provenance{Collected: time.Unix(1, 0), Expires: time.Unix(2, 0)}))
		expired := Sealed{past.Text()}
		_, err = s.Reveal(ctx, kind, expired)
		require.ErrorIs(t, err, ErrExpired)
		raw, err := own.MarshalBinary()
		require.NoError(t, err)
		raw[len(raw)-1] ^= 1
		var altered Sealed
		require.NoError(t, altered.UnmarshalBinary(raw))
		broken, err := Seal(ctx, kind, text, bob)
		require.NoError(t, err)
		bobs, known := s.opened.subjects.Load().get("bob")
		require.True(t, known)

		for name, use := range map[string]func() error{
			"seal":           func() error { _, err := Seal(ctx, kind, text, s, to, c.Under(purpose.Basis{})); return err },
			"seal twice":     func() error { _, err := Seal(ctx, kind, text, s, to); return err },
			"seal refused":   func() error { _, err := Seal(ctx, kind, text, s, to.Under(purpose.Basis{Notice: " "})); return err },
			"reveal":         func() error { _, err := s.Reveal(ctx, kind, own); return err },
			"reveal alice's": func() error { _, err := alice.Reveal(ctx, kind, alices); return err },
			"collected":      func() error { _, err := s.Reveal(ctx, kind, collected); return err },
			"altered":        func() error { _, err := s.Reveal(ctx, kind, altered); return err },
			"other kind":     func() error { _, err := s.Reveal(ctx, other, own); return err },
			"expired":        func() error { _, err := s.Reveal(ctx, kind, expired); return err },
			"hint":           func() error { _, err := s.Hint(ctx, kind, own, panics); return err },
			"index":          func() error { _, err := s.Index(ctx, kind, text); return err },
			"indexes":        func() error { _, err := s.Indexes(ctx, kind, text); return err },
			"index sealed": func() error {
				_, err := s.IndexSealed(ctx, kind, own, func(text string) (string, bool) { return same(text), true })
				return err
			},
			"index panics": func() error {
				_, err := s.IndexSealed(ctx, kind, own, func(text string) (string, bool) { return panics(text), true })
				return err
			},
			"reseal":  func() error { _, err := Reseal(ctx, kind, own, nil, s); return err },
			"take in": func() error { _, err := Reseal(ctx, kind, collected, nil, alice); return err },
			"extend": func() error {
				_, err := Extend(ctx, kind, own, nil, s, to.Under(purpose.Basis{Consent: "c"}))
				return err
			},
			"pseudonym": func() error { _, err := s.Pseudonym(ctx, marker+"carol"); return err },
			"a cipher panics": func() error {
				s.opened.subjects.Load().put("bob", &subjectKey{failing{bobs.gcm}}, s.opened.backend.clock.exact())
				defer s.opened.subjects.Load().put("bob", bobs, s.opened.backend.clock.exact())
				_, err := bob.Reveal(ctx, kind, broken)
				return err
			},
			"a cipher panics while it seals": func() error {
				s.opened.subjects.Load().put("bob", &subjectKey{failing{bobs.gcm}}, s.opened.backend.clock.exact())
				defer s.opened.subjects.Load().put("bob", bobs, s.opened.backend.clock.exact())
				_, err := Seal(ctx, kind, text, bob)
				return err
			},
		} {
			func() {
				defer func() { _ = recover() }()
				_ = use()
			}()
			for _, buf := range used() {
				require.False(t, bytes.ContainsFunc(buf.plain[:], func(r rune) bool { return r != 0 }), "%s of %d bytes leaves something", name, size)
				require.Zero(t, buf.used, name)
				require.False(t, strings.Contains(string(buf.Text[:])+string(buf.Body[:]), marker), name)
			}
		}
	}
	require.NotEmpty(t, used())
}

// The first use of a buffer counts as well as the last.
func TestBuffersAreClearedAsFarAsTheyWereUsed(t *testing.T) {
	buf := new(buffers)
	_ = append(buf.plaintext(9), "plaintext"...)
	_ = append(buf.plaintext(1), 'x')
	buf.release()
	require.Equal(t, [len(buf.plain)]byte{}, buf.plain)
}

// The longest that there can be fits, so that none of it is in memory that nobody
// clears.
func TestBuffersHoldTheLongest(t *testing.T) {
	used := recordBuffers(t)
	long := func(n int) string { return "a" + strings.Repeat("b", n-1) }
	kind := MustKind(long(format.MaxKind), "vault.Note")
	p, from := purpose.MustParse(long(purpose.MaxLen)), purpose.MustParse("c"+long(purpose.MaxLen)[1:])
	a, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	ctx := context.Background()
	v, err := OpenAdmin(ctx, Memory(), SharedKEK(a), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, p, from))
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	f, err := v.Scope(ctx, from)
	require.NoError(t, err)

	text := strings.Repeat("x", format.MaxPlaintext)
	reference := long(purpose.MaxReference)
	basis := purpose.Basis{Legal: purpose.Consent, Notice: reference, Consent: reference, Retain: time.Hour}
	subject := strings.Repeat("s", format.MaxSubject)
	value, err := Seal(ctx, kind, text, f.For(subject))
	require.NoError(t, err)
	value, err = Extend(ctx, kind, value, nil, f.For(subject), s.Under(basis).For(subject))
	require.NoError(t, err)
	got, err := s.For(subject).Reveal(ctx, kind, value)
	require.NoError(t, err)
	require.Equal(t, text, got)
	_, err = s.Index(ctx, kind, text)
	require.NoError(t, err)

	slot, ok := format.NthSlot(mustBody(t, value), 0)
	require.True(t, ok)
	buf := new(buffers)
	require.Same(t, &buf.aad[0], &format.AppendSlotAAD(buf.aad[:0], kind.name, p.String(), make([]byte, format.IDSize), slot.Header, subject)[0])
	require.Same(t, &buf.plain[0], &indexInput(buf, kind, p, text)[0])
	require.Same(t, &buf.plain[0], &format.AppendPadded(buf.plaintext(0), text)[0])
	require.Same(t, &buf.plain[0], &format.AppendPseudonymInput(buf.plaintext(0), p.String(), subject)[0])
	require.GreaterOrEqual(t, len(buf.plain), format.MaxSealed)
	require.Len(t, format.AppendSlotAAD(nil, strings.Repeat("k", format.MaxKind), strings.Repeat("p", purpose.MaxLen),
		make([]byte, format.IDSize), make([]byte, format.MaxHeader), subject), len(buf.aad))
	require.NotEmpty(t, used())
}

func mustBody(t *testing.T, v Sealed) []byte {
	t.Helper()
	_, _, body := format.Cut(v.text)
	raw, err := format.DecodeBody(new(format.Buffer), body)
	require.NoError(t, err)
	return raw
}

// Values that are sealed at the same time have different ids, and so have those
// after a generator was seeded anew.
func TestValueIDs(t *testing.T) {
	var s idSource
	seen := map[string]bool{}
	var seeds []any
	for range 3*idsPerSeed + 1 {
		id := string(s.appendID(nil))
		require.Len(t, id, format.IDSize)
		require.False(t, seen[id])
		seen[id] = true
		if len(seeds) == 0 || seeds[len(seeds)-1] != any(s.chacha8) {
			seeds = append(seeds, s.chacha8)
		}
	}
	require.Len(t, seeds, 4, "a seed serves for a bounded number")

	v := new(idSource)
	require.NotEqual(t, v.appendID(nil), new(idSource).appendID(nil))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				buf := getBuffers()
				id := string(buf.ids.appendID(nil))
				buf.release()
				mu.Lock()
				if seen[id] {
					t.Error("an id came twice")
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
