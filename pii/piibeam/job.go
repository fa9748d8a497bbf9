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

// A Job has the vault, the purposes and the kind of values for a transform.
type Job struct {
	// Vault is the name under which the vault is registered.
	Vault string
	// Kind is the kind of the values.
	Kind Kind
	// Purposes are the purposes that values are sealed for. A transform that uses one
	// purpose uses the first.
	Purposes []string
	// Basis is the basis that values are sealed under. The zero Basis states nothing.
	Basis purpose.Basis
	// ForRow narrows scopes to the person with the row's id: see [vault.Scope.For]. A row
	// whose id is empty or longer than 255 bytes fails.
	ForRow bool
}

// clone copies the purposes. A pipeline reads them when it runs, and must not change
// with the caller's slice.
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

// sealed has the methods that transforms call on a sealed value of any kind.
type sealed[T any] interface {
	MarshalText() ([]byte, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	Reseal(context.Context, ...*vault.Scope) (T, error)
}

// functions work on one kind of values, with text in and out.
type functions struct {
	seal   func(ctx context.Context, text string, scopes []vault.Sealer) (string, error)
	reseal func(ctx context.Context, text string, scopes []*vault.Scope) (string, error)
	index  func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) // of a sealed value
	lookup func(ctx context.Context, text string, scope *vault.Scope) ([]byte, error) // of typed text
}

func functionsOf[T sealed[T], P interface {
	*T
	UnmarshalText([]byte) error
}](seal func(context.Context, string, ...vault.Sealer) (T, error), lookup func(context.Context, string, vault.Indexer) (pii.Index, error)) functions {
	parse := func(text string) (v T, err error) {
		if text == "" { // a data set has no rows for absent values
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

// A worker is a job with opened keys.
type worker struct {
	functions
	scopes []*vault.Scope
	forRow bool
}

func (j Job) worker(ctx context.Context) (*worker, error) {
	f, ok := kinds[j.Kind]
	if !ok {
		return nil, fmt.Errorf("piibeam: job of an unknown kind: %w", vault.ErrInvalid)
	}
	scopes, err := j.scopes(ctx)
	if err != nil {
		return nil, err
	}
	return &worker{f, scopes, j.ForRow}, nil
}

// errRowID reports a row that names no person, in a job that seals for persons.
var errRowID = fmt.Errorf("piibeam: the id of the row is empty or too long: %w", vault.ErrInvalid)

// maxSubject is the length of the longest id that [vault.Scope.For] accepts.
const maxSubject = 255

// takes reports whether a row with that id can be narrowed to a person, if it has to be.
func (w *worker) takes(id string) bool { return !w.forRow || id != "" && len(id) <= maxSubject }

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

// rowsFault reports whether the value is at fault. Another attempt, here or on another
// worker, would fail in the same way.
func rowsFault(err error) bool {
	if err == errRowID {
		return true
	}
	for _, sentinel := range []error{
		pii.ErrMalformed, purpose.ErrMismatch, vault.ErrCorrupt, vault.ErrExpired, vault.ErrErased, vault.ErrSubject, vault.ErrSuspended,
	} {
		if errors.Is(err, sentinel) {
			return !errors.Is(err, vault.ErrUnavailable)
		}
	}
	return false
}
