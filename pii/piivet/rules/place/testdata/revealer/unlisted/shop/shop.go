package shop

import (
	"context"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Without a list anybody may reveal.
func reveal(ctx context.Context, e pii.Email, s *vault.Scope) (string, error) {
	return e.Reveal(ctx, s)
}

var last string

type kept struct{ address string }

func masks(ctx context.Context, s *vault.Scope, k vault.Kind, v vault.Sealed, all map[string]bool, list []string, c chan string, into *kept) {
	s.Hint(ctx, k, v, func(p string) string { return p }) // want `mask returns the plaintext, so what is audited as a hint is a Reveal: return the little that its owner recognises`
	s.Hint(ctx, k, v, strings.Clone)                      // want `mask returns the plaintext`
	s.Hint(ctx, k, v, same)
	s.Hint(ctx, k, v, func(p string) string {
		if len(p) < 4 {
			return "<" + p + ">" // want `mask returns the plaintext`
		}
		return p[:1]
	})
	s.Hint(ctx, k, v, func(p string) (masked string) {
		q := strings.ToLower(p)
		masked = q
		return // want `mask returns the plaintext`
	})
	s.Hint(ctx, k, v, func(p string) string {
		last = p // want `plaintext kept by a function that is only to look at it: call Reveal, which is audited as such`
		return ""
	})
	var copied []byte
	s.IndexSealed(ctx, k, v, func(p string) (string, bool) {
		copied = []byte(p)     // want `plaintext kept`
		into.address = p       // want `plaintext kept`
		list = append(list, p) // want `plaintext kept`
		c <- p                 // want `plaintext kept`
		_ = p
		return strings.ToLower(p), true // as a canonical form does
	})
	s.Hint(ctx, k, v, func(p string) string { return fmt.Sprintf("%s…", p) })   // want `mask returns the plaintext`
	s.Hint(ctx, k, v, func(p string) string { return fmt.Sprintf("%.1s…", p) }) //
	s.Hint(ctx, k, v, func(p string) string { return p[:1] + "•••" })
	s.Hint(ctx, k, v, func(string) string { return "•••" })
	s.Hint(ctx, k, v, tail)
	s.Hint(ctx, k, v, func(p string) string { return p }) //piivet:allow revealer the sealed text is a country code
	_ = copied
}

func same(p string) string { return p } // want `mask returns the plaintext`

func tail(p string) string {
	q := p
	return q[len(q)-2:]
}

type open struct{}

func (open) Kind() vault.Kind              { return vault.Kind{} }
func (open) Parse(s string) (string, bool) { return s, true }
func (open) Canonical(s string) string     { return s }
func (open) Mask(s string) string          { return s } // want `mask returns the plaintext`

// Not a kind.
type printer struct{}

func (printer) Mask(s string) string { return s }
