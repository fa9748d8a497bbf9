package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// treeHash returns the Merkle Tree Hash of the leaves, in their order, with SHA-256 (RFC
// 9162, section 2.1.1; RFC 6962, section 2.1). The prefixes keep a leaf from being taken
// for a node.
func treeHash(leaves [][]byte) [sha256.Size]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	split := 1 // the largest power of two below the number of leaves
	for 2*split < len(leaves) {
		split *= 2
	}
	left, right := treeHash(leaves[:split]), treeHash(leaves[split:])
	node := append(make([]byte, 0, 1+2*sha256.Size), 1)
	return sha256.Sum256(append(append(node, left[:]...), right[:]...))
}

// rootOf returns the root of a tree over the given ids of values, as [Event.Root] describes
// it. It is "" for no ids.
func rootOf(ids []string) string {
	var leaves [][]byte
	for _, id := range ids {
		if raw, err := hex.DecodeString(id); err == nil && len(raw) > 0 {
			leaves = append(leaves, raw)
		}
	}
	if leaves == nil {
		return ""
	}
	slices.SortFunc(leaves, bytes.Compare)
	root := treeHash(leaves)
	return hex.EncodeToString(root[:])
}
