package vault

import (
	"sync"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// keys are the opened keys of one purpose, as of one revision of its record. They
// are immutable.
type keys struct {
	seal       *cipherSet
	index      *indexSet
	pseudonym  *indexSet
	collect    func() *collectSet // opened at the first call; returns nil if there is none
	generation uint64             // of the record
	revision   int64              // of the record
	digest     [32]byte           // SHA-256 of the record
}

// open opens the keysets of the record. It leaves the revision and the digest to
// the caller.
func (r *keyRecord) open() (*keys, error) {
	k := &keys{generation: r.Generation}
	seal, err := r.Seal.handle()
	if err != nil {
		return nil, errKeyset
	}
	if k.seal, err = newCipherSet(seal); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		from *keysetRecord
		to   **indexSet
	}{{&r.Index, &k.index}, {&r.Subject, &k.pseudonym}} {
		h, err := x.from.handle()
		if err != nil {
			return nil, errKeyset
		}
		if *x.to, err = newIndexSet(h); err != nil {
			return nil, err
		}
	}
	k.collect = lazily(r.Collect, newCollectSet)
	return k, nil
}

// lazily returns a function that opens the keyset at its first call: few processes
// need all keysets of a purpose, and some are slow to open. The function returns
// nil for a keyset that is nil or does not open.
func lazily[T any](from *keysetRecord, open func(*keyset.Handle) (T, error)) func() T {
	return sync.OnceValue(func() (set T) {
		if from == nil {
			return set
		}
		if h, err := from.handle(); err == nil {
			if opened, err := open(h); err == nil {
				set = opened
			}
		}
		return set
	})
}

// has reports whether k has the key that sealed names.
func (k *keys) has(sealed []byte) bool {
	return k.seal.has(sealed) || k.collect().has(sealed)
}

// A subset says which of a purpose's keys a handle has.
type subset byte

const (
	allKeys   subset = iota
	indexKeys        // the keys that compute indexes
	readKeys         // the keys that open values
)

// restrict returns k without the keys that are not in s.
func (k *keys) restrict(s subset) *keys {
	narrowed := &keys{generation: k.generation, revision: k.revision, digest: k.digest}
	switch s {
	case indexKeys:
		narrowed.index = k.index
	case readKeys:
		narrowed.seal, narrowed.pseudonym, narrowed.collect = k.seal, k.pseudonym, k.collect
	default:
		return k
	}
	return narrowed
}
