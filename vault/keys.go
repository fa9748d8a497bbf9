package vault

import (
	"sync"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// A share is which of a purpose's keys a handle has.
type subset byte

const (
	allKeys   subset = iota
	indexKeys        // those that compute indexes
	readKeys         // those that open values
)

// only returns k without the keys that are not of the share.
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

// keys are the opened keys of one purpose, as of one revision of its record.
// They do not change.
type keys struct {
	seal       *cipherSet
	index      *indexSet
	pseudonym  *indexSet
	collect    func() *collectSet // nil if there is none; made when it is needed
	imported   func() tink.AEAD   // likewise
	generation uint64             // of the record
	revision   int64              // of the record
	digest     [32]byte           // SHA-256 of the record
}

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
	k.imported = lazily(r.Import, newImported)
	return k, nil
}

// lazily returns what has the keyset opened at its first use: few processes
// need all of a purpose's keysets, and some are slow to open. Whatever can't be
// opened is not there.
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

// knows reports whether a key that sealed names is in use here.
func (k *keys) has(sealed []byte) bool {
	return k.seal.has(sealed) || k.collect().has(sealed)
}
