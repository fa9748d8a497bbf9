package vault

import (
	"context"
	"iter"

	"github.com/onlyfor/onlyfor/purpose"
)

// A share is which of a purpose's keys a handle has.
type share byte

const (
	shareAll    share = iota
	shareLookup       // those that compute indexes
	shareReader       // those that open values
)

// only returns k without the keys that are not of the share.
func (k *keys) only(s share) *keys {
	narrowed := &keys{generation: k.generation, revision: k.revision, digest: k.digest}
	switch s {
	case shareLookup:
		narrowed.index = k.index
	case shareReader:
		narrowed.seal, narrowed.pseudonym, narrowed.collect = k.seal, k.pseudonym, k.collect
	default:
		return k
	}
	return narrowed
}

type narrowKey struct {
	purpose purpose.Purpose
	share   share
}

// narrow returns a scope whose keys are a share of those of p. It belongs to a
// vault of its own, so that nothing leads from it to more: not to the purpose's
// other keys and not to those of other purposes that this process has opened. The
// store and the KEK stand behind functions for the same reason.
func (v *Vault) narrow(ctx context.Context, p purpose.Purpose, of share) (*Scope, error) {
	r, err := v.narrowed(p, of).ring(ctx, p)
	if err = v.audit(ctx, Event{Action: ActionOpen, Purpose: p}, err); err != nil {
		return nil, keysError(ActionOpen, p, err)
	}
	return &Scope{ring: r}, nil
}

// narrowed returns the vault of one share of one purpose's keys, always the same.
func (v *Vault) narrowed(p purpose.Purpose, of share) *Vault {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.narrows[narrowKey{p, of}]; n != nil {
		return n
	}
	n := newVault(readOnly{v.store.Get}, KEKFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
		return v.kekOf(p).For(ctx, p)
	}), v.opts)
	n.share, n.closed = of, v.closed
	v.narrows[narrowKey{p, of}] = n
	return n
}

// openedAll returns the rings that scopes, lookups and readers of p have here.
func (v *Vault) openedAll(p purpose.Purpose) []*ring {
	var all []*ring
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rings[p]; r != nil {
		all = append(all, r)
	}
	for key, n := range v.narrows {
		if key.purpose != p {
			continue
		}
		if r := n.opened(p); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// readOnly is a store that can be read and no more.
type readOnly struct {
	get func(ctx context.Context, names ...string) ([]Record, error)
}

func (s readOnly) Get(ctx context.Context, names ...string) ([]Record, error) {
	return s.get(ctx, names...)
}

func (readOnly) Put(context.Context, Record) (int64, error) { return 0, ErrInvalid }

func (readOnly) List(context.Context, string, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", ErrInvalid) }
}
