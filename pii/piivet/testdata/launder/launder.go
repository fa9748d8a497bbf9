// Package main takes revealed numbers from one purpose to another, each function
// in another way. TestLaundering says which of them are found.
package main

import (
	"bytes"
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"iter"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"example.com/launder/cache"
	"example.com/launder/helper"
	"example.com/launder/keys"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type app struct {
	security, ads *vault.Scope
	phone         pii.Phone
}

func main() {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Dir("keys"), vault.LocalKEK("kek"), nil)
	if err != nil {
		panic(err)
	}
	security, err := v.Scope(ctx, keys.Security)
	if err != nil {
		panic(err)
	}
	ads, err := v.Scope(ctx, keys.Advertising)
	if err != nil {
		panic(err)
	}
	a := &app{security: security, ads: ads}
	for _, f := range []func(context.Context){a.straight, a.helperFunction, a.helperOfHelper, a.setterAndGetter, a.genericContainer, a.genericMap, a.genericMapOfLiteral, a.channel, a.mapValue, a.mapsAndSlices, a.closure, a.callback, a.choice, a.jsonAnonymous, a.jsonDecoder, a.builder, a.reflection, a.methodValue, a.functionField, a.syncMap, a.syncMapRange, a.atomicPointer, a.atomicValue, a.linkedList, a.onceValues, a.waitGroup, a.template, a.cacheOfOther, a.interfaceOfOther, a.interfaceAsked, a.eventBus, a.crowdedBus, a.contextValue, a.iterator, a.iteratorOfHelper, a.byteByByte, a.packageVariable, a.maskThatKeeps, a.hintThatIsAll, a.ownKindParse, a.ownKindCanonical, a.file, a.guess, a.clean, a.turned, a.outbox} {
		f(ctx)
	}
}

func (a *app) straight(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, n, a.ads)
}

func (a *app) helperFunction(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, helper.Trim(n), a.ads)
}

func (a *app) helperOfHelper(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, helper.Shout(n), a.ads)
}

func (a *app) setterAndGetter(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var c helper.Cell
	c.Put(n)
	_, _ = pii.IndexPhone(ctx, c.Get(), a.ads)
}

func (a *app) genericContainer(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var s helper.Stack[string]
	s.Push(n)
	_, _ = pii.IndexPhone(ctx, s.Pop(), a.ads)
}

func (a *app) genericMap(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, helper.Each([]string{n}, strings.TrimSpace)[0], a.ads)
}

func (a *app) genericMapOfLiteral(ctx context.Context) {
	out := helper.Each([]pii.Phone{a.phone}, func(p pii.Phone) string {
		n, _ := p.Reveal(ctx, a.security)
		return n
	})
	_, _ = pii.IndexPhone(ctx, out[0], a.ads)
}

func (a *app) channel(ctx context.Context) {
	c := make(chan string, 1)
	go func() {
		n, _ := a.phone.Reveal(ctx, a.security)
		c <- n
	}()
	_, _ = pii.IndexPhone(ctx, <-c, a.ads)
}

func (a *app) mapValue(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	m := map[string]string{"phone": n}
	_, _ = pii.IndexPhone(ctx, m["phone"], a.ads)
}

func (a *app) mapsAndSlices(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	m := helper.Merge(map[string]string{"phone": n}, nil)
	for _, v := range helper.Sorted(slices.Collect(maps.Values(m))) {
		_, _ = pii.IndexPhone(ctx, v, a.ads)
	}
}

func (a *app) closure(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	get := func() string { return n }
	_, _ = pii.IndexPhone(ctx, get(), a.ads)
}

func (a *app) callback(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	helper.With(n, func(s string) { _, _ = pii.IndexPhone(ctx, s, a.ads) })
}

func (a *app) choice(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, helper.Chosen(true, func() string { return n }, func() string { return "" }), a.ads)
}

func (a *app) jsonAnonymous(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	b, _ := json.Marshal(struct{ Phone string }{n})
	var x struct{ Phone string }
	_ = json.Unmarshal(b, &x)
	_, _ = pii.IndexPhone(ctx, x.Phone, a.ads)
}

func (a *app) jsonDecoder(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	b, _ := json.Marshal(map[string]string{"a": n})
	var x []struct{ A string }
	_ = json.NewDecoder(bytes.NewReader(b)).Decode(&x)
	_, _ = pii.IndexPhone(ctx, x[0].A, a.ads)
}

func (a *app) builder(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var b strings.Builder
	fmt.Fprintf(&b, "%s", n)
	_, _ = pii.IndexPhone(ctx, b.String(), a.ads)
}

func (a *app) reflection(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, reflect.ValueOf(n).String(), a.ads)
}

func (a *app) methodValue(ctx context.Context) {
	reveal := a.phone.Reveal
	index := pii.IndexPhone
	n, _ := reveal(ctx, a.security)
	_, _ = index(ctx, n, a.ads)
}

func (a *app) functionField(ctx context.Context) {
	s := sealer{pii.SealPhone}
	n, _ := a.phone.Reveal(ctx, a.security)
	_, _ = s.seal(ctx, n, a.ads)
}

func (a *app) syncMap(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var m sync.Map
	m.Store("phone", n)
	x, _ := m.Load("phone")
	_, _ = pii.IndexPhone(ctx, x.(string), a.ads)
}

func (a *app) syncMapRange(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var m sync.Map
	m.Store("phone", n)
	m.Range(func(_, x any) bool {
		_, _ = pii.IndexPhone(ctx, x.(string), a.ads)
		return true
	})
}

func (a *app) atomicPointer(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var p atomic.Pointer[string]
	p.Store(&n)
	_, _ = pii.IndexPhone(ctx, *p.Load(), a.ads)
}

func (a *app) atomicValue(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var p atomic.Value
	p.Store(n)
	_, _ = pii.IndexPhone(ctx, p.Load().(string), a.ads)
}

func (a *app) linkedList(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	l := list.New()
	l.PushBack(n)
	_, _ = pii.IndexPhone(ctx, l.Front().Value.(string), a.ads)
}

func (a *app) onceValues(ctx context.Context) {
	get := sync.OnceValues(func() (string, error) { return a.phone.Reveal(ctx, a.security) })
	n, _ := get()
	_, _ = pii.IndexPhone(ctx, n, a.ads)
}

func (a *app) waitGroup(ctx context.Context) {
	out := make([]string, 1)
	var g sync.WaitGroup
	g.Go(func() { out[0], _ = a.phone.Reveal(ctx, a.security) })
	g.Wait()
	_, _ = pii.IndexPhone(ctx, out[0], a.ads)
}

func (a *app) template(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var b bytes.Buffer
	_ = template.Must(template.New("x").Parse("{{.}}")).Execute(&b, n)
	_, _ = pii.IndexPhone(ctx, b.String(), a.ads)
}

func (a *app) cacheOfOther(ctx context.Context) {
	c := &cache.Contacts{Scope: a.security}
	_ = c.Load(ctx, "u", a.phone)
	_, _ = pii.IndexPhone(ctx, c.Find("u"), a.ads)
}

func (a *app) interfaceOfOther(ctx context.Context) {
	c := &cache.Contacts{Scope: a.security}
	_ = c.Load(ctx, "u", a.phone)
	var f helper.Finder = c
	_, _ = pii.IndexPhone(ctx, f.Find("u"), a.ads)
}

func (a *app) interfaceAsked(ctx context.Context) {
	c := &cache.Contacts{Scope: a.security}
	_ = c.Load(ctx, "u", a.phone)
	_, _ = pii.IndexPhone(ctx, helper.Ask(c, "u"), a.ads)
}

func (a *app) eventBus(ctx context.Context) {
	var t helper.Topic
	t.Listen("number", func(s string) { _, _ = pii.IndexPhone(ctx, s, a.ads) })
	n, _ := a.phone.Reveal(ctx, a.security)
	t.Tell("number", n)
}

func (a *app) crowdedBus(ctx context.Context) {
	var b helper.Bell
	b.Listen(func(s string) { _, _ = pii.IndexPhone(ctx, s, a.ads) })
	b.Listen(func(string) {})
	b.Listen(func(string) {})
	b.Listen(func(string) {})
	n, _ := a.phone.Reveal(ctx, a.security)
	b.Ring(n)
}

func (a *app) contextValue(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	a.contextValue2(context.WithValue(ctx, key{}, n))
}

func (a *app) iterator(ctx context.Context) {
	for n := range a.numbers(ctx) {
		_, _ = pii.IndexPhone(ctx, n, a.ads)
	}
}

func (a *app) iteratorOfHelper(ctx context.Context) {
	for n := range helper.Lazily(a.numbers(ctx), strings.TrimSpace) {
		_, _ = pii.IndexPhone(ctx, n, a.ads)
	}
}

func (a *app) byteByByte(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var b []byte
	for i := range len(n) {
		b = append(b, n[i])
	}
	_, _ = pii.IndexPhone(ctx, string(b), a.ads)
}

func (a *app) packageVariable(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	last = n
	if s, ok := last.(string); ok {
		_, _ = pii.IndexPhone(ctx, s, a.ads)
	}
}

func (a *app) maskThatKeeps(ctx context.Context) {
	var kept string
	text, _ := a.phone.MarshalText()
	s, _ := vault.ParseSealed(string(text))
	_, _ = a.security.Hint(ctx, vault.MustKind("phone", "pii.Phone"), s, func(p string) string { kept = p; return "" })
	_, _ = pii.IndexPhone(ctx, kept, a.ads)
}

func (a *app) hintThatIsAll(ctx context.Context) {
	text, _ := a.phone.MarshalText()
	s, _ := vault.ParseSealed(string(text))
	n, _ := a.security.Hint(ctx, vault.MustKind("phone", "pii.Phone"), s, func(p string) string { return p })
	_, _ = pii.IndexPhone(ctx, n, a.ads)
}

func (a *app) ownKindParse(ctx context.Context) {
	var s pii.Sealed[parses]
	_, _ = s.Index(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, seen, a.ads)
}

func (a *app) ownKindCanonical(ctx context.Context) {
	var s pii.Sealed[canonical]
	_, _ = s.Index(ctx, a.security)
	_, _ = pii.IndexPhone(ctx, held, a.ads)
}

func (a *app) file(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	_ = os.WriteFile("x", []byte(n), 0o600)
	b, _ := os.ReadFile("x")
	_, _ = pii.IndexPhone(ctx, string(b), a.ads)
}

func (a *app) guess(ctx context.Context) {
	mine, _ := a.phone.Index(ctx, a.security)
	for i := range 10000 {
		guess := fmt.Sprintf("+1415555%04d", i)
		if x, _ := pii.IndexPhone(ctx, guess, a.security); x.Equal(mine) {
			_, _ = pii.IndexPhone(ctx, guess, a.ads)
		}
	}
}

func (a *app) clean(ctx context.Context) {
	_, _ = pii.IndexPhone(ctx, helper.Trim("+14155552671"), a.ads)
	_, _ = pii.IndexPhone(ctx, helper.Each([]string{"+1"}, strings.TrimSpace)[0], a.ads)
}

type sealer struct {
	seal func(context.Context, string, ...vault.Sealer) (pii.Phone, error)
}

type key struct{}

func (a *app) contextValue2(ctx context.Context) {
	n, _ := ctx.Value(key{}).(string)
	_, _ = pii.IndexPhone(ctx, n, a.ads)
}

func (a *app) numbers(ctx context.Context) iter.Seq[string] {
	return func(yield func(string) bool) {
		n, _ := a.phone.Reveal(ctx, a.security)
		yield(n)
	}
}

var (
	last       any
	seen, held string
)

type parses struct{}

func (parses) Kind() vault.Kind              { return vault.MustKind("phone", "main.Phone") }
func (parses) Parse(s string) (string, bool) { seen = s; return s, true }
func (parses) Canonical(s string) string     { return s }
func (parses) Mask(string) string            { return "" }

type canonical struct{}

func (canonical) Kind() vault.Kind              { return vault.MustKind("phone", "main.Phone") }
func (canonical) Parse(s string) (string, bool) { return s, true }
func (canonical) Canonical(s string) string     { held = s; return s }
func (canonical) Mask(string) string            { return "" }

func (a *app) turned(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	var t helper.Tray
	t.In(n)
	_, _ = pii.IndexPhone(ctx, t.Out(), a.ads)
}

func (a *app) outbox(ctx context.Context) {
	n, _ := a.phone.Reveal(ctx, a.security)
	out := &cache.Outbox{Ads: a.ads}
	out.Number = n
	out.Flush(ctx)
}
