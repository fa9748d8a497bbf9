package piitest

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Separate fails the test unless the purposes are separate in v. It takes every
// ordered pair of purposes, and values sealed for the first, for one person under
// it, and by its collector. It tries to use each value under the second purpose:
//
//   - It tries to reveal, hint at, index and re-seal the value, and to extend it
//     without the scope of the first purpose. Each must be purpose.ErrMismatch.
//   - It tries these with headers forged to name the second purpose: in place of the
//     first, beside it over a copy of its slot, and beside it over a slot of another
//     value. Each must be vault.ErrCorrupt.
//   - It tries to extend the value with both scopes and no consent, which must be
//     purpose.ErrNoConsent.
//   - It tries to match the value: no index under a key of the one purpose may equal
//     an index under a key of the other.
//   - It tries to use a value of one person as another person's, or as nobody's.
//
// Separate also checks that each value opens under its own purpose. Otherwise a vault
// that refuses everything would pass.
//
// This takes some 5 milliseconds a pair. Of more than 15 purposes Separate tries all of it on a
// sample of the pairs, in which each purpose is four times or more the first and the second
// of a pair. On the other pairs it tries one value of each kind: with a header that names
// the second purpose in place of the first, and by its indexes. Keys that two
// purposes share are found by these. Each purpose meets up to 256 others in this way.
// The test log has the seed of the sample. The seed follows from the names of the
// purposes, so a test tries the same pairs each time; set PIITEST_SEED to a
// number to try others.
//
// Without purposes, Separate takes all purposes that the key store of v has keys for.
// There must be at least two, and v must be able to open their keys. Separate adds
// the keys of two made-up subjects to each.
func Separate(t testing.TB, v *vault.Vault, purposes ...purpose.Purpose) {
	mustTest()
	t.Helper()
	if len(purposes) == 0 {
		found, err := v.Purposes(t.Context())
		if err != nil {
			t.Fatalf("piitest: %v: name the purposes instead", err)
		}
		purposes = slices.Collect(found.All())
	}
	distinct := purpose.NewSet(purposes...)
	if distinct.Len() < 2 {
		t.Fatalf("piitest: Separate needs two different purposes or more, and has %s: "+
			"a boundary is between two, so give each use of personal data a purpose of its own", named(distinct))
	}
	var all []handles
	// Not over the iterator: its loop body is a function, which t.Helper does not skip.
	for _, p := range slices.Collect(distinct.All()) {
		handles, err := newHandles(t, v, p)
		if err != nil {
			t.Fatalf("piitest: %v: a test of separation has to hold every purpose that it compares: "+
				"call Generate for it, or let this test use its KEK", err)
		}
		all = append(all, handles)
	}
	// Nobody has these names, even if other programs use the key store of v.
	alice, bob := "piitest-alice-"+rand.Text(), "piitest-bob-"+rand.Text()
	pairs := samplePairs(distinct, os.Getenv(seedVariable))
	if !pairs.whole() {
		t.Logf("piitest: Separate tries everything on %d of %d ordered pairs of purposes, and the forged header and the indexes on %d: %s=%d",
			pairs.count(pairs.most), len(all)*(len(all)-1), pairs.count(maxBrief), seedVariable, pairs.seed)
	}
	// Nobody has the domain of the address or the range of the number.
	separateAll(t, all, pairs, addresses, alice, bob)
	separateAll(t, all, pairs, numbers, alice, bob)
}

// separateAll tries one kind of values at all boundaries of the sample.
func separateAll[V value[V]](t testing.TB, all []handles, pairs sample, k kind[V], alice, bob string) {
	t.Helper()
	values := make([]sealedOnce[V], len(all))
	for i, from := range all {
		for j, to := range all {
			b := &boundary{t: t, from: from, to: to, alice: alice, bob: bob}
			switch {
			case i == j || pairs.has(i, j, pairs.most):
				separate(b, k)
			case pairs.has(i, j, maxBrief):
				brief(b, k, &values[i], &values[j])
			}
		}
	}
}

// A value is the interface that Email and Phone have in common.
type value[V any] interface {
	MarshalText() ([]byte, error)
	Reveal(context.Context, vault.Revealer) (string, error)
	Hint(context.Context, vault.Revealer) (string, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
	Extend(ctx context.Context, from, to *vault.Scope) (V, error)
	Reseal(ctx context.Context, scopes ...*vault.Scope) (V, error)
}

// A kind makes values of one type.
type kind[V value[V]] struct {
	noun    string
	text    [2]string // of two people
	seal    func(context.Context, string, ...vault.Sealer) (V, error)
	parse   func(text []byte) (V, error)
	indexes func(context.Context, string, vault.Indexer) ([]pii.Index, error)
}

var addresses = kind[pii.Email]{
	noun:    "e-mail address",
	text:    [2]string{"separate@example.com", "other@example.com"},
	seal:    pii.SealEmail,
	parse:   func(text []byte) (v pii.Email, err error) { err = v.UnmarshalText(text); return },
	indexes: pii.IndexesEmail,
}

var numbers = kind[pii.Phone]{
	noun:    "phone number",
	text:    [2]string{"+12025550123", "+12025550124"},
	seal:    pii.SealPhone,
	parse:   func(text []byte) (v pii.Phone, err error) { err = v.UnmarshalText(text); return },
	indexes: pii.IndexesPhone,
}

// separate tries one kind of values at one boundary. The boundary from a purpose to
// itself is the one between two people under it.
func separate[V value[V]](b *boundary, k kind[V]) {
	b.t.Helper()
	b.noun = k.noun
	if b.from == b.to {
		b.way = "for one person"
		people(b, k)
		return
	}
	b.way = "for the purpose"
	attack(b, k, b.from, b.to, b.from.scope)
	b.way = "for one person"
	attack(b, k, b.from.person(b.alice), b.to.person(b.alice), b.from.scope.For(b.alice))
	if b.from.collector != nil {
		b.way = "by the collector"
		attack(b, k, b.from, b.to, b.from.collector)
	}
	match(b, k)
}

var consent = purpose.Basis{Legal: purpose.Consent, Consent: "piitest-made-up"}

// attack tries to use under to a value that was sealed with sealer and opens under
// from.
func attack[V value[V]](b *boundary, k kind[V], from, to handles, sealer vault.Sealer) {
	b.t.Helper()
	ctx := b.t.Context()
	v, err := k.seal(ctx, k.text[0], sealer)
	b.must(err)
	other, err := k.seal(ctx, k.text[1], to.scope) // which makes the key of the person under to
	b.must(err)
	for _, own := range []vault.Revealer{from.scope, from.reader} {
		revealed, err := v.Reveal(ctx, own)
		b.must(err)
		if revealed != k.text[0] {
			b.t.Errorf("piitest: an %s sealed %s for %v opens under %v as something else: do not use this vault",
				b.noun, b.way, from.purpose(), from.purpose())
		}
	}

	const honest = "another purpose's value was not told from its header"
	uses(b, v, from, to, "", purpose.ErrMismatch, honest)
	_, err = v.Reseal(ctx, from.scope, to.scope)
	b.refused("re-seal beside its own purpose", "", err, purpose.ErrMismatch, honest)
	_, err = v.Extend(ctx, to.scope, to.scope.Under(consent))
	b.refused("extend with its own scope for both", "", err, purpose.ErrMismatch, honest)
	if _, collected := sealer.(*vault.Collector); collected {
		_, err = v.Extend(ctx, from.scope, to.scope.Under(consent))
		b.refused("extend", "before it was re-sealed", err, vault.ErrInvalid, "a value that anybody can have made was vouched for")
	}
	_, err = v.Extend(ctx, from.scope, to.scope)
	b.refused("extend", "without consent", err, purpose.ErrNoConsent, "a value got to a further purpose with no record of consent")

	for _, forgery := range forge(b, v, other) {
		forged, err := k.parse([]byte(forgery.text))
		b.must(err)
		uses(b, forged, from, to, forgery.how, vault.ErrCorrupt, believed)
	}
}

// uses tries every use that takes handles of to alone, and an extension that names to
// as the purpose of the value.
func uses[V value[V]](b *boundary, v V, from, to handles, how string, want error, otherwise string) {
	b.t.Helper()
	ctx := b.t.Context()
	_, err := v.Reveal(ctx, to.scope)
	b.refused("reveal", how, err, want, otherwise)
	_, err = v.Hint(ctx, to.scope)
	b.refused("hint", how, err, want, otherwise)
	_, err = v.Reveal(ctx, to.reader)
	b.refused("reveal by the reader", how, err, want, otherwise)
	_, err = v.Hint(ctx, to.reader)
	b.refused("hint by the reader", how, err, want, otherwise)
	_, err = v.Index(ctx, to.scope)
	b.refused("index", how, err, want, otherwise)
	_, err = v.Reseal(ctx, to.scope)
	b.refused("re-seal", how, err, want, otherwise)
	_, err = v.Extend(ctx, to.scope, from.scope.Under(consent))
	if want == vault.ErrCorrupt && byCollector(v, to.purpose()) {
		want = vault.ErrInvalid // no collector's slot is extended, whether it opens or not
	}
	b.refused("extend", how, err, want, otherwise)
}

// byCollector reports whether v says that a collector sealed its slot for p.
func byCollector[V value[V]](v V, p purpose.Purpose) bool {
	sealed, ok := any(v).(interface{ ByCollector(purpose.Purpose) bool })
	return ok && sealed.ByCollector(p)
}

// people tries to use a value of alice as bob's and as nobody's, under one purpose.
func people[V value[V]](b *boundary, k kind[V]) {
	b.t.Helper()
	ctx := b.t.Context()
	all, alice, bob := b.from.scope, b.from.scope.For(b.alice), b.from.scope.For(b.bob)
	v, err := k.seal(ctx, k.text[0], alice)
	b.must(err)
	plain, err := k.seal(ctx, k.text[0], all)
	b.must(err)
	_, err = k.seal(ctx, k.text[1], bob) // which makes bob's key
	b.must(err)
	_, err = v.Reveal(ctx, alice)
	b.must(err)

	const otherwise = "one person's value opened as another's: rows could be swapped"
	for _, use := range []struct {
		how     string
		v       V
		scope   *vault.Scope
		want    error
		takenIn bool // re-sealing takes it in for a person
	}{
		{"as another person's", v, bob, vault.ErrCorrupt, false},
		{"as nobody's", v, all, vault.ErrSubject, false},
		{"as somebody's who has none", plain, alice, vault.ErrSubject, true},
	} {
		_, err = use.v.Reveal(ctx, use.scope)
		b.refused("reveal", use.how, err, use.want, otherwise)
		_, err = use.v.Hint(ctx, use.scope)
		b.refused("hint", use.how, err, use.want, otherwise)
		_, err = use.v.Index(ctx, use.scope)
		b.refused("index", use.how, err, use.want, otherwise)
		if !use.takenIn {
			_, err = use.v.Reseal(ctx, use.scope)
			b.refused("re-seal", use.how, err, use.want, otherwise)
		}
	}
}

// match compares all indexes of one text under the two purposes.
func match[V value[V]](b *boundary, k kind[V]) {
	b.t.Helper()
	ctx := b.t.Context()
	v, err := k.seal(ctx, k.text[0], b.from.scope)
	b.must(err)
	stored, err := v.Index(ctx, b.from.scope)
	b.must(err)
	theirs, err := k.indexes(ctx, k.text[0], b.from.scope)
	b.must(err)
	ours, err := k.indexes(ctx, k.text[0], b.to.scope)
	b.must(err)
	looked, err := k.indexes(ctx, k.text[0], b.to.lookup)
	b.must(err)
	if !stored.Equal(theirs[0]) {
		b.t.Errorf("piitest: an %s sealed for %v is not found by its index under %v: "+
			"that two purposes' indexes differ would show nothing", b.noun, b.from.purpose(), b.from.purpose())
	}
	for _, a := range append(theirs, stored) {
		for _, o := range append(ours, looked...) {
			if a.Equal(o) {
				b.joined()
				return
			}
		}
	}
}
