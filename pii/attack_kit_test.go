package pii_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	mrand "math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// attackScopes are those of one vault, of three purposes, narrowed to nobody and to
// each of two people.
type attackScopes map[purpose.Purpose][3]*vault.Scope

// An attacked is one value of a kind, and what may come out of it.
type attacked[T sealedValue] struct {
	value     T
	plaintext string
}

// attackOnKind runs every attack on values of one kind.
type attackOnKind[T sealedValue, P sealedPointer[T]] struct {
	name   string
	scopes attackScopes
	values []attacked[T]
	others []string // texts of values of other kinds
	// without is T's method of that name, by its text.
	without func(v T, p purpose.Purpose) string
	turn    int
	random  *mrand.Rand
}

// newAttackScopes returns the scopes, and collectors of the same purposes.
func newAttackScopes(t *testing.T) (attackScopes, map[purpose.Purpose]*vault.Collector) {
	t.Helper()
	kit := piitest.New(t, forSecurity, forAdvertising, forBilling)
	v, err := vault.OpenAdmin(ctx, kit.Store, kit.KEK, nil) // a kit's own vault keeps every event
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	scopes, collectors := attackScopes{}, map[purpose.Purpose]*vault.Collector{}
	for _, p := range []purpose.Purpose{forSecurity, forAdvertising, forBilling} {
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		scopes[p] = [3]*vault.Scope{s, s.For("alice"), s.For("bob")}
		_, err = pii.SealEmail(ctx, testAddress, s.For("bob")) // bob has keys too
		require.NoError(t, err)
		collectors[p], err = v.Collector(ctx, p)
		require.NoError(t, err)
	}
	return scopes, collectors
}

// attackLayouts returns lists of sealers: one to three purposes, for nobody or for
// alice or collected, with every field of provenance there and not there.
func attackLayouts(scopes attackScopes, collectors map[purpose.Purpose]*vault.Collector) (all [][]vault.Sealer) {
	order := []purpose.Purpose{forSecurity, forAdvertising, forBilling}
	for bits := range 1 << 4 {
		basis := purpose.Basis{}
		if bits&1 != 0 {
			basis.Legal = purpose.Contract
		}
		if bits&2 != 0 {
			basis.Notice = "signup-v7"
		}
		if bits&4 != 0 {
			basis.Consent = "consent-2026-81f3"
		}
		if bits&8 != 0 {
			basis.Retain = time.Hour * 24 * 365
		}
		for n := 1; n <= 3; n++ {
			var sealers []vault.Sealer
			for i, p := range order[:n] {
				switch (bits + i*(1+bits/3)) % 3 {
				case 0:
					sealers = append(sealers, scopes[p][0].Under(basis))
				case 1:
					sealers = append(sealers, scopes[p][1].Under(basis))
				case 2:
					sealers = append(sealers, collectors[p].Under(basis))
				}
			}
			all = append(all, sealers)
			order = append(order[1:], order[0])
		}
	}
	return all
}

// attackEach runs f for each of the three kinds.
func attackEach(t *testing.T,
	email func(*testing.T, *attackOnKind[pii.Email, *pii.Email]),
	phone func(*testing.T, *attackOnKind[pii.Phone, *pii.Phone]),
	taxID func(*testing.T, *attackOnKind[TaxID, *TaxID]),
) {
	scopes, collectors := newAttackScopes(t)
	e := &attackOnKind[pii.Email, *pii.Email]{name: "email", scopes: scopes,
		without: func(v pii.Email, p purpose.Purpose) string { return textOf(t, v.Without(p)) }}
	p := &attackOnKind[pii.Phone, *pii.Phone]{name: "phone", scopes: scopes,
		without: func(v pii.Phone, p purpose.Purpose) string { return textOf(t, v.Without(p)) }}
	x := &attackOnKind[TaxID, *TaxID]{name: "tax-id", scopes: scopes,
		without: func(v TaxID, p purpose.Purpose) string { return textOf(t, v.Without(p)) }}
	for i, sealers := range attackLayouts(scopes, collectors) {
		f := seal(t, sealers...)
		e.values = append(e.values, attacked[pii.Email]{f.email, testAddress})
		p.values = append(p.values, attacked[pii.Phone]{f.phone, testNumber})
		x.values = append(x.values, attacked[TaxID]{f.taxID, testTaxID})
		if i%8 == 0 {
			e.others = append(e.others, textOf(t, f.phone))
			p.others = append(p.others, textOf(t, f.taxID))
			x.others = append(x.others, textOf(t, f.email))
		}
	}
	t.Run("Email", func(t *testing.T) { e.random = draw(t); email(t, e) })
	t.Run("Phone", func(t *testing.T) { p.random = draw(t); phone(t, p) })
	t.Run("TaxID", func(t *testing.T) { x.random = draw(t); taxID(t, x) })
}

// only is the text of what v has for p, "" if it has nothing.
func (a *attackOnKind[T, P]) only(t *testing.T, v T, p purpose.Purpose) string {
	t.Helper()
	for other := range v.Purposes().All() {
		if other != p {
			v = a.parse(t, a.without(v, other))
		}
	}
	if !v.Purposes().Contains(p) {
		return ""
	}
	return textOf(t, v)
}

func (a *attackOnKind[T, P]) parse(t *testing.T, text string) (v T) {
	t.Helper()
	require.NoError(t, P(&v).UnmarshalText([]byte(text)))
	return v
}

// raw is encoded by gob as a value of any kind is.
type raw []byte

func (r raw) MarshalBinary() ([]byte, error) { return r, nil }

// textDecoders and binaryDecoders are all the ways from bytes to a value.
func (a *attackOnKind[T, P]) textDecoders(text string) map[string]func(P) error {
	return map[string]func(P) error{
		"UnmarshalText":      func(v P) error { return v.UnmarshalText([]byte(text)) },
		"Scan string":        func(v P) error { return v.Scan(text) },
		"Scan bytes":         func(v P) error { return v.Scan([]byte(text)) },
		"UnmarshalBSONValue": func(v P) error { return v.UnmarshalBSONValue(0x02, bsonString(text)) },
		"JSON": func(v P) error {
			quoted, err := json.Marshal(text)
			if err != nil {
				return err
			}
			return json.Unmarshal(quoted, v)
		},
	}
}

func (a *attackOnKind[T, P]) binaryDecoders(data []byte) map[string]func(P) error {
	return map[string]func(P) error{
		"UnmarshalBinary": func(v P) error { return v.UnmarshalBinary(data) },
		"gob": func(v P) error {
			var b bytes.Buffer
			if err := gob.NewEncoder(&b).Encode(raw(data)); err != nil {
				return err
			}
			return gob.NewDecoder(&b).Decode(v)
		},
	}
}

// try decodes forged in every way, which all have to come to the same, and opens
// what they make of it. It may differ from every one of the values that it was made
// of.
func (a *attackOnKind[T, P]) try(t *testing.T, decoders map[string]func(P) error, empty bool, from ...attacked[T]) {
	t.Helper()
	var zero, got T
	accepted := 0
	for name, decode := range decoders {
		into := from[0].value
		err := decode(P(&into))
		if err != nil {
			if !errors.Is(err, vault.ErrCorrupt) || into != from[0].value {
				t.Fatalf("%s: %v", name, err)
			}
			continue
		}
		if accepted++; accepted > 1 && into != got {
			t.Fatalf("%s reads something else", name)
		}
		got = into
	}
	if accepted > 0 && accepted < len(decoders) {
		t.Fatal("some decoders take it and some do not")
	}
	if accepted == 0 || got == zero {
		require.Equal(t, empty, got == zero && accepted > 0, "no value stands for nothing alone")
		return
	}
	for p, scopes := range a.scopes {
		slot := a.only(t, got, p)
		for _, scope := range scopes {
			a.turn++
			plaintext, err := got.Reveal(ctx, scope)
			if err == nil {
				own := slices.IndexFunc(from, func(f attacked[T]) bool { return slot == a.only(t, f.value, p) })
				if own < 0 || plaintext != from[own].plaintext {
					t.Fatalf("opened for %s: %s", p, textOf(t, got))
				}
				continue
			}
			want := vault.ErrCorrupt
			switch {
			case !got.Purposes().Contains(p):
				want = purpose.ErrMismatch
			case errors.Is(err, vault.ErrSubject):
				want = vault.ErrSubject // said by the slot's type, and no less a refusal
			}
			if plaintext != "" || !isOnly(err, want) {
				t.Fatalf("for %s: %v", p, err)
			}
			if a.turn%64 == 0 { // the other ways in are the same
				requireOpens(t, ctx, got, scope, want)
			}
		}
	}
}

// isOnly reports whether err is that sentinel and no other.
func isOnly(err, want error) bool {
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) != (sentinel == want) {
			return false
		}
	}
	return true
}

func (a *attackOnKind[T, P]) text(t *testing.T, text string, from ...attacked[T]) {
	t.Helper()
	a.try(t, a.textDecoders(text), text == "", from...)
}

func (a *attackOnKind[T, P]) binary(t *testing.T, data []byte, from ...attacked[T]) {
	t.Helper()
	a.try(t, a.binaryDecoders(data), len(data) == 0, from...)
}

// samples is which of n attacks of one sort to run on each value: all of
// them with ONLYFOR_EXHAUSTIVE=1, which takes far longer.
func (a *attackOnKind[T, P]) samples(n, k int) (all []int) {
	if testing.Short() {
		k = max(1, k/4)
	}
	if os.Getenv("ONLYFOR_EXHAUSTIVE") == "1" {
		k = n
	}
	for i := range min(n, k) {
		low, high := i*n/min(n, k), (i+1)*n/min(n, k)
		all = append(all, low+a.random.IntN(high-low))
	}
	return all
}
