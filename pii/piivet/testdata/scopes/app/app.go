// Package app takes scopes on every road that is followed, and some that are
// not; the comments say what is known: "?" stands for any others.
package app

import (
	"context"
	"slices"
	"sync/atomic"

	"example.com/purposes"
	"example.com/scopes/lib"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

const name = "analytics"

var analytics = purpose.MustParse(name)

func show(any) {}

func purposesInPlace(given string) {
	show(purposes.Security)                  // want `^security$`
	show(analytics)                          // want `^analytics$`
	show(lib.Support())                      // want `^support$`
	show(purpose.MustParse("in-" + "place")) // want `^in-place$`
	p, _ := purpose.Parse(given)
	show(p)                 // want `^\?$`
	show(purpose.Purpose{}) // want `^\?$`
	q := purposes.Security
	q.UnmarshalText([]byte(given))
	show(q) // want `^security \?$`
	r := &analytics2
	_ = r.UnmarshalText([]byte(given))
	show(analytics2) // want `^analytics \?$`
}

var analytics2 = purpose.MustParse(name)

func locals(ctx context.Context, v *vault.Vault, yes bool) {
	security, err := v.Scope(ctx, purposes.Security)
	_ = err
	show(security)                                   // want `^security$`
	show(security.Under(purpose.Basis{}).For("1"))   // want `^security$`
	show((*vault.Scope).For(security, "1"))          // want `^security$`
	show(security.Purpose())                         // want `^security$`
	ads, _ := lib.Open(ctx, v, purposes.Advertising) // calls are told apart
	show(ads)                                        // want `^advertising$`
	billing := must(lib.Open(ctx, v, purposes.Billing))
	show(billing)                               // want `^billing$`
	show(must(v.Scope(ctx, purposes.Security))) // want `^security$`
	either := security
	if yes {
		either = ads
	}
	show(either)                         // want `^advertising security$`
	show(reassigned(security, ads, yes)) // want `^advertising security$`
	var none *vault.Scope
	show(none) // want `^\?$`
	all := []vault.Sealer{security}
	all = append(all, ads)
	show(all)                                    // want `^advertising security$`
	show(slices.Clone(all))                      // want `^advertising security$`
	show(map[string]*vault.Scope{"a": ads}["a"]) // want `^advertising$`
	for _, p := range []purpose.Purpose{purposes.Security, purposes.Billing} {
		s, _ := v.Scope(ctx, p)
		show(s) // want `^billing security$`
	}
	open := func(p purpose.Purpose) *vault.Scope {
		s, _ := v.Scope(ctx, p)
		return s
	}
	show(open(purposes.Billing))  // want `^billing$`
	show(open(purposes.Security)) // want `^security$`
	func(s *vault.Scope) {
		show(s) // want `^billing$`
	}(billing)
	ch := make(chan *vault.Scope, 1)
	ch <- ads
	show(<-ch) // want `^advertising$`
	var p atomic.Pointer[vault.Scope]
	p.Store(ads)
	show(p.Load()) // want `^advertising$`
	var sealer vault.Sealer = security
	show(sealer)                // want `^security$`
	show(sealer.(*vault.Scope)) // want `^security$`
	var anything any = security
	show(anything.(*vault.Scope)) // want `^\?$`
}

// reassigned returns the scope that its parameter was set to.
func reassigned(s, other *vault.Scope, yes bool) *vault.Scope {
	if yes {
		s = other
	}
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type component struct {
	security *vault.Scope
	ads      *vault.Scope
	both     map[string]*vault.Scope
	Exported *vault.Scope
	nested   struct{ scope *vault.Scope }
}

func build(ctx context.Context, v *vault.Vault) *component {
	security, _ := v.Scope(ctx, purposes.Security)
	c := &component{security: security, both: map[string]*vault.Scope{"security": security}, Exported: security}
	c.ads, _ = v.Scope(ctx, purposes.Advertising)
	c.both["ads"] = c.ads
	c.nested.scope = security
	helper(c.ads)
	helper(c.security)
	only(c.ads)
	taken(c.ads)
	Called(c.ads)
	go later(c.ads)
	_ = taken
	_ = lib.New(security).Security()
	return c
}

func (c *component) use() {
	show(c.security)     // want `^security$`
	show(c.ads)          // want `^advertising$`
	show(c.both["x"])    // want `^advertising security$`
	show(c.Exported)     // want `^security$`
	show(c.nested.scope) // want `^security$`
	f := c.security.For
	show(f("1")) // want `^\?$`
}

func helper(s *vault.Scope)  { show(s) } // want `^advertising security$`
func only(s *vault.Scope)    { show(s) } // want `^advertising$`
func later(s *vault.Scope)   { show(s) } // want `^advertising$`
func taken(s *vault.Scope)   { show(s) } // want `^advertising \?$`
func Callers(s *vault.Scope) { show(s) } // want `^\?$`
func Called(s *vault.Scope)  { show(s) } // want `^advertising \?$`

type embeds struct{ *vault.Scope }

func embedding(ctx context.Context, v *vault.Vault) {
	s, _ := v.Scope(ctx, purposes.Security)
	e := embeds{s}
	show(e)          // want `^security$`
	show(e.Scope)    // want `^security$`
	show(e.For("1")) // want `^security$`
}

type user interface{ take(*vault.Scope) }

type one struct{}

func (one) take(s *vault.Scope) { show(s) } // want `^security$`

func throughInterface(ctx context.Context, v *vault.Vault, u user) {
	s, _ := v.Scope(ctx, purposes.Security)
	u.take(s)
}

type node[T any] struct{ value T }

func (n *node[T]) get() T { return n.value }

func generics(ctx context.Context, v *vault.Vault) {
	s, _ := v.Scope(ctx, purposes.Security)
	n := &node[*vault.Scope]{value: s}
	show(n.value) // want `^security$`
	show(n.get()) // want `^security$`
}

func recursive(s *vault.Scope, n int) *vault.Scope {
	if n == 0 {
		return s
	}
	return recursive(s.For("1"), n-1)
}

func recursion(ctx context.Context, v *vault.Vault) {
	s, _ := v.Scope(ctx, purposes.Security)
	show(recursive(s, 3)) // want `^security$`
}
