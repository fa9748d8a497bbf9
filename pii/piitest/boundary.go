package piitest

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
)

// A boundary is one ordered pair of purposes. Its failures name purposes and never
// a value.
type boundary struct {
	t          testing.TB
	from, to   handles
	alice, bob string // subjects
	noun, way  string // the kind that is tried now, and how it was sealed
}

func (b *boundary) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("piitest: trying %v against an %s sealed %s for %v: %v: a step that has to work before a refusal shows anything did not",
			b.to.purpose(), b.noun, b.way, b.from.purpose(), err)
	}
}

// refused fails the test unless err is want.
func (b *boundary) refused(verb, how string, err, want error, otherwise string) {
	b.t.Helper()
	if errors.Is(err, want) {
		return
	}
	if how != "" {
		how = ", " + how
	}
	got := "was allowed"
	if err != nil {
		got = "failed with " + quoted(err)
	}
	b.t.Errorf("piitest: %s of an %s sealed %s for %v, under %v%s: %s, want %s: %s",
		verb, b.noun, b.way, b.from.purpose(), b.to.purpose(), how, got, quoted(want), otherwise)
}

// joined fails the test because of an index that two purposes share.
func (b *boundary) joined() {
	b.t.Helper()
	b.t.Errorf("piitest: an %s has the same index under %v and %v, so the two can be joined: do they share keys?",
		b.noun, b.from.purpose(), b.to.purpose())
}

const believed = "a forged header was believed: do the two purposes share keys?"

func quoted(err error) string { return `"` + err.Error() + `"` }

// idSize is the size of the value id at the beginning of a body, in bytes.
const idSize = 16

// A forgery is sealed text with a changed header.
type forgery struct{ how, text string }

// forge returns v with headers that name the other purpose: in place of its own
// purpose, beside it with a copy of its slot, and beside it with the slot of
// another value, which opens by itself. FORMAT.md of package vault has the layout.
func forge[V value[V]](b *boundary, v, other V) []forgery {
	b.t.Helper()
	fields, body := dissect(b, v)
	_, ours := dissect(b, other)
	with := func(purposes string, body []byte) string {
		return strings.Join([]string{fields[0], fields[1], purposes, base64.RawURLEncoding.EncodeToString(body)}, ".")
	}
	names := []string{b.from.purpose().String(), b.to.purpose().String()}
	slots := [][]byte{body[idSize:], ours[idSize:]}
	if slices.Sort(names); names[0] != b.from.purpose().String() {
		slices.Reverse(slots)
	}
	both := strings.Join(names, "~")
	return []forgery{
		{"with a header that was changed", with(b.to.purpose().String(), body)},
		{"with a header that was added, over a copy of the slot", with(both, slices.Concat(body, body[idSize:]))},
		{"with a slot of another value", with(both, slices.Concat(body[:idSize], slots[0], slots[1]))},
	}
}

// dissect returns the version, kind, purposes and body of v as text, and the decoded
// body.
func dissect[V value[V]](b *boundary, v V) ([]string, []byte) {
	b.t.Helper()
	text, err := v.MarshalText()
	b.must(err)
	fields := strings.Split(string(text), ".")
	if len(fields) == 4 {
		if body, err := base64.RawURLEncoding.DecodeString(fields[3]); err == nil && len(body) > idSize {
			return fields, body
		}
	}
	b.t.Fatal("piitest: a sealed value is of a format that this package does not know: use the piitest of the same version as vault")
	return nil, nil
}
