package vault

import (
	"sync"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// keys are the opened keys of one purpose, as of one revision of its record. They
// are immutable.
type keys struct {
	seal       *cipherSet
	retired    *cipherSet // seal keys that are out of use; for tombstones alone
	index      *indexSet
	pseudonym  *indexSet
	collect    func() *collectSet  // opened at the first call; returns nil if there is none
	described  []Key               // all keys of the record
	vault      format.VaultID      // of the record
	generation uint64              // of the record
	revision   int64               // of the record
	digest     recordDigest        // of the record
	history    []byte              // the digests of all generations before
	states     map[uint32]keyState // of all keys that the purpose has or had, by id
	suspended  *suspensions        // nil if nothing is suspended
}

// open opens the keysets of the record. It leaves the revision and the digest to
// the caller.
func (r *keyRecord) open() (*keys, error) {
	if len(r.Vault) != format.VaultIDSize {
		return nil, errKeyset
	}
	k := &keys{vault: format.VaultID(r.Vault), generation: r.Generation, history: r.History, states: r.states()}
	seal, err := r.Seal.handle()
	if err != nil {
		return nil, errKeyset
	}
	if k.seal, err = newCipherSet(seal, r.Seal.Primary); err != nil {
		return nil, err
	}
	k.retired = newRetiredSet(seal)
	for _, x := range []struct {
		from *keysetRecord
		to   **indexSet
	}{{&r.Index, &k.index}, {&r.Subject, &k.pseudonym}} {
		h, err := x.from.handle()
		if err != nil {
			return nil, errKeyset
		}
		if *x.to, err = newIndexSet(h, x.from.Primary); err != nil {
			return nil, err
		}
	}
	k.collect = lazily(r.Collect, newCollectSet)
	if k.described, err = r.describe(); err != nil {
		return nil, err
	}
	if k.suspended, err = newSuspensions(r); err != nil {
		return nil, err
	}
	return k, nil
}

// lazily returns a function that opens the keyset at its first call: few processes
// need all keysets of a purpose, and some are slow to open. The function returns
// nil for a keyset that is nil or does not open.
func lazily[T any](from *keysetRecord, open func(*keyset.Handle, map[uint32]int64) (T, error)) func() T {
	return sync.OnceValue(func() (set T) {
		if from == nil {
			return set
		}
		if h, err := from.handle(); err == nil {
			if opened, err := open(h, from.Primary); err == nil {
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
	narrowed := &keys{
		described: k.described, vault: k.vault, generation: k.generation, revision: k.revision, digest: k.digest, history: k.history,
		states: k.states, suspended: k.suspended,
	}
	switch s {
	case indexKeys:
		narrowed.index = k.index
	case readKeys:
		narrowed.seal, narrowed.retired = k.seal, k.retired
		narrowed.pseudonym, narrowed.collect = k.pseudonym, k.collect
	default:
		return k
	}
	return narrowed
}
