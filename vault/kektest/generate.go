package kektest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// generateAgain finds a KEK whose second Generate replaces the key, and with it loses
// everything that the first one wrapped.
func generateAgain(s *suite) {
	g := s.generator()
	key := newKey()
	wrapped := s.wrap(s.aead(g, s.mine), s.mine, key)
	s.generate(g, s.mine)
	s.unwraps(s.aead(g, s.mine), s.mine, wrapped, key)
	other := s.reopen()
	if g, ok := other.(vault.KeyGenerator); ok {
		s.generate(g, s.mine)
	}
	s.unwraps(s.aead(other, s.mine), s.mine, wrapped, key)
	s.unwraps(s.aead(s.kek, s.mine), s.mine, wrapped, key)
}

func generatedDiffer(s *suite) {
	g := s.generator()
	wrapped := s.wrap(s.aead(g, s.mine), s.mine, newKey())
	if !s.opts.Shared {
		s.refuses(s.aead(g, s.theirs), wrapped, bound(s.mine), "a key wrapped with the generated key of another purpose")
	}
	other, ok := s.fresh().(vault.KeyGenerator)
	if !ok {
		s.Fatal("newKEK returned a vault.KeyGenerator the first time only")
	}
	s.generate(other, s.mine)
	s.refuses(s.aead(other, s.mine), wrapped, bound(s.mine), "a key wrapped with the generated key of another KEK")
}

// generateTogether generates a purpose's key in many goroutines on two handles. Each
// uses the key as soon as its own Generate has returned.
func generateTogether(s *suite) {
	s.generator()
	s.kek = s.fresh() // without keys
	handles := []vault.KEK{s.kek, s.reopen()}
	const n = 8
	key := newKey()
	wrapped := make([][]byte, n)
	s.together(n, func(i int) (err error) {
		g, ok := handles[i%2].(vault.KeyGenerator)
		if !ok {
			return errors.New("the KEK of Reopen is no vault.KeyGenerator")
		}
		if err := g.Generate(s.Context(), s.mine); err != nil {
			return fmt.Errorf("generating: %w", err)
		}
		a, err := g.For(s.Context(), s.mine)
		if err != nil {
			return fmt.Errorf("asking for the AEAD after generating: %w", err)
		}
		wrapped[i], err = encrypt(s.Context(), a, key, bound(s.mine))
		return err
	})
	for _, handle := range handles {
		for i := range wrapped {
			s.unwraps(s.aead(handle, s.mine), s.mine, wrapped[i], key)
		}
	}
}

func concurrent(s *suite) {
	purposes := []purpose.Purpose{s.mine, s.theirs}
	s.together(16, func(i int) error {
		p, key := purposes[i%2], newKey()
		for range 3 {
			a, err := s.kek.For(s.Context(), p)
			if err != nil {
				return err
			}
			wrapped, err := encrypt(s.Context(), a, key, bound(p))
			if err != nil {
				return err
			}
			got, err := decrypt(s.Context(), a, wrapped, bound(p))
			if err != nil {
				return err
			}
			if !bytes.Equal(got, key) {
				return errors.New("one goroutine got another's key")
			}
		}
		return nil
	})
}

// together runs n goroutines and waits for all.
func (s *suite) together(n int, do func(i int) error) {
	s.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
	}
}
