// Package odd is code of all sorts, in which rules find nothing and must not stop.
package odd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"unsafe"

	_ "embed"
	. "strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type (
	list[T any]               struct{ next *list[T] }
	pair[A comparable, B any] struct {
		a A
		b B
	}
	alias[T any] = list[T]
	named        func(named) named
	self         []self
	wide         interface {
		~int | ~string
		comparable
	}
	selfMap map[string]selfMap
	mutual  struct{ other *mutual2 }
	mutual2 struct{ all []mutual }
	_       struct{}
)

var (
	_          = unsafe.Sizeof(0)
	first, _   = fmt.Println()
	recursive  = func() self { return nil }()
	a, b       = 1, "b"
	nothing    any
	fail       error
	label      = func() string { return "" }
	anonymous  struct{ struct1 struct{ pii.Email } }
	arrayOfNil [0]selfMap
)

func (l *list[T]) each() iter.Seq[T] { return func(yield func(T) bool) {} }

func equal[T wide](x, y T) bool { return x == y }

func deep[P interface{ *T }, T any](p P) (t T) { return *p }

func blank(_ context.Context, _ ...any) (_ int, _ error) { return }

func odd(ctx context.Context, e pii.Email, s *vault.Scope) (result string, err error) {
	if err != nil {
		_ = err.Error()
	}
	func() { _ = recover() }()
	_ = equal(1, 2)
	_ = deep(new(int))
	_ = pair[string, pii.Email]{}
	_, _ = blank(ctx)
	blank(ctx, nil)
	blank(ctx, []any{}...)
	_ = ToUpper("a")
	var f named
	_ = f(f)(nil)
	for range 3 {
	}
	for x := range (&list[int]{}).each() {
		_ = x == x+1
	}
	switch x := nothing.(type) {
	case nil:
	case error:
		_ = x.Error()
	case interface{ Unwrap() error }:
		_ = x
	}
	switch {
	}
	select {
	default:
	}
label:
	for {
		break label
	}
	m := map[any]any{1: 2}
	m[nil], m[struct{}{}] = 1, 2
	delete(m, nil)
	_ = [...]int{2: 1}
	_ = struct{ x int }{1}
	_ = (*struct{})(nil) == nil
	_ = nothing == nil
	_ = errors.Is(err, fail)
	_ = func(x ...string) {}
	defer func() {}()
	go func(int) {}(1)
	if nothing, ok := nothing.(fmt.Stringer); ok {
		_ = nothing.String() == nothing.String()
	}
	_ = anonymous.struct1.Email.IsZero
	_ = (pii.Email).IsZero
	_ = (*pii.Email).Scan
	_ = label() == label()
	print(a, b, first)
	_, _ = recursive, arrayOfNil
	_ = alias[int]{}
	_ = complex(1, 2)
	_ = s == nil
	goto end
end:
	return
}
