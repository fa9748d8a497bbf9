// Package ads serves one purpose.
//
//piivet:purpose advertising
package ads

import (
	"context"
	"iter"
	"slices"
	"sync"

	"example.com/purposes"
	"example.com/register/people"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Team matches people.
type Team struct {
	scopes map[purpose.Purpose]*vault.Scope
	open   func() *vault.Scope
	lists  [][]*vault.Scope
	worker Worker
}

// A Worker is an interface that takes a scope.
type Worker interface {
	Work(ctx context.Context, email pii.Email, scope *vault.Scope) error
}

type worker struct{}

//register:uses index advertising
func (*worker) Work(ctx context.Context, email pii.Email, scope *vault.Scope) error {
	_, err := email.Index(ctx, scope)
	return err
}

// Take takes the right to use a purpose.
//
//register:uses open advertising security
func Take(ctx context.Context, v *vault.Vault) (*Team, error) {
	t := &Team{scopes: map[purpose.Purpose]*vault.Scope{}, worker: &worker{}}
	for _, p := range []purpose.Purpose{purposes.Advertising, purposes.Security} {
		var err error
		if t.scopes[p], err = v.Scope(ctx, p); err != nil {
			return nil, err
		}
	}
	t.open = sync.OnceValue(func() *vault.Scope { return t.scopes[purposes.Advertising] })
	t.lists = append(t.lists, []*vault.Scope{t.scopes[purposes.Advertising]})
	return t, nil
}

// byKey uses one of a map.
//
//register:uses index advertising
func (t *Team) byKey(ctx context.Context, email pii.Email) (pii.Index, error) {
	return email.Index(ctx, t.scopes[purposes.Advertising])
}

//register:uses index advertising security
func (t *Team) byAnyKey(ctx context.Context, email pii.Email) {
	for _, scope := range t.scopes {
		if _, err := email.Index(ctx, scope); err != nil {
			return
		}
	}
}

// list indexes many addresses and numbers at once, and a kind of the program.
//
//register:uses index advertising
func (t *Team) list(ctx context.Context, texts []string) (users pii.IndexSet, err error) {
	scope := t.scopes[purposes.Advertising]
	for _, each := range []iter.Seq2[[]pii.Index, error]{
		batch.IndexesEmail(ctx, slices.Values(texts), scope), batch.IndexesPhone(ctx, slices.Values(texts), scope),
	} {
		for indexes, err := range each {
			if err != nil {
				return users, err
			}
			if err := users.Add(indexes...); err != nil {
				return users, err
			}
		}
	}
	return users, nil
}

//register:uses index security
func (t *Team) literal(ctx context.Context, email pii.Email) (pii.Index, error) {
	m := map[purpose.Purpose]*vault.Scope{
		purposes.Advertising: t.scopes[purposes.Advertising],
		purposes.Security:    t.scopes[purposes.Security],
	}
	return email.Index(ctx, m[purposes.Security])
}

// functionValue: the function that is in the field is made from another one of
// that signature, which may be any.
//
//register:uses index advertising
func (t *Team) functionValue(ctx context.Context, email pii.Email) (pii.Index, error) {
	return email.Index(ctx, t.open())
}

//register:uses index advertising
func (t *Team) slices(ctx context.Context, email pii.Email) (pii.Index, error) {
	return email.Index(ctx, t.lists[0][0])
}

//register:uses index advertising
func (t *Team) interfaceCall(ctx context.Context, email pii.Email) error {
	return t.worker.Work(ctx, email, t.scopes[purposes.Advertising])
}

//register:uses open advertising
//register:uses reveal advertising
func generic(ctx context.Context, v *vault.Vault, email pii.Email) (string, error) {
	scope := people.Must(v.Scope(ctx, purposes.Advertising))
	return email.Reveal(ctx, scope)
}

//register:uses open security
//register:uses reveal advertising security
func genericChoice(ctx context.Context, v *vault.Vault, t *Team, email pii.Email) (string, error) {
	return email.Reveal(ctx, people.Pick(true, t.scopes[purposes.Advertising], people.Must(v.Scope(ctx, purposes.Security))))
}

// consent extends a value.
//
//register:uses extend-from security
//register:uses extend-into advertising notice=ads-v2
func (t *Team) consent(ctx context.Context, email pii.Email, record string) (pii.Email, error) {
	basis := purpose.Basis{Legal: purpose.Consent, Notice: "ads-v2"}
	basis.Consent = record
	return email.Extend(ctx, t.scopes[purposes.Security], t.scopes[purposes.Advertising].Under(basis))
}

//register:uses withdraw advertising
func withdraw(email pii.Email) pii.Email { return email.Without(purposes.Advertising) }

//register:uses reseal advertising
func (t *Team) anew(ctx context.Context, email pii.Email) (pii.Email, error) {
	return email.Reseal(ctx, t.scopes[purposes.Advertising])
}

//register:uses reveal ?
func (t *Team) outOfAnAny(ctx context.Context, email pii.Email, bag map[string]any) (string, error) {
	return email.Reveal(ctx, bag["scope"].(*vault.Scope))
}

//register:uses open ?
//register:uses reveal ?
func runTimeName(ctx context.Context, v *vault.Vault, email pii.Email, name string) (string, error) {
	p, err := purpose.Parse(name)
	if err != nil {
		return "", err
	}
	scope, err := v.Scope(ctx, p)
	if err != nil {
		return "", err
	}
	return email.Reveal(ctx, scope)
}

//register:uses reveal ?
//register:uses hand-over ? to=example.com/register/ads.fill
func (t *Team) byAddress(ctx context.Context, email pii.Email) (string, error) {
	var scope *vault.Scope
	fill(&scope)
	return email.Reveal(ctx, scope)
}

func fill(any) {}

// ofPurpose opens a scope for whoever asks, each of them apart.
//
//register:uses open billing security
func ofPurpose(ctx context.Context, v *vault.Vault, p purpose.Purpose) *vault.Scope {
	scope, _ := v.Scope(ctx, p)
	return scope
}

//register:uses open billing
//register:uses reveal billing
func apart(ctx context.Context, v *vault.Vault, email pii.Email) (string, error) {
	return email.Reveal(ctx, ofPurpose(ctx, v, purposes.Billing))
}

//register:uses open security
//register:uses reveal security
func apartToo(ctx context.Context, v *vault.Vault, email pii.Email) (string, error) {
	return email.Reveal(ctx, ofPurpose(ctx, v, purposes.Security)) //piivet:allow revealer a test of the register
}

//register:uses reveal billing
func recursive(ctx context.Context, email pii.Email, scope *vault.Scope, n int) (string, error) {
	if n == 0 {
		return email.Reveal(ctx, scope)
	}
	return recursive(ctx, email, scope, n-1)
}

//register:uses open billing
//register:uses reveal billing
func recurse(ctx context.Context, v *vault.Vault, email pii.Email) (string, error) {
	return recursive(ctx, email, ofPurpose(ctx, v, purposes.Billing), 3)
}

//register:uses erase security
//register:uses keys security
func erase(ctx context.Context, v *vault.Admin) error {
	if err := v.Generate(ctx, purposes.Security); err != nil {
		return err
	}
	_, err := v.Erase(ctx, "user", purposes.Security)
	return err
}
