package kektest

import (
	"bytes"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func roundTrip(s *suite) {
	for _, p := range []purpose.Purpose{s.mine, s.theirs} {
		for _, key := range [][]byte{newKey(), make([]byte, keySize), bytes.Repeat([]byte{0xff}, keySize)} {
			wrapped := s.wrap(s.aead(s.kek, p), p, key)
			s.unwraps(s.aead(s.kek, p), p, wrapped, key)
		}
	}
}

// hidden finds a KEK that encodes keys instead of encrypting them.
func hidden(s *suite) {
	key := newKey()
	wrapped := s.wrap(s.aead(s.kek, s.mine), s.mine, key)
	for i := 0; i+8 <= len(key); i++ {
		for _, spelling := range spellings(key[i : i+8]) {
			if bytes.Contains(wrapped, []byte(spelling)) {
				s.Fatal("a wrapped key has bytes of the key in it")
			}
		}
	}
}

// ownSlices finds a KEK that keeps a slice that it returned. A vault clears keys that
// it no longer needs.
func ownSlices(s *suite) {
	a, key := s.aead(s.kek, s.mine), newKey()
	wrapped := s.wrap(a, s.mine, key)
	kept := bytes.Clone(wrapped)
	clear(wrapped)
	got, err := decrypt(s.Context(), a, kept, bound(s.mine))
	if err != nil {
		s.Fatalf("unwrapping: %v", err)
	}
	clear(got)
	s.unwraps(a, s.mine, kept, key)
	s.unwraps(s.aead(s.kek, s.mine), s.mine, kept, key)
}

func reopened(s *suite) {
	key := newKey()
	wrapped := s.wrap(s.aead(s.kek, s.mine), s.mine, key)
	s.unwraps(s.aead(s.reopen(), s.mine), s.mine, wrapped, key)
}

func contextFree(s *suite) {
	a, ok := s.aead(s.kek, s.mine).(vault.ContextAEAD)
	if !ok {
		s.Skip("not a vault.ContextAEAD")
	}
	key := newKey()
	wrapped, err := a.Encrypt(bytes.Clone(key), bound(s.mine))
	if err != nil {
		s.Fatalf("Encrypt: %v", err)
	}
	s.unwraps(a, s.mine, wrapped, key)
	got, err := a.Decrypt(s.wrap(a, s.mine, key), bound(s.mine))
	if err != nil {
		s.Fatalf("Decrypt: %v", err)
	}
	if !bytes.Equal(got, key) {
		s.Error("Decrypt returned other bytes than EncryptWithContext was given")
	}
}

// otherData finds clients of key services that ignore associated data, or send it
// where the service does not look.
func otherData(s *suite) {
	a := s.aead(s.kek, s.mine)
	wrapped := s.wrap(a, s.mine, newKey())
	right := bound(s.mine)
	first, last := bytes.Clone(right), bytes.Clone(right)
	first[0] ^= 0x20
	last[len(last)-1] = '!'
	for _, other := range []struct {
		name string
		data []byte
	}{
		{"no associated data", nil},
		{"empty associated data", []byte{}},
		{"associated data of another purpose", bound(s.theirs)},
		{"associated data that differs in the first byte", first},
		{"associated data that differs in the last byte", last},
		{"associated data without the last byte", right[:len(right)-1]},
		{"associated data without the first byte", right[1:]},
		{"associated data with one more byte", append(bytes.Clone(right), 0)},
		{"associated data with one more blank", append(bytes.Clone(right), ' ')},
		{"associated data in capitals", bytes.ToUpper(right)},
		{"associated data twice", append(bytes.Clone(right), right...)},
	} {
		s.refuses(a, wrapped, other.data, other.name)
	}
}

func otherPurpose(s *suite) {
	mine, theirs := s.aead(s.kek, s.mine), s.aead(s.kek, s.theirs)
	wrapped := s.wrap(mine, s.mine, newKey())
	s.refuses(theirs, wrapped, bound(s.theirs), "a key that was wrapped for another purpose")
	s.refuses(mine, wrapped, bound(s.theirs), "a key that was wrapped for another purpose, with this purpose's associated data")
	if !s.opts.Shared {
		s.refuses(theirs, wrapped, bound(s.mine), "a key that another purpose's key wrapped")
	}
}

func changedBits(s *suite) {
	a := s.aead(s.kek, s.mine)
	wrapped := s.wrap(a, s.mine, newKey())
	for _, i := range sample(len(wrapped), 64) {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1 << (i % 8)
		s.refuses(a, changed, bound(s.mine), fmt.Sprintf("a wrapped key with a changed bit in byte %d of %d", i, len(wrapped)))
	}
}

func parts(s *suite) {
	a := s.aead(s.kek, s.mine)
	wrapped := s.wrap(a, s.mine, newKey())
	for _, n := range sample(len(wrapped), 24) {
		s.refuses(a, wrapped[:n], bound(s.mine), fmt.Sprintf("the first %d of %d bytes of a wrapped key", n, len(wrapped)))
		if n > 0 {
			s.refuses(a, wrapped[n:], bound(s.mine), fmt.Sprintf("a wrapped key without its first %d bytes", n))
		}
	}
	s.refuses(a, append(bytes.Clone(wrapped), 0), bound(s.mine), "a wrapped key with one more byte")
	s.refuses(a, append([]byte{0}, wrapped...), bound(s.mine), "a wrapped key behind one more byte")
	s.refuses(a, append(bytes.Clone(wrapped), wrapped...), bound(s.mine), "a wrapped key twice")
}

func empty(s *suite) {
	a := s.aead(s.kek, s.mine)
	s.refuses(a, nil, bound(s.mine), "no wrapped key")
	s.refuses(a, []byte{}, bound(s.mine), "an empty wrapped key")
	s.refuses(a, nil, nil, "no wrapped key and no associated data")
	s.unwrapsOrFails(a, nil)
}

func huge(s *suite) {
	a := s.aead(s.kek, s.mine)
	wrapped := s.wrap(a, s.mine, newKey())
	s.refuses(a, make([]byte, maxWrapped), bound(s.mine), "a wrapped key of zeros, as long as a record may hold")
	s.refuses(a, append(bytes.Clone(wrapped), make([]byte, maxWrapped-len(wrapped))...), bound(s.mine), "a wrapped key with zeros behind it")
	s.refuses(a, wrapped, bytes.Repeat([]byte("x"), maxWrapped), "huge associated data")
	s.unwrapsOrFails(a, make([]byte, maxWrapped))
}

// unwrapsOrFails wraps a key of an unusual size. The KEK may refuse it. It may not
// return something else later.
func (s *suite) unwrapsOrFails(a vault.AEAD, key []byte) {
	s.Helper()
	wrapped, err := encrypt(s.Context(), a, key, bound(s.mine))
	if err != nil {
		return
	}
	got, err := decrypt(s.Context(), a, wrapped, bound(s.mine))
	if err == nil && !bytes.Equal(got, key) {
		s.Errorf("a wrapped key of %d bytes unwrapped to %d other bytes", len(key), len(got))
	}
}

// sample returns up to most of the numbers below n: the first and the last ones, and
// others between them.
func sample(n, most int) []int {
	var all []int
	for i := range n {
		edge := min(i, n-1-i)
		if edge < most/4 || i%max(1, 2*n/most) == 0 {
			all = append(all, i)
		}
	}
	return all
}
