package vaulttest

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// A Victim is a set of sealed values, with all plaintexts that may ever be revealed. A
// slot opens under the name, kind and value id that it was sealed with, for the subject
// that it was sealed for, and in no other place.
//
// Package vault seals the values, and the independent implementation takes them apart.
// The independent implementation also decides the required refusal of each forged value.
type Victim struct {
	Store  vault.Store
	Vault  *vault.Admin
	Scopes map[string]*vault.Scope
	asks   []ask
	Slots  map[string]string // plaintexts by SlotPlace
	Values []reference.Value
	Shapes []string // the history of each value
	// Kinds has the kinds of the values by name.
	Kinds map[string]vault.Kind
	turn  int
	Rand  *rand.Rand // for one test
}

// An ask is one attempt to open a value: for a purpose, and for a subject or none.
type ask struct {
	purpose, subject string
	erased           bool
	scope            *vault.Scope
}

// Seal makes a value and adds it.
func (a *Victim) Seal(t testing.TB, shape string, kind vault.Kind, plaintext, subject string, sealers ...vault.Sealer) vault.Sealed {
	t.Helper()
	sealed, err := vault.Seal(context.Background(), kind, plaintext, sealers...)
	require.NoError(t, err)
	a.add(t, shape, kind, plaintext, subject, sealed)
	return sealed
}

// add adds a value. Its slots of type 2 belong to the subject.
func (a *Victim) add(t testing.TB, shape string, kind vault.Kind, plaintext, subject string, sealed vault.Sealed) {
	t.Helper()
	text, err := sealed.MarshalText()
	require.NoError(t, err)
	value, ok := reference.Parse(string(text))
	require.True(t, ok)
	require.Equal(t, kind.String(), value.Kind)
	for _, s := range value.Slots {
		bound := ""
		if s.Header[0] == 2 {
			bound = subject
		}
		a.Slots[SlotPlace(value, s, bound)] = plaintext
	}
	a.Values, a.Shapes = append(a.Values, value), append(a.Shapes, shape)
}

// SlotPlace returns the key in Victim.Slots of a slot of v, bound to a subject or to
// none.
func SlotPlace(v reference.Value, s reference.Slot, subject string) string {
	return strings.Join([]string{v.Kind, s.Purpose, subject, string(v.ID), string(s.Header), string(s.Sealed)}, "\xff\x00")
}

// Reveal checks that sealed opens where it may, and that every other attempt is refused
// with the right sentinel and no other. It returns the number of slots that opened.
func (a *Victim) Reveal(t testing.TB, sealed vault.Sealed) int {
	text, err := sealed.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	value, ok := reference.Parse(string(text))
	if !ok {
		t.Fatalf("parsed, though it is malformed: %q", text)
	}
	opened := 0
	for _, asked := range a.asks {
		want, class, named, collected := "", "mismatch", false, false
		for _, s := range value.Slots {
			if s.Purpose != asked.purpose {
				continue
			}
			class, named, collected = "corrupt", true, s.Header[0] == 3
			if (s.Header[0] == 2) != (asked.subject != "") {
				class = "subject"
			} else if asked.erased {
				class = "erased"
			}
			if want, ok = a.Slots[SlotPlace(value, s, asked.subject)]; ok {
				class = "success"
				opened++
			}
		}
		if !named && (asked.subject != "" || !slices.Contains(Names, asked.purpose)) {
			continue // the name alone decides
		}
		if a.turn++; collected && class == "success" && a.turn%16 > 0 {
			continue // the slot is untouched and a key exchange is slow: a sample is enough
		}
		if kind, ok := a.Kinds[value.Kind]; ok {
			a.check(t, text, sealed, kind, asked, want, class)
		}
	}
	// As another kind the value opens in no attempt.
	asked, kind := a.asks[a.turn%len(a.asks)], Kinds[a.turn%len(Kinds)]
	if kind.String() != value.Kind {
		a.check(t, text, sealed, kind, asked, "", "corrupt")
	}
	return opened
}

func (a *Victim) check(t testing.TB, text []byte, sealed vault.Sealed, kind vault.Kind, asked ask, want, class string) {
	got, err := asked.scope.Reveal(context.Background(), kind, sealed)
	if got != want || !IsClass(err, class) {
		t.Fatalf("%s as %s for %s %s: want %s, got %v", text, kind, asked.purpose, asked.subject, class, err)
	}
}

// IsClass reports whether err is the sentinel of the given class of [Class], and no
// other sentinel.
func IsClass(err error, class string) bool {
	if class == "success" || err == nil {
		return (class == "success") == (err == nil)
	}
	for _, c := range classes {
		if errors.Is(err, c.sentinel) != (c.class == class) {
			return false
		}
	}
	return true
}

var classes = []struct {
	class    string
	sentinel error
}{
	{"corrupt", vault.ErrCorrupt}, {"mismatch", purpose.ErrMismatch}, {"expired", vault.ErrExpired},
	{"subject", vault.ErrSubject}, {"erased", vault.ErrErased}, {"conflict", vault.ErrConflict},
	{"no keys", vault.ErrNoKeys}, {"unavailable", vault.ErrUnavailable}, {"invalid", vault.ErrInvalid},
}

// Text is Reveal of a text that may not parse.
func (a *Victim) Text(t testing.TB, text string) int {
	sealed, err := vault.ParseSealed(text)
	return a.parsed(t, sealed, err, text == "")
}

// Binary is Reveal of a binary form that may not parse.
func (a *Victim) Binary(t testing.TB, data []byte) int {
	var sealed vault.Sealed
	err := sealed.UnmarshalBinary(data)
	return a.parsed(t, sealed, err, len(data) == 0)
}

func (a *Victim) parsed(t testing.TB, sealed vault.Sealed, err error, empty bool) int {
	if err != nil || empty {
		if !sealed.IsZero() || !empty && err != vault.ErrCorrupt {
			t.Fatal(err)
		}
		return 0
	}
	return a.Reveal(t, sealed)
}

// Exhaustive reports whether tests try everything on every value, which takes hours of
// one core. Otherwise they try everything on a few values, and a sample on each:
//
//	ONLYFOR_EXHAUSTIVE=1 go test ./vault/... ./pii -run 'Every|Recombined|Moved|Relabelled|Retyped|Uniform|Altered|Respelled' -timeout 4h
func Exhaustive() bool { return os.Getenv("ONLYFOR_EXHAUSTIVE") == "1" }

// Samples returns the number of samples to take of v: k, or fewer if each costs a key
// exchange.
func Samples(v reference.Value, k int) int {
	for _, s := range v.Slots {
		if s.Header[0] == 3 {
			return k / 4
		}
	}
	return k
}

// Sample yields numbers below n. It yields all of them if all is set or n is at most k,
// and otherwise a random number from each of k equal parts. Short runs and runs under
// the race detector reduce k, and the latter ignore all unless [Exhaustive] is true.
func (a *Victim) Sample(n, k int, all bool) iter.Seq[int] {
	if testing.Short() || UnderRace {
		k = max(1, k/4)
	}
	if UnderRace {
		all = Exhaustive()
	}
	if all || n <= k {
		k = n
	}
	return func(yield func(int) bool) {
		for i := range k {
			low, high := i*n/k, (i+1)*n/k
			if !yield(low + a.Rand.IntN(high-low)) {
				return
			}
		}
	}
}

// AtMost fails the test if more slots opened than were left untouched.
func AtMost(t testing.TB, most, opened int) {
	if opened > most {
		t.Helper()
		t.Fatalf("%d slots opened, and at most %d are as they were", opened, most)
	}
}
