package equal

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type TaxID struct{ pii.Sealed[taxID] }

type taxID struct{}

func (taxID) Kind() vault.Kind               { return vault.Kind{} }
func (taxID) Parse(s string) (string, bool)  { return s, true }
func (taxID) Canonical(digits string) string { return digits }
func (taxID) Mask(digits string) string      { return "" }

// Equal is what diff tools call.
func (id TaxID) Equal(other TaxID) bool { return id == other }

func (id TaxID) Same(other TaxID) bool { return id == other } // want `sealed value compared with ==`

type User struct {
	ID    int
	Email pii.Email
	Home  *pii.Phone
}

type Address = pii.Email

func equal(a, b pii.Email, p, q pii.Phone, x, y TaxID, v, w vault.Sealed, s, u User, r, z Address) bool {
	return a == b || // want `sealed value compared with ==: two seals of one address differ, so compare indexes of one purpose with Index.Equal, and call IsZero for absence`
		p != q || // want `sealed value compared with !=`
		x == y || // want `sealed value compared with ==`
		v == w || // want `sealed value compared with ==`
		r == z || // want `sealed value compared with ==`
		s == u || // want `value with a sealed one in it \(Email\) compared with ==`
		[1]pii.Email{a} == [1]pii.Email{b} || // want `value with a sealed one in it \(\[\]\) compared with ==`
		any(a) == any(b) || // want `sealed value compared with ==`
		a.GoString() == b.GoString() // want `labels compared with ==: GoString says the same of all values of a purpose, so compare indexes with Index.Equal`
}

// What is not compared by its seal.
func fine(a, b pii.Email, i, j pii.Index, s, u User, p, q *pii.Email) bool {
	return i.Equal(j) || a.Equal(b) || a.IsZero() ||
		a == (pii.Email{}) || (User{}) != s || // absence has one form
		p == q || p == nil || // whether they are the same variable
		s.ID == u.ID || s.Home == u.Home ||
		a.GoString() == "pii.Email(security)" ||
		a.Purposes() == b.Purposes()
}

func neverSet(a pii.Email, s User, text string) bool {
	var none pii.Email
	var nobody User
	if a == none || s == nobody {
		return true
	}
	var scanned, set, pointed pii.Email
	var part User
	_ = scanned.Scan(text)
	set = a
	p := &pointed
	part.ID = 1
	return a == scanned || // want `sealed value compared with ==`
		a == set || // want `sealed value compared with ==`
		a == pointed || // want `sealed value compared with ==`
		s == part || // want `value with a sealed one in it`
		p == nil
}

type holder struct {
	home *pii.Phone
	list [1]*pii.Email
}

func whetherTheSameVariable(a, b holder) bool { return a == b || a.list == b.list }

func indexes(i, j pii.Index) bool {
	if i == (pii.Index{}) { // absence has one form
		return false
	}
	return i == j // want `indexes compared with ==: one absent index is equal to another`
}

func labels(i, j pii.Index) bool {
	return i.GoString() != j.GoString() // want `labels compared with !=`
}

func choose(a, b pii.Email) int {
	switch a { // want `sealed value compared by switch`
	case b:
		return 1
	}
	switch {
	case a == b: // want `sealed value compared with ==`
		return 2
	}
	switch any(a).(type) {
	case pii.Email:
		return 3
	}
	return 0
}

var byEmail map[pii.Email]int // want `sealed value as map key: two seals of one address differ, and so are two keys: use the id of the row`

type set map[User]struct{} // want `value with a sealed one in it \(Email\) as map key`

var byID map[int]pii.Email

var byPointer map[*pii.Email]int // whether they are the same variable

func keys(m map[any]int, ids map[int]pii.Email, all *sync.Map, a pii.Email) {
	m[a] = 1                // want `sealed value as map key`
	_ = m[any(a)]           // want `sealed value as map key`
	delete(ids, 1)          //
	ids[1] = a              //
	all.Store(a, 1)         // want `sealed value as map key`
	all.Load(a)             // want `sealed value as map key`
	all.Store(1, a)         //
	_ = make(map[TaxID]int) // want `sealed value as map key`
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

type bag[T comparable] struct{ m map[T]int }

type queue[T any] struct{ l []T }

func generic(list []pii.Email, a pii.Email, users []User) {
	slices.Contains(list, a)           // want `sealed value compared by Contains: two seals of one address differ`
	slices.Index(users, User{})        // want `value with a sealed one in it \(Email\) compared by Index`
	contains(list, a)                  // want `sealed value compared by contains`
	f := contains[pii.Email]           // want `sealed value compared by contains`
	f(list, a)                         //
	_ = bag[pii.Email]{}               // want `sealed value compared by bag`
	_ = queue[pii.Email]{}             //
	slices.Clone(list)                 //
	cmp.Or(a, list[0])                 // compares with the zero value alone
	slices.ContainsFunc(list, a.Equal) //
	same := func(x, y pii.Email) bool {
		return x == y // want `sealed value compared with ==`
	}
	_ = same
}

func allowed(a, b pii.Email) bool {
	//piivet:allow compare the row is written only if another seal is in it
	return a == b
}

// Or for all of a function.
//
//piivet:allow compare a cache by what was read, not by whose it is
func allowedAll(a, b pii.Email) bool {
	return a == b
}

func twoOf(ctx context.Context) {}
