package main

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// tokens is a set of 16-byte strings to look for at every position of a dump. Each is
// an index or the first half of a longer hash.
type tokens struct {
	sorted [][tokenSize]byte
	filter []uint64 // one bit for each hash of a token; it rules out most positions
}

const (
	tokenSize  = 16
	filterBits = 22 // 512 KiB, which stays in a processor's cache
)

// add adds the first 16 bytes of token. It panics if token is shorter.
func (t *tokens) add(token []byte) {
	t.sorted = append(t.sorted, [tokenSize]byte(token))
}

// prepare sorts the tokens. Call it after the last add and before the first in.
func (t *tokens) prepare() {
	slices.SortFunc(t.sorted, func(a, b [tokenSize]byte) int { return bytes.Compare(a[:], b[:]) })
	t.filter = make([]uint64, 1<<filterBits/64)
	for _, token := range t.sorted {
		h := filterHash(token[:])
		t.filter[h/64] |= 1 << (h % 64)
	}
}

// in reports whether one of the tokens is anywhere in b.
func (t *tokens) in(b []byte) bool {
	for ; len(b) >= tokenSize; b = b[1:] {
		if h := filterHash(b); t.filter[h/64]>>(h%64)&1 == 1 && t.has([tokenSize]byte(b)) {
			return true
		}
	}
	return false
}

func (t *tokens) has(token [tokenSize]byte) bool {
	_, found := slices.BinarySearchFunc(t.sorted, token, func(a, b [tokenSize]byte) int { return bytes.Compare(a[:], b[:]) })
	return found
}

func filterHash(b []byte) uint64 {
	return binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> (64 - filterBits)
}
