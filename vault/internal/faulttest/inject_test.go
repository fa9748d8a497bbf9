package faulttest

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A plug stands between a vault and its store and key service. Once it is pulled,
// every call from a given one on meets a fault, until it is put back in.
type plug struct {
	mu    sync.Mutex
	kinds []string // of the calls since the plug was last touched
	fault *fault
	from  int // number of the first call that meets the fault
	met   []string
	wrong bool          // an answer was other than it should have been
	freed chan struct{} // closed when calls that hang may go on
}

// The kinds of calls.
const (
	kekFor     = "KEK.For"
	kekMake    = "KEK.Generate"
	kekEncrypt = "Encrypt"
	kekDecrypt = "Decrypt"
	kekProbe   = "Decrypt with the wrong data" // which has to fail
	storeGet   = "Get"
	storePut   = "Put"
	storeList  = "List"
)

// A call is one of a vault's.
type call struct {
	kind   string
	ctx    context.Context
	plug   *plug
	secret []byte              // a plaintext that is part of the request
	answer func() (any, error) // what becomes of it without a fault
}

// A fault is what becomes of calls of some kinds.
type fault struct {
	name string
	of   []string
	do   func(c call) (any, error)
	want []error // one of which an operation's error is; none: it succeeds in spite of it
	// Not every wrong answer is noticed, or does harm: then the operation may
	// succeed as well.
	orNot bool
	hangs bool
	// The call does not return: it panics, or ends its goroutine. The operation says so
	// at once.
	breaks bool
	once   bool // becomes of one call only, and those after it go well
}

// pull has the calls from number from on meet f, counted from now.
func (p *plug) pull(f *fault, from int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kinds, p.met, p.wrong = nil, nil, false
	p.fault, p.from, p.freed = f, from, make(chan struct{})
}

// in ends the fault, for calls that hang as well.
func (p *plug) in() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}

// seen returns the calls since pull, the ones that met the fault, and whether one
// of them was given another answer.
func (p *plug) seen() (kinds, met []string, wrong bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.kinds...), append([]string(nil), p.met...), p.wrong
}

func (c call) wrong() {
	c.plug.mu.Lock()
	defer c.plug.mu.Unlock()
	c.plug.wrong = true
}

// released returns once the plug is back in.
func (c call) released() {
	c.plug.mu.Lock()
	freed := c.plug.freed
	c.plug.mu.Unlock()
	<-freed
}

func meet[T any](p *plug, ctx context.Context, kind string, secret []byte, answer func() (T, error)) (T, error) {
	p.mu.Lock()
	n := len(p.kinds)
	p.kinds = append(p.kinds, kind)
	f := p.fault
	if f != nil && n >= p.from && f.meets(kind) && !(f.once && len(p.met) > 0) {
		p.met = append(p.met, kind)
	} else {
		f = nil
	}
	p.mu.Unlock()
	if f == nil {
		return answer()
	}
	out, err := f.do(call{kind, ctx, p, secret, func() (any, error) { return answer() }})
	typed, _ := out.(T)
	return typed, err
}

func (f *fault) meets(kind string) bool {
	for _, of := range f.of {
		if of == kind {
			return true
		}
	}
	return false
}

type plugStore struct {
	vault.Store
	plug *plug
}

func (s plugStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	return meet(s.plug, ctx, storeGet, nil, func() ([]vault.Record, error) { return s.Store.Get(ctx, names...) })
}

func (s plugStore) Put(ctx context.Context, r vault.Record) (int64, error) {
	return meet(s.plug, ctx, storePut, nil, func() (int64, error) { return s.Store.Put(ctx, r) })
}

// List is one call, made when it is ranged over.
func (s plugStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := meet(s.plug, ctx, storeList, nil, func() (names []string, err error) {
			for name, err := range s.Store.List(ctx, prefix, after) {
				if err != nil {
					return names, err
				}
				names = append(names, name)
			}
			return names, nil
		})
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

// A plugKEK is a key service that has a key for each purpose in its map and
// denies the others.
type plugKEK struct {
	plug *plug
	keys map[purpose.Purpose]vault.AEAD
}

func (k plugKEK) For(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	return meet(k.plug, ctx, kekFor, nil, func() (vault.AEAD, error) {
		a := k.keys[p]
		if a == nil {
			a = vaulttest.Refusing{Err: vaulttest.Denial(true)}
		}
		return plugAEAD{k.plug, a}, nil
	})
}

func (k plugKEK) Generate(ctx context.Context, _ purpose.Purpose) error {
	_, err := meet(k.plug, ctx, kekMake, nil, func() (bool, error) { return true, nil })
	return err
}

type plugAEAD struct {
	plug *plug
	vault.AEAD
}

func (a plugAEAD) EncryptWithContext(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	return meet(a.plug, ctx, kekEncrypt, plaintext, func() ([]byte, error) { return a.Encrypt(plaintext, aad) })
}

func (a plugAEAD) DecryptWithContext(ctx context.Context, ciphertext, aad []byte) ([]byte, error) {
	kind := kekDecrypt
	if aad[len(aad)-1] == '!' {
		kind = kekProbe
	}
	return meet(a.plug, ctx, kind, nil, func() ([]byte, error) { return a.Decrypt(ciphertext, aad) })
}

// pause lets a moment pass, or there would be no time between one try and the next.
func pause() { time.Sleep(100 * time.Millisecond) }
