package piibeam

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Job says under which keys rows are worked on, and as what.
type Job struct {
	// Vault is the name under which the vault is registered.
	Vault string
	// Kind is what is in the rows.
	Kind Kind
	// Purposes are those that values are sealed for. Transforms that use one use the
	// first.
	Purposes []string
	// Basis is what values are sealed under; the zero Basis states nothing.
	Basis purpose.Basis
	// ForRow narrows scopes to the person whose id is the row's: see
	// [vault.Scope.For].
	ForRow bool
}

// clone keeps a pipeline from changing with the caller's slice: it is read when
// the pipeline runs.
func (j Job) clone() Job {
	j.Purposes = slices.Clone(j.Purposes)
	return j
}

// A Kind is a kind of values.
type Kind string

// The kinds.
const (
	Email Kind = "email"
	Phone Kind = "phone"
)

// sealed is what the transforms need of a sealed value of any kind.
type sealed[T any] interface {
	MarshalText() ([]byte, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	Reseal(context.Context, ...*vault.Scope) (T, error)
}

// functions are the work on one kind of values, with text in and out.
type functions struct {
	seal   func(ctx context.Context, text string, scopes []vault.Sealer) (string, error)
	reseal func(ctx context.Context, text string, scopes []*vault.Scope) (string, error)
	index  func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) // of a sealed value
	lookup func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) // of what was typed
}

func functionsOf[T sealed[T], P interface {
	*T
	UnmarshalText([]byte) error
}](seal func(context.Context, string, ...vault.Sealer) (T, error), lookup func(context.Context, string, vault.Indexer) (pii.Index, error)) functions {
	parse := func(text string) (v T, err error) {
		if text == "" { // absent, which is no row of a data set
			return v, vault.ErrCorrupt
		}
		return v, P(&v).UnmarshalText([]byte(text))
	}
	return functions{
		seal: func(ctx context.Context, text string, scopes []vault.Sealer) (string, error) {
			v, err := seal(ctx, text, scopes...)
			if err != nil {
				return "", err
			}
			b, err := v.MarshalText()
			return string(b), err
		},
		reseal: func(ctx context.Context, text string, scopes []*vault.Scope) (string, error) {
			v, err := parse(text)
			if err != nil {
				return "", err
			}
			if v, err = v.Reseal(ctx, scopes...); err != nil {
				return "", err
			}
			b, err := v.MarshalText()
			return string(b), err
		},
		index: func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) {
			v, err := parse(text)
			if err != nil {
				return nil, err
			}
			return indexBytes(v.Index(ctx, scope))
		},
		lookup: func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) {
			return indexBytes(lookup(ctx, text, scope))
		},
	}
}

func indexBytes(index pii.Index, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	v, err := index.Value()
	if err != nil {
		return nil, err
	}
	b, _ := v.([]byte)
	return b, nil
}

var kinds = map[Kind]functions{
	Email: functionsOf[pii.Email](pii.SealEmail, pii.IndexEmail),
	Phone: functionsOf[pii.Phone](pii.SealPhone, pii.IndexPhone),
}

// A worker is a job that has its keys.
type worker struct {
	functions
	scopes []*vault.Scope
	forRow bool
}

func (j Job) worker(ctx context.Context) (*worker, error) {
	f, ok := kinds[j.Kind]
	if !ok {
		return nil, fmt.Errorf("piibeam: job of no kind that there is: %w", vault.ErrInvalid)
	}
	scopes, err := j.scopes(ctx)
	if err != nil {
		return nil, err
	}
	return &worker{f, scopes, j.ForRow}, nil
}

// of returns the scopes for a row.
func (w *worker) of(id string) []*vault.Scope {
	if !w.forRow {
		return w.scopes
	}
	narrowed := make([]*vault.Scope, len(w.scopes))
	for i, s := range w.scopes {
		narrowed[i] = s.For(id)
	}
	return narrowed
}

// rowsFault reports whether trying again, here or on another worker, would end
// as it did.
func rowsFault(err error) bool {
	for _, sentinel := range []error{
		pii.ErrMalformed, purpose.ErrMismatch, vault.ErrCorrupt, vault.ErrExpired, vault.ErrErased, vault.ErrSubject,
	} {
		if errors.Is(err, sentinel) {
			return !errors.Is(err, vault.ErrUnavailable)
		}
	}
	return false
}
