// Package strange is written in ways that analyses trip over. What is found in
// it is of less matter than that nothing falls over.
package strange

import (
	"context"
	"fmt"
	"iter"
	"log"
	"unsafe"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type (
	tree        []tree
	loop        *loop
	alias       = pii.Email
	list[T any] struct {
		head T
		next *list[T]
	}
	named[K pii.Kind] = pii.Sealed[K]
	revealer          interface {
		Reveal(context.Context, vault.Revealer) (string, error)
	}
	generic[K pii.Kind] struct {
		pii.Sealed[K]
		more map[string][]*generic[K]
	}
	numbers                   interface{ ~int | ~float64 }
	self[T interface{ m(T) }] struct{ t T }
	node                      struct {
		*node
		scope *vault.Scope
		text  string
	}
)

func (l *list[T]) push(v T) *list[T] { return &list[T]{v, l} }

func (l *list[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for n := l; n != nil; n = n.next {
			if !yield(n.head) {
				return
			}
		}
	}
}

func reveal[R revealer](ctx context.Context, r R, s *vault.Scope) string {
	text, _ := r.Reveal(ctx, s)
	return text
}

func of[K pii.Kind](ctx context.Context, g generic[K], s *vault.Scope) string {
	text, _ := g.Reveal(ctx, s)
	var t tree
	var l loop
	_, _ = t, l
	log.Print(text) // want `goes into a log`
	return text
}

func (n *node) again(ctx context.Context, e alias) {
	n.node.node.scope = n.scope.For("1")
	n.text, _ = e.Reveal(ctx, n.node.scope)
	log.Print(n.node.text) // want `goes into a log`
	*n = node{n, n.scope, n.text}
	n.node.again(ctx, e)
}

func methods(ctx context.Context, e pii.Email, s *vault.Scope) {
	f := pii.Email.Reveal
	a, _ := f(e, ctx, s)
	log.Print(a) // want `goes into a log`
	g := (*vault.Scope).Reveal
	b, _ := g(s, ctx, vault.Kind{}, vault.Sealed{})
	log.Print(b) // want `goes into a log`
	h := pii.Email{}.Reveal
	for range 2 {
		h = e.Reveal
	}
	c, _ := h(ctx, s)
	log.Print(c) // want `goes into a log`
	var r revealer = e
	d, _ := r.Reveal(ctx, s) // an interface of one's own
	log.Print(d)             // want `goes into a log`
	defer func() { _ = recover() }()
	go e.Reveal(ctx, s)
	defer e.Reveal(ctx, s)
	func(text string, err error) { log.Print(text) }(e.Reveal(ctx, s)) // want `goes into a log`
	log.Print(e.Reveal(ctx, s))                                        // want `goes into a log`
}

func lists(ctx context.Context, e pii.Email, s *vault.Scope) {
	a, _ := e.Reveal(ctx, s)
	var l *list[string]
	l = l.push("x").push(a)
	for v := range l.all() {
		log.Print(v) // want `goes into a log`
	}
	log.Print(l.head) // want `goes into a log`
	var m [2]map[string]chan *string
	m[0] = map[string]chan *string{"a": make(chan *string, 1)}
	m[0]["a"] <- &a
	log.Print(*<-m[0]["a"]) // want `goes into a log`
	select {
	case p := <-m[1]["b"]:
		log.Print(*p) // want `goes into a log`
	default:
	}
	var x any = a
	switch x := x.(type) {
	case string:
		log.Print(x) // want `goes into a log`
	case fmt.Stringer, error:
		log.Print(x) // want `goes into a log`
	}
	p := unsafe.StringData(a)
	_ = p
	goto end
end:
	log.Print(add(1, 2))
}

func add[N numbers](a, b N) N { return a + b }

func scopes(ctx context.Context, v *vault.Admin) (s *vault.Scope, err error) {
	defer func() {
		if err != nil {
			s = nil
		}
	}()
	s, err = func() (*vault.Scope, error) { return v.Scope(ctx, purpose.MustParse("a")) }()
	_ = func(ps ...purpose.Purpose) error { return v.Generate(ctx, ps...) }
	open := v.Scope
	s, err = open(ctx, purpose.Purpose{})
	return
}

var _ = func() string { return "" }()

func init() {}
func init() {}

func _() {}
