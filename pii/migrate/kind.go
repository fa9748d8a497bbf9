package migrate

import (
	"context"
	"database/sql/driver"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Kind is the kind of a column's values: [Email], [Phone] or a [KindOf].
type Kind interface {
	// name returns the name under which the values are sealed.
	name() string
	// valid reports whether text is of the kind, as people wrote it.
	valid(text string) bool
	// seal seals a text that people wrote.
	seal(ctx context.Context, text string, scopes []*vault.Scope) (value, error)
	// index computes the index of a text that people wrote.
	index(ctx context.Context, text string, scope *vault.Scope) (pii.Index, error)
	// indexes computes the index of a text under each key that is not retired.
	indexes(ctx context.Context, text string, scope *vault.Scope) ([]pii.Index, error)
	// scan parses the sealed form.
	scan(text string) (value, error)
}

// A value is a sealed value of any kind.
type value interface {
	driver.Valuer
	IsZero() bool
	Purposes() purpose.Set
	Provenance(purpose.Purpose) (purpose.Provenance, bool)
	Reveal(context.Context, vault.Revealer) (string, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	OnPrimaryKey(*vault.Scope) bool
	ByCollector(purpose.Purpose) bool

	reseal(context.Context, []*vault.Scope) (value, error)
	withoutExpired() value
}

// Email is the kind of columns that become [pii.Email].
func Email() Kind {
	return kind[pii.Email, *pii.Email]{"email", pii.ValidEmail, pii.SealEmail, pii.IndexEmail, pii.IndexesEmail}
}

// Phone is the kind of columns that become [pii.Phone].
func Phone() Kind {
	return kind[pii.Phone, *pii.Phone]{"phone", pii.ValidPhone, pii.SealPhone, pii.IndexPhone, pii.IndexesPhone}
}

// KindOf is the kind of columns that become a [pii.Sealed] of a kind of your
// own, or a type that embeds a pii.Sealed.
func KindOf[K pii.Kind]() Kind {
	var k K
	return kind[pii.Sealed[K], *pii.Sealed[K]]{k.Kind().String(), pii.Valid[K], pii.Seal[K], pii.IndexOf[K], pii.IndexesOf[K]}
}

// sealed is implemented by pii.Email, pii.Phone and every pii.Sealed.
type sealed[T any] interface {
	driver.Valuer
	IsZero() bool
	Purposes() purpose.Set
	Provenance(purpose.Purpose) (purpose.Provenance, bool)
	Reveal(context.Context, vault.Revealer) (string, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	OnPrimaryKey(*vault.Scope) bool
	ByCollector(purpose.Purpose) bool
	Reseal(context.Context, ...*vault.Scope) (T, error)
	WithoutExpired() T
}

// kind seals values of type T.
type kind[T sealed[T], P interface {
	*T
	Scan(any) error
}] struct {
	kindName    string
	validText   func(string) bool
	sealText    func(context.Context, string, ...vault.Sealer) (T, error)
	indexText   func(context.Context, string, vault.Indexer) (pii.Index, error)
	indexesText func(context.Context, string, vault.Indexer) ([]pii.Index, error)
}

func (k kind[T, P]) name() string { return k.kindName }

func (k kind[T, P]) valid(text string) bool { return k.validText(text) }

func (k kind[T, P]) seal(ctx context.Context, text string, scopes []*vault.Scope) (value, error) {
	var buf [maxSlots]vault.Sealer
	sealers := buf[:0]
	for _, s := range scopes {
		sealers = append(sealers, s)
	}
	v, err := k.sealText(ctx, text, sealers...)
	return valueOf[T]{v}, err
}

func (k kind[T, P]) index(ctx context.Context, text string, scope *vault.Scope) (pii.Index, error) {
	return k.indexText(ctx, text, scope)
}

func (k kind[T, P]) indexes(ctx context.Context, text string, scope *vault.Scope) ([]pii.Index, error) {
	return k.indexesText(ctx, text, scope)
}

func (k kind[T, P]) scan(text string) (value, error) {
	var v T
	err := P(&v).Scan(text)
	return valueOf[T]{v}, err
}

type valueOf[T sealed[T]] struct{ sealed[T] }

func (v valueOf[T]) reseal(ctx context.Context, scopes []*vault.Scope) (value, error) {
	resealed, err := v.Reseal(ctx, scopes...)
	return valueOf[T]{resealed}, err
}

func (v valueOf[T]) withoutExpired() value { return valueOf[T]{v.WithoutExpired()} }

// maxSlots is the largest number of purposes of one value.
const maxSlots = 16
