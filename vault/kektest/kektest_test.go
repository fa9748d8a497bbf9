package kektest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A recorder is a test that may fail. It ends the goroutine where a test would end.
type recorder struct {
	testing.TB
	failed, skipped atomic.Bool
	text            atomic.Pointer[string]
}

func (r *recorder) say(args ...any) {
	text := fmt.Sprint(args...)
	r.text.CompareAndSwap(nil, &text)
}

func (r *recorder) Error(args ...any)            { r.say(args...); r.failed.Store(true) }
func (r *recorder) Errorf(f string, args ...any) { r.Error(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)            { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any) { r.Fatal(fmt.Sprintf(f, args...)) }
func (r *recorder) Skip(args ...any)             { r.say(args...); r.skipped.Store(true); runtime.Goexit() }

// try runs one check over the KEKs of a service.
func try(t *testing.T, check func(*suite), f faults, opts *Options) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last *service
		o := *opts
		if f.hang != nil || o.Hang != nil {
			o.Hang = func(testing.TB) <-chan struct{} { return last.stop(t) }
		}
		if o.Denied != nil {
			o.Denied = func(testing.TB) vault.KEK { return &toy{service: last, denied: true} }
		}
		if o.Reopen != nil {
			o.Reopen = func(testing.TB) vault.KEK { return &toy{service: last} }
		}
		s := newSuite(r, func(testing.TB) vault.KEK {
			last = &service{faults: f, keys: map[purpose.Purpose]cipher.AEAD{}, hung: make(chan struct{}, 8)}
			return &toy{service: last}
		}, &o)
		s.patience = 10 * time.Second
		if f.hang != nil {
			s.patience = 50 * time.Millisecond
		}
		check(s)
	}()
	<-done
	return r
}

func everything() *Options {
	return &Options{
		Reopen: func(testing.TB) vault.KEK { return nil },
		Denied: func(testing.TB) vault.KEK { return nil },
		Hang:   func(testing.TB) <-chan struct{} { return nil },
	}
}

// A service is a key service with real keys, and with faults.
type service struct {
	faults
	mu      sync.Mutex
	keys    map[purpose.Purpose]cipher.AEAD
	release chan struct{} // or nil, when it answers
	hung    chan struct{}
	last    []byte
}

// faults are the ways in which a KEK breaks its promises. Nil is right.
type faults struct {
	forPurpose   func(*toy, purpose.Purpose) (vault.AEAD, error)
	makes        bool // For makes a key
	replaces     bool // Generate replaces the key
	hasty        bool // Generate makes a key unless this process has one
	one          bool // all purposes and services have one key
	nobody       bool // processes share no keys
	encrypt      func(a *toyAEAD, plaintext, associatedData []byte) ([]byte, error)
	decrypt      func(a *toyAEAD, ciphertext, associatedData []byte) ([]byte, error)
	withoutCtx   func(a *toyAEAD, ciphertext, associatedData []byte) ([]byte, error)
	refusal      func(given []byte) error
	grant        error
	deaf         bool // a cancelled context is not looked at
	unwrapped    bool // an error of Encrypt quotes the key
	hang         func(context.Context) error
	afterDecrypt func(a *toyAEAD, plaintext []byte) []byte
}

func (s *service) stop(t testing.TB) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release = make(chan struct{})
	release := s.release
	t.Cleanup(func() { close(release) })
	return s.hung
}

// A toy is the KEK of one process.
type toy struct {
	*service
	denied bool
	own    map[purpose.Purpose]cipher.AEAD
}

func newGCM() cipher.AEAD {
	block, err := aes.NewCipher(newKey())
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

var (
	onlyKey     = newGCM()
	errNoKey    = fmt.Errorf("toy: no key: %w", vault.ErrNoKeys)
	errRefused  = fmt.Errorf("toy: refused: %w", vault.ErrNoKeys)
	errNoAnswer = fmt.Errorf("toy: no answer: %w", vault.ErrUnavailable)
)

func (k *toy) key(p purpose.Purpose) (cipher.AEAD, bool) {
	if gcm, ok := k.own[p]; ok || k.nobody {
		return gcm, ok
	}
	gcm, ok := k.keys[p]
	return gcm, ok
}

func (k *toy) set(p purpose.Purpose) {
	gcm := newGCM()
	if k.one {
		gcm = onlyKey
	}
	if k.nobody || k.hasty {
		if k.own == nil {
			k.own = map[purpose.Purpose]cipher.AEAD{}
		}
		k.own[p] = gcm
	}
	if !k.nobody {
		k.keys[p] = gcm
	}
}

func (k *toy) Generate(_ context.Context, p purpose.Purpose) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.key(p); ok && !k.replaces && !k.hasty || k.own[p] != nil {
		return nil
	}
	k.set(p)
	return nil
}

func (k *toy) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if k.forPurpose != nil {
		return k.forPurpose(k, p)
	}
	return k.aead(p)
}

func (k *toy) aead(p purpose.Purpose) (vault.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	gcm, ok := k.key(p)
	if !ok && (k.makes || k.nobody) {
		k.set(p)
		gcm, ok = k.key(p)
	}
	if !ok {
		return nil, errNoKey
	}
	return &toyAEAD{toy: k, gcm: gcm}, nil
}

type toyAEAD struct {
	*toy
	gcm cipher.AEAD
}

var _ vault.ContextAEAD = (*toyAEAD)(nil)

// ask returns an error if the call gets no answer, or no other one.
func (a *toyAEAD) ask(ctx context.Context) error {
	if err := ctx.Err(); err != nil && !a.deaf {
		return fmt.Errorf("toy: %w: %w", err, vault.ErrUnavailable)
	}
	a.mu.Lock()
	release := a.release
	a.mu.Unlock()
	if release != nil {
		a.hung <- struct{}{}
		if a.hang != nil {
			return a.hang(ctx)
		}
		select {
		case <-release:
		case <-ctx.Done():
			return fmt.Errorf("toy: %w: %w", ctx.Err(), vault.ErrUnavailable)
		}
	}
	if a.denied {
		if a.grant != nil {
			return a.grant
		}
		return vault.ErrAccessDenied
	}
	return nil
}

func (a *toyAEAD) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	if err := a.ask(ctx); err != nil {
		if a.unwrapped {
			err = fmt.Errorf("toy: wrapping %x: %w", plaintext, err)
		}
		return nil, err
	}
	if a.faults.encrypt != nil {
		return a.faults.encrypt(a, plaintext, associatedData)
	}
	return a.seal(plaintext, associatedData), nil
}

func (a *toyAEAD) seal(plaintext, associatedData []byte) []byte {
	nonce := make([]byte, 12)
	rand.Read(nonce)
	return a.gcm.Seal(nonce, nonce, plaintext, associatedData)
}

func (a *toyAEAD) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	if err := a.ask(ctx); err != nil {
		return nil, err
	}
	open := a.open
	if a.faults.decrypt != nil {
		open = func(c, d []byte) ([]byte, error) { return a.faults.decrypt(a, c, d) }
	}
	plaintext, err := open(ciphertext, associatedData)
	if err == nil && a.afterDecrypt != nil {
		plaintext = a.afterDecrypt(a, plaintext)
	}
	if err != nil && a.refusal != nil {
		err = a.refusal(ciphertext)
	}
	return plaintext, err
}

func (a *toyAEAD) open(ciphertext, associatedData []byte) ([]byte, error) {
	if len(ciphertext) < 12 {
		return nil, errRefused
	}
	plaintext, err := a.gcm.Open(nil, ciphertext[:12], ciphertext[12:], associatedData)
	if err != nil {
		return nil, errRefused
	}
	return plaintext, nil
}

func (a *toyAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.EncryptWithContext(context.Background(), plaintext, associatedData)
}

func (a *toyAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	if a.withoutCtx != nil {
		return a.withoutCtx(a, ciphertext, associatedData)
	}
	return a.DecryptWithContext(context.Background(), ciphertext, associatedData)
}

// unauthenticated encrypts without a tag, so that a changed ciphertext opens.
func unauthenticated() (f faults) {
	block, _ := aes.NewCipher(newKey())
	crypt := func(nonce, in []byte) []byte {
		out := make([]byte, len(in))
		cipher.NewCTR(block, nonce).XORKeyStream(out, in)
		return out
	}
	f.encrypt = func(_ *toyAEAD, plaintext, _ []byte) ([]byte, error) {
		nonce := make([]byte, 16)
		rand.Read(nonce)
		return append(nonce, crypt(nonce, plaintext)...), nil
	}
	f.decrypt = func(_ *toyAEAD, ciphertext, _ []byte) ([]byte, error) {
		if len(ciphertext) < 16 {
			return nil, errRefused
		}
		return crypt(ciphertext[:16], ciphertext[16:]), nil
	}
	return f
}

// binding has the toy bind a part of the associated data.
func binding(part func([]byte) []byte) faults {
	return faults{
		encrypt: func(a *toyAEAD, p, d []byte) ([]byte, error) { return a.seal(p, part(d)), nil },
		decrypt: func(a *toyAEAD, c, d []byte) ([]byte, error) { return a.open(c, part(d)) },
	}
}

// decrypting changes a ciphertext before it is opened.
func decrypting(change func([]byte) []byte) faults {
	return faults{decrypt: func(a *toyAEAD, c, d []byte) ([]byte, error) { return a.open(change(c), d) }}
}

func refusing(err error) faults {
	return faults{refusal: func([]byte) error { return err }}
}

// accepting takes some ciphertexts for an empty key.
func accepting(accept func(ciphertext, associatedData []byte) bool) faults {
	return faults{decrypt: func(a *toyAEAD, c, d []byte) ([]byte, error) {
		if accept(c, d) {
			return nil, nil
		}
		return a.open(c, d)
	}}
}

// Each fault makes the checks fail that are named with it.
var faulty = []struct {
	fault  string
	faults faults
	checks []string
}{
	{"returns neither an AEAD nor an error", faults{forPurpose: func(*toy, purpose.Purpose) (vault.AEAD, error) { return nil, nil }},
		[]string{"a wrapped key unwraps", "a purpose without a key is refused"}},
	{"has new keys each time", faults{forPurpose: func(k *toy, _ purpose.Purpose) (vault.AEAD, error) { return &toyAEAD{k, newGCM()}, nil }},
		[]string{"a wrapped key unwraps", "another process unwraps"}},
	{"returns another key", faults{afterDecrypt: func(_ *toyAEAD, p []byte) []byte { return bytes.Repeat([]byte("x"), len(p)) }},
		[]string{"a wrapped key unwraps"}},
	{"does not encrypt", faults{
		encrypt: func(_ *toyAEAD, p, _ []byte) ([]byte, error) { return p, nil },
		decrypt: func(_ *toyAEAD, c, _ []byte) ([]byte, error) { return c, nil },
	}, []string{"a wrapped key hides the key"}},
	{"encodes in hexadecimal", faults{encrypt: func(_ *toyAEAD, p, _ []byte) ([]byte, error) { return fmt.Appendf(nil, "%x", p), nil }},
		[]string{"a wrapped key hides the key"}},
	{"returns a wrapped key that fits no record", faults{encrypt: func(a *toyAEAD, p, d []byte) ([]byte, error) { return make([]byte, maxWrapped+1), nil }},
		[]string{"a wrapped key unwraps"}},
	{"returns an empty wrapped key", faults{encrypt: func(a *toyAEAD, p, d []byte) ([]byte, error) { return nil, nil }},
		[]string{"a wrapped key unwraps"}},
	{"returns its own slice", faults{afterDecrypt: func(a *toyAEAD, p []byte) []byte {
		if a.last == nil {
			a.last = p
		}
		return a.last
	}}, []string{"slices belong to the caller"}},
	{"keeps keys in the process", faults{nobody: true}, []string{"another process unwraps"}},
	{"does something else without a context", faults{withoutCtx: func(a *toyAEAD, c, _ []byte) ([]byte, error) { return c, nil }},
		[]string{"calls with and without a context are interchangeable"}},
	{"fails without a context", faults{withoutCtx: func(*toyAEAD, []byte, []byte) ([]byte, error) { return nil, errNoAnswer }},
		[]string{"calls with and without a context are interchangeable"}},
	{"ignores associated data", binding(func([]byte) []byte { return nil }),
		[]string{"other associated data is refused", "the key of another purpose is refused", "a refusal is not an outage"}},
	{"binds the beginning of associated data", binding(func(d []byte) []byte { return d[:min(len(d), 20)] }),
		[]string{"other associated data is refused"}},
	{"binds the end of associated data", binding(func(d []byte) []byte { return d[min(len(d), 1):] }),
		[]string{"other associated data is refused"}},
	{"trims associated data", binding(bytes.TrimSpace), []string{"other associated data is refused"}},
	{"folds associated data", binding(bytes.ToLower), []string{"other associated data is refused"}},
	{"cuts associated data at a zero byte", binding(func(d []byte) []byte { b, _, _ := bytes.Cut(d, []byte{0}); return b }),
		[]string{"other associated data is refused"}},
	{"opens without associated data", accepting(func(_, d []byte) bool { return len(d) == 0 }),
		[]string{"other associated data is refused"}},
	{"has one key for all", faults{one: true}, []string{"the key of another purpose is refused", "generated keys differ"}},
	{"does not authenticate", unauthenticated(), []string{"a changed bit is refused", "a part is refused", "damage is not a denied grant"}},
	{"ignores a byte", decrypting(func(c []byte) []byte {
		if len(c) > 12 {
			c[0] = 0
		}
		return c
	}), []string{"a wrapped key unwraps"}},
	{"ignores bytes behind a wrapped key", decrypting(func(c []byte) []byte { return c[:min(len(c), 12+keySize+16)] }),
		[]string{"a part is refused", "huge input is refused"}},
	{"ignores bytes before a wrapped key", decrypting(func(c []byte) []byte { return c[max(0, len(c)-12-keySize-16):] }),
		[]string{"a part is refused"}},
	{"takes a part for an empty key", accepting(func(c, _ []byte) bool { return len(c) > 0 && len(c) < 12 }), []string{"a part is refused"}},
	{"takes nothing for an empty key", accepting(func(c, _ []byte) bool { return len(c) == 0 }), []string{"empty input is refused"}},
	{"takes much for an empty key", accepting(func(c, _ []byte) bool { return len(c) > 1<<15 }), []string{"huge input is refused"}},
	{"takes much associated data for right", accepting(func(_, d []byte) bool { return len(d) > 1<<15 }), []string{"huge input is refused"}},
	{"cuts what it wraps", faults{encrypt: func(a *toyAEAD, p, d []byte) ([]byte, error) { return a.seal(p[:min(len(p), 4096)], d), nil }},
		[]string{"huge input is refused"}},
	{"pads what it wraps", faults{encrypt: func(a *toyAEAD, p, d []byte) ([]byte, error) {
		return a.seal(append(p, make([]byte, max(0, 16-len(p)))...), d), nil
	}}, []string{"empty input is refused"}},
	{"makes keys when asked for one", faults{makes: true}, []string{"a purpose without a key is refused"}},
	{"takes a purpose without a key for an outage", faults{forPurpose: func(k *toy, p purpose.Purpose) (vault.AEAD, error) {
		a, err := k.aead(p)
		if err != nil {
			return nil, errNoAnswer
		}
		return a, nil
	}}, []string{"a purpose without a key is refused"}},
	{"takes a refusal for an outage", refusing(vault.ErrUnavailable), []string{"a refusal is not an outage"}},
	{"takes a refusal for a timeout", refusing(context.DeadlineExceeded), []string{"a refusal is not an outage"}},
	{"takes damage for a missing grant", refusing(vault.ErrAccessDenied), []string{"damage is not a denied grant"}},
	{"does not say that a grant is missing", faults{grant: vault.ErrNoKeys}, []string{"a denied grant is ErrAccessDenied"}},
	{"takes a missing grant for an outage", faults{grant: fmt.Errorf("%w: %w", vault.ErrAccessDenied, vault.ErrUnavailable)},
		[]string{"a denied grant is ErrAccessDenied"}},
	{"quotes a wrapped key", faults{refusal: func(c []byte) error { return fmt.Errorf("toy: refused %x: %w", c, vault.ErrCorrupt) }},
		[]string{"an error repeats no input"}},
	{"quotes a wrapped key as a list", faults{refusal: func(c []byte) error { return fmt.Errorf("toy: refused %v: %w", c, vault.ErrNoKeys) }},
		[]string{"an error repeats no input"}},
	{"quotes a wrapped key in base64", faults{refusal: func(c []byte) error {
		return fmt.Errorf("toy: refused %s: %w", base64.StdEncoding.EncodeToString(c), vault.ErrNoKeys)
	}}, []string{"an error repeats no input"}},
	{"quotes a key that it does not wrap", faults{unwrapped: true}, []string{"an error repeats no input"}},
	{"quotes associated data", faults{decrypt: func(a *toyAEAD, c, d []byte) ([]byte, error) {
		p, err := a.open(c, d)
		if err != nil {
			err = fmt.Errorf("toy: refused for %q: %w", d, vault.ErrNoKeys)
		}
		return p, err
	}}, []string{"an error repeats no input"}},
	{"ignores its context", faults{deaf: true}, []string{"a cancelled context is an error"}},
	{"hangs with its service", faults{hang: func(context.Context) error { time.Sleep(time.Second); return nil }}, []string{"a context ends a call under way"}},
	{"takes a cancelled call for a refusal", faults{hang: func(ctx context.Context) error { <-ctx.Done(); return errRefused }},
		[]string{"a context ends a call under way"}},
	{"answers a cancelled call", faults{hang: func(ctx context.Context) error { <-ctx.Done(); return nil }},
		[]string{"a context ends a call under way"}},
	{"confuses goroutines", faults{afterDecrypt: func(a *toyAEAD, p []byte) []byte {
		a.mu.Lock()
		defer a.mu.Unlock()
		p, a.last = a.last, p
		return p
	}}, []string{"goroutines share a KEK"}},
	{"replaces its key", faults{replaces: true}, []string{"generate keeps a key that is there", "of many generators one makes the key"}},
	{"makes a key in each process", faults{hasty: true}, []string{"of many generators one makes the key"}},
}

func TestAKEKWithoutFaultsPasses(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			r := try(t, c.run, faults{}, everything())
			require.False(t, r.failed.Load(), "failed: %v", r.text.Load())
			require.False(t, r.skipped.Load(), "skipped")
		})
	}
}

func TestAFaultyKEKFails(t *testing.T) {
	runs := map[string]func(*suite){}
	seen := map[string]bool{}
	for _, c := range checks {
		runs[c.name] = c.run
	}
	for _, f := range faulty {
		for _, name := range f.checks {
			seen[name] = true
			t.Run(f.fault+"/"+name, func(t *testing.T) {
				require.Contains(t, runs, name)
				r := try(t, runs[name], f.faults, everything())
				require.True(t, r.failed.Load(), "passed")
			})
		}
	}
	for _, c := range checks {
		require.True(t, seen[c.name], "no fault for the check that %s", c.name)
	}
}

// A KEK that has less than all interfaces is checked as far as it goes.
func TestChecksThatNeedMoreAreSkipped(t *testing.T) {
	for _, name := range []string{"a denied grant is ErrAccessDenied", "a context ends a call under way"} {
		for _, c := range checks {
			if c.name == name {
				require.True(t, try(t, c.run, faults{}, &Options{}).skipped.Load(), name)
			}
		}
	}
}

func TestSpellings(t *testing.T) {
	wrapped := []byte("vault:v1:\x00\x01\x02\x03\x04\x05\x06 the others of sixty bytes, of which one is \" and another ?>~?")
	for _, text := range []string{
		string(wrapped), fmt.Sprint(wrapped), fmt.Sprintf("%x", wrapped), fmt.Sprintf("%X", wrapped), fmt.Sprintf("%q", wrapped),
		base64.StdEncoding.EncodeToString(wrapped), base64.RawURLEncoding.EncodeToString(wrapped),
	} {
		require.True(t, slices.ContainsFunc(spellings(fragment(wrapped)), func(s string) bool { return strings.Contains(text, s) }), text)
	}
	require.Empty(t, spellings([]byte("too few")), "any text may have them")
}
