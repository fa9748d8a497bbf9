package kektest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// noKey finds a KEK that makes a key when it is asked for one. Two processes would
// make two, and one of them would lose its data.
func noKey(s *suite) {
	if s.opts.Shared {
		s.Skip("Options.Shared: one key wraps the keys of all purposes")
	}
	p := purpose.MustParse("kektest-no-key")
	a, err := s.kek.For(s.Context(), p)
	if err == nil && a == nil {
		s.Fatalf("For %s returned neither an AEAD nor an error", p)
	}
	if err == nil {
		_, err = encrypt(s.Context(), a, newKey(), bound(p))
	}
	switch {
	case err == nil:
		s.Error("a purpose without a key wrapped one")
	case isOutage(err):
		s.Errorf("a purpose without a key: %v, want an error that is not an outage", err)
	}
}

// refusals finds a KEK that takes each refusal for an outage. A vault would try
// again for ever, and could not tell whether associated data is bound.
func refusals(s *suite) {
	for name, err := range s.refused() {
		if isOutage(err) {
			s.Errorf("%s: %v, want an error that is not an outage", name, err)
		}
	}
}

// damage finds a KEK that takes each refusal for a missing grant, so that a damaged
// record would prove that this process can't open it.
func damage(s *suite) {
	for name, err := range s.refused() {
		if name != otherDataRefused && errors.Is(err, vault.ErrAccessDenied) {
			s.Errorf("%s: vault.ErrAccessDenied, though there is a grant", name)
		}
	}
}

// A policy of the key service may demand the right associated data, so that other
// associated data is a denied grant.
const otherDataRefused = "other associated data"

// refused returns the errors of calls that the KEK has to refuse.
func (s *suite) refused() map[string]error {
	a := s.aead(s.kek, s.mine)
	wrapped := s.wrap(a, s.mine, newKey())
	changed := bytes.Clone(wrapped)
	changed[len(changed)-1] ^= 1
	errs := map[string]error{}
	try := func(name string, wrapped, associatedData []byte) {
		if _, errs[name] = decrypt(s.Context(), a, wrapped, associatedData); errs[name] == nil {
			s.Fatalf("%s: unwrapped without an error", name)
		}
	}
	try(otherDataRefused, wrapped, bound(s.theirs))
	try("a wrapped key with a changed bit", changed, bound(s.mine))
	try("half of a wrapped key", wrapped[:len(wrapped)/2], bound(s.mine))
	return errs
}

func denied(s *suite) {
	if s.opts.Denied == nil {
		s.Skip("Options.Denied is nil")
	}
	wrapped := s.wrap(s.aead(s.kek, s.mine), s.mine, newKey())
	kek := s.opts.Denied(s)
	for name, call := range map[string]func(vault.AEAD) error{
		"wrapping":   func(a vault.AEAD) error { _, err := encrypt(s.Context(), a, newKey(), bound(s.mine)); return err },
		"unwrapping": func(a vault.AEAD) error { _, err := decrypt(s.Context(), a, wrapped, bound(s.mine)); return err },
	} {
		a, err := kek.For(s.Context(), s.mine)
		if err == nil {
			err = call(a)
		}
		if !errors.Is(err, vault.ErrAccessDenied) || isOutage(err) {
			s.Errorf("%s without a grant: error %v, want vault.ErrAccessDenied", name, err)
		}
	}
	// The process with a grant still has it.
	if _, err := decrypt(s.Context(), s.aead(s.kek, s.mine), wrapped, bound(s.mine)); err != nil {
		s.Errorf("unwrapping with a grant, after another process was denied: %v", err)
	}
}

// quiet looks at the errors that a vault hands on as they are. Of all other errors
// it repeats nothing.
func quiet(s *suite) {
	a, key := s.aead(s.kek, s.mine), newKey()
	wrapped := s.wrap(a, s.mine, key)
	note := func(err error, given ...[]byte) {
		if err == nil || !isOurs(err) {
			return
		}
		text := fmt.Sprintf("%v %+v", err, err)
		for _, g := range given {
			for _, spelling := range spellings(g) {
				if strings.Contains(text, spelling) {
					s.Fatalf("an error has %d bytes of its input in it", len(g))
				}
			}
		}
	}
	unwrap := func(a vault.AEAD, wrapped, associatedData []byte) {
		_, err := decrypt(s.Context(), a, wrapped, associatedData)
		note(err, fragment(wrapped), associatedData, fragment(key))
	}
	changed := bytes.Clone(wrapped)
	changed[len(changed)-1] ^= 1
	unwrap(a, changed, bound(s.mine))
	unwrap(a, wrapped, bound(s.theirs))
	unwrap(a, wrapped[:len(wrapped)/2], bound(s.mine))
	unwrap(a, key, bound(s.mine)) // a key in the wrong place
	s.unwrapGone(a, note)
	if s.opts.Denied == nil {
		return
	}
	if a, err := s.opts.Denied(s).For(s.Context(), s.mine); err == nil {
		unwrap(a, wrapped, bound(s.mine))
		_, err := encrypt(s.Context(), a, key, bound(s.mine))
		note(err, fragment(key), bound(s.mine))
	}
}

// unwrapGone makes calls for nobody.
func (s *suite) unwrapGone(a vault.AEAD, note func(err error, given ...[]byte)) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	key := newKey()
	wrapped, err := encrypt(ctx, a, key, bound(s.mine))
	note(err, fragment(key), bound(s.mine))
	_, err = decrypt(ctx, a, append(wrapped, key...), bound(s.mine))
	note(err, fragment(key), bound(s.mine))
}

// isOurs reports whether a vault hands err on as it is.
func isOurs(err error) bool {
	for _, sentinel := range []error{vault.ErrConflict, vault.ErrNoKeys, vault.ErrCorrupt, vault.ErrInvalid, vault.ErrUnavailable} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// fragment returns eight bytes of a key or of a wrapped key. They lie where base64
// encodes them in the same way alone and within b.
func fragment(b []byte) []byte {
	if len(b) <= keySize {
		return b[:min(len(b), 8)]
	}
	from := len(b) / 6 * 3 // a wrapped key may begin with a name of the key service
	return b[from : from+8]
}

// spellings returns how b looks in a text.
func spellings(b []byte) []string {
	if len(b) < 8 {
		return nil
	}
	list := strings.Trim(fmt.Sprint(b), "[]")
	hexadecimal := hex.EncodeToString(b)
	whole := len(b) / 3 * 3 // base64 mixes the others with the bytes behind them
	quoted := fmt.Sprintf("%q", b)
	return []string{
		string(b), list, quoted[1 : len(quoted)-1],
		hexadecimal, strings.ToUpper(hexadecimal),
		base64.StdEncoding.EncodeToString(b[:whole]), base64.URLEncoding.EncodeToString(b[:whole]),
	}
}

func cancelled(s *suite) {
	a, ok := s.aead(s.kek, s.mine).(vault.ContextAEAD)
	if !ok {
		s.Skip("not a vault.ContextAEAD")
	}
	wrapped := s.wrap(a, s.mine, newKey())
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, encrypting := a.EncryptWithContext(ctx, newKey(), bound(s.mine))
	_, decrypting := a.DecryptWithContext(ctx, wrapped, bound(s.mine))
	s.outage("EncryptWithContext with a cancelled context", encrypting)
	s.outage("DecryptWithContext with a cancelled context", decrypting)
}

// outage checks that err says that nobody answered. An ErrNoKeys would be taken for
// an answer.
func (s *suite) outage(call string, err error) {
	s.Helper()
	if !isOutage(err) || errors.Is(err, vault.ErrNoKeys) {
		s.Errorf("%s: error %v, want vault.ErrUnavailable or the context's", call, err)
	}
}

func hanging(s *suite) {
	if s.opts.Hang == nil {
		s.Skip("Options.Hang is nil")
	}
	a, ok := s.aead(s.kek, s.mine).(vault.ContextAEAD)
	if !ok {
		s.Fatal("an AEAD that asks a key service is a vault.ContextAEAD")
	}
	wrapped := s.wrap(a, s.mine, newKey())
	hangs := s.opts.Hang(s)
	for name, call := range map[string]func(context.Context) error{
		"EncryptWithContext": func(ctx context.Context) error {
			_, err := a.EncryptWithContext(ctx, newKey(), bound(s.mine))
			return err
		},
		"DecryptWithContext": func(ctx context.Context) error {
			_, err := a.DecryptWithContext(ctx, bytes.Clone(wrapped), bound(s.mine))
			return err
		},
	} {
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		select {
		case <-hangs:
		case err := <-done:
			s.Fatalf("%s returned while the key service hangs: error %v", name, err)
		case <-time.After(s.patience):
			s.Fatalf("%s has not reached the key service", name)
		}
		cancel()
		select {
		case err := <-done:
			s.outage(name+", cancelled while the key service hangs", err)
		case <-time.After(s.patience):
			s.Fatalf("%s does not return when its context is cancelled", name)
		}
	}
}
