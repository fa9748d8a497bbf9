package shop

import (
	"context"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type User struct {
	Email pii.Email
	pii.Phone
}

func discards(ctx context.Context, u User, v *vault.Admin, s, to *vault.Scope, p purpose.Purpose) {
	address, _ := u.Email.Reveal(ctx, s) // want `error of Reveal discarded: a refusal looks like an empty value; look at it`
	_ = address
	u.Email.Reveal(ctx, s)                     // want `error of Reveal discarded`
	_, _ = u.Reveal(ctx, s)                    // want `error of Reveal discarded`
	var hint, _ = u.Hint(ctx, s)               // want `error of Hint discarded: a refusal looks like an empty value`
	index, _ := pii.IndexEmail(ctx, hint, s)   // want `error of IndexEmail discarded: an index that failed matches nobody`
	all, _ := pii.IndexesPhone(ctx, hint, s)   // want `error of IndexesPhone discarded`
	index, _ = u.Email.Index(ctx, s)           // want `error of Index discarded`
	u.Email, _ = pii.SealEmail(ctx, hint, s)   // want `error of SealEmail discarded: what failed is an absent value, and is stored as one`
	u.Email, _ = u.Email.Extend(ctx, s, to)    // want `error of Extend discarded`
	u.Email, _ = (u.Email.Reseal(ctx, s))      // want `error of Reseal discarded`
	scope, _ := v.Scope(ctx, p)                // want `error of Scope discarded: without the keys of the purpose the result is nil`
	v.Generate(ctx, p)                         // want `error of Generate discarded: keys are not as they should be`
	_, _ = v.Erase(ctx, "1", p)                // want `error of Erase discarded`
	_ = v.Generate(ctx, p)                     // want `error of Generate discarded`
	p, _ = purpose.Parse(hint)                 // want `error of Parse discarded: what failed is the zero purpose`
	v, _ = vault.OpenAdmin(ctx, nil, nil, nil) // want `error of OpenAdmin discarded`
	_, _ = vault.Open(ctx, nil, nil, nil)      // want `error of Open discarded`
	_, _, _, _ = index, all, scope, v          //
	go u.Reveal(ctx, s)                        // want `error of Reveal discarded`
	defer u.Reveal(ctx, s)                     // want `error of Reveal discarded`
	defer func() { u.Reveal(ctx, s) }()        // want `error of Reveal discarded`
	pii.Email.Reveal(u.Email, ctx, s)          // want `error of Reveal discarded`
	_, _ = pii.IndexOf[kind](ctx, "", s)       // want `error of IndexOf discarded`
}

type kind struct{}

func (kind) Kind() vault.Kind              { return vault.Kind{} }
func (kind) Parse(s string) (string, bool) { return s, true }
func (kind) Canonical(s string) string     { return s }
func (kind) Mask(s string) string          { return "" }

func list[T any](all ...T) []T { return all }

type revealer interface {
	Reveal(context.Context, *vault.Scope) (string, error)
}

type repository interface {
	Name(context.Context, *vault.Scope) (string, error)
	Find(context.Context, pii.Index) (User, error)
	Phone(ctx context.Context, id int) (pii.Phone, error)
}

// What calls the library without naming it.
func indirect[R revealer](ctx context.Context, r revealer, t R, e pii.Email, s *vault.Scope, repo repository) {
	r.Reveal(ctx, s)        // want `error of Reveal discarded`
	_, _ = t.Reveal(ctx, s) // want `error of Reveal discarded`
	open := e.Reveal
	address, _ := open(ctx, s) // want `error of open discarded: a refusal looks like an empty value`
	find := pii.IndexPhone
	index, _ := find(ctx, address, s) // want `error of find discarded: an index that failed matches nobody`
	seal := pii.SealEmail
	seal(ctx, address, s) // want `error of seal discarded`
	funcs := list(e.Reveal, e.Hint)
	funcs[0](ctx, s) // want `error of a function value discarded`
	_ = index

	repo.Name(ctx, s) // somebody else's
	_, _ = repo.Find(ctx, index)
	_, _ = repo.Phone(ctx, 1)
}

// What is looked at, handed on, or can wait.
func fine(ctx context.Context, e pii.Email, v *vault.Admin, s *vault.Scope) (string, error) {
	defer v.Close()
	if _, err := e.Reveal(ctx, s); err != nil {
		return "", err
	}
	_, err := e.Hint(ctx, s)
	fmt.Println(e.Reveal(ctx, s))
	text, _ := e.MarshalText()
	column, _ := e.Value()
	_, _ = text, column
	var _ = err
	_ = err
	a, b := e.Purposes(), e.IsZero()
	_, _ = a, b
	purpose.MustParse("security")
	return e.Reveal(ctx, s)
}

func allowed(ctx context.Context, e pii.Email, s *vault.Scope) {
	hint, _ := e.Hint(ctx, s) //piivet:allow discard a page without a hint is fine
	_ = hint
}

func lists(ctx context.Context, list []string, s *vault.Scope, users *pii.IndexSet) error {
	for indexes := range batch.IndexesEmail(ctx, slices.Values(list), s) { // want `error of IndexesEmail discarded: an index that failed matches nobody; look at it`
		users.Add(indexes...) // want `error of Add discarded`
	}
	for _, _ = range batch.IndexesPhone(ctx, slices.Values(list), s) { // want `error of IndexesPhone discarded`
	}
	reveal := func(ctx context.Context, e pii.Email) (string, error) { return e.Reveal(ctx, s) }
	for address := range batch.Map(ctx, slices.Values([]pii.Email{}), reveal) { // want `error of Map discarded: a result that failed is no result; look at it`
		_ = address
	}
	for indexes, err := range batch.IndexesEmail(ctx, slices.Values(list), s) {
		if err != nil {
			return err
		}
		if err := users.Add(indexes...); err != nil {
			return err
		}
	}
	return nil
}
