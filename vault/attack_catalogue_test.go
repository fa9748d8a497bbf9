package vault_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// few is how many values newVictim makes by hand. Tests that try everything in
// every run try it on these.
const few = 9

var (
	vecPhone = vault.MustKind("phone", "vault_test.Phone")
	// Kinds of a user's own, the second with the longest name there is.
	vecTaxID    = vault.MustKind("tax-id", "people.TaxID")
	longestKind = vault.MustKind("k"+strings.Repeat("-9z", 10), "people.Longest")

	attackKinds    = []vault.Kind{vecEmail, vecPhone, vecTaxID, longestKind}
	attackNames    = []string{"advertising", "billing", "security", "support"}
	attackSubjects = []string{"alice", "bob", "gone"} // bob has keys and, but for one, no values; gone is erased
	attackFull     = purpose.Basis{
		Legal: purpose.Consent, Notice: "ads-optin-v2", Consent: "consent-2026-81f3", Retain: purpose.MaxRetain,
	}
)

// attackRecords are the keys of vecRecords, and of as many purposes more as one
// value can have.
func attackRecords() map[string]reference.Record {
	all := maps.Clone(vecRecords)
	for i := range vault.MaxSlots - len(all) {
		name := fmt.Sprintf("p-%02d", i)
		if i == 0 {
			name = "support"
		}
		key := func(role string, n int) []reference.Key {
			return []reference.Key{vecKey(name+" "+role, 0xa0000000+uint32(16*i+n))}
		}
		all[name] = reference.Record{Keys: reference.Keys{Seal: key("seal", 0), Index: key("index", 1), Subject: key("subject", 2)}, Collect: key("collect", 3)}
	}
	return all
}

// newVictim returns a handful of values.
func newVictim(t testing.TB) *victim {
	t.Helper()
	records := attackRecords()
	store := refStoreOf(t, records, nil)
	a := &victim{
		store: store, vault: vecOpen(t, store, vault.SharedKEK(refKEK{key: vecKEK})),
		scopes: map[string]*vault.Scope{}, slots: map[string]string{}, kinds: map[string]vault.Kind{},
	}
	for _, kind := range attackKinds {
		a.kinds[kind.String()] = kind
	}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		a.scopes[name] = refScope(t, a.vault, name)
		a.asks = append(a.asks, ask{name, "", false, a.scopes[name]})
	}
	security, advertising, billing := a.scopes["security"], a.scopes["advertising"], a.scopes["billing"]
	seal := func(kind vault.Kind, plaintext, subject string, scopes ...*vault.Scope) {
		t.Helper()
		var sealers []vault.Sealer
		for _, s := range scopes {
			if subject != "" {
				s = s.For(subject)
			}
			sealers = append(sealers, s)
		}
		a.seal(t, "by hand", kind, plaintext, subject, sealers...)
	}
	seal(vecEmail, "alice@example.com", "", security)
	seal(vecEmail, "bob@example.com", "", security)
	seal(vecEmail, "carol@example.com", "", advertising, security)
	seal(vecEmail, "dave@example.com", "", advertising.Under(attackFull), security.Under(purpose.Basis{Notice: "n"}))
	seal(vecPhone, "+12025550123", "", security)
	seal(vecPhone, "+12025550124", "", advertising.Under(attackFull), billing, security.Under(attackFull))
	seal(vecEmail, strings.Repeat("x", 100), "", security.Under(purpose.Basis{Legal: purpose.Contract}))
	seal(vecEmail, "alice@example.com", "alice", security)
	seal(vecEmail, "bob@example.com", "bob", security.Under(attackFull))
	require.Len(t, a.values, few)

	// Every subject has a key for every purpose, or those of one would be refused
	// for want of a key and not for having another.
	ctx := context.Background()
	for _, name := range attackNames {
		for _, subject := range attackSubjects {
			s := a.scopes[name].For(subject)
			_, err := vault.Seal(ctx, vecEmail, vecAddress, s)
			require.NoError(t, err)
			a.asks = append(a.asks, ask{name, subject, subject == "gone", s})
		}
		_, err := a.vault.Erase(ctx, "gone", purpose.MustParse(name))
		require.NoError(t, err)
	}
	return a
}

// newCatalogue returns those and hundreds more: of every kind, with every field
// of provenance there and not there, with slots of every type beside each other,
// and with every history that a value can have. They are made once, for no test
// changes them.
func newCatalogue(t testing.TB) *victim {
	t.Helper()
	catalogue.once.Do(func() { catalogue.made = makeCatalogue(t) })
	require.NotNil(t, catalogue.made, "could not be made")
	return catalogue.made
}

var catalogue struct {
	once sync.Once
	made *victim
}

func makeCatalogue(t testing.TB) *victim {
	t.Helper()
	ctx := context.Background()
	a := newVictim(t)
	lengths := []int{1, 17, 31, 32, 63, 100, vault.MaxPlaintext}
	texts := 0
	plaintext := func() string {
		texts++
		return strings.Repeat(fmt.Sprintf("%04d", texts), 256)[:lengths[texts%len(lengths)]]
	}
	basis := func(bits int) (b purpose.Basis) {
		if bits&1 != 0 {
			b.Legal = purpose.Legal(1 + texts%6)
		}
		if bits&2 != 0 {
			b.Notice = "signup-v7"
		}
		if bits&4 != 0 {
			b.Consent = "consent-2026-81f3"
		}
		if bits&8 != 0 {
			b.Retain = 365 * 24 * time.Hour
		}
		return b
	}
	collectors := map[string]*vault.Collector{}
	newCollectors := func() {
		for _, name := range attackNames {
			c, err := a.vault.Collector(ctx, purpose.MustParse(name))
			require.NoError(t, err)
			collectors[name] = c
			collectors[name+" batch"], err = c.Batch()
			require.NoError(t, err)
		}
	}
	newCollectors()
	slotTypes := []string{"purpose", "subject", "collector", "batch"}
	sealer := func(typ, name string, b purpose.Basis) vault.Sealer {
		switch typ {
		case "subject":
			return a.scopes[name].For("alice").Under(b)
		case "collector":
			return collectors[name].Under(b)
		case "batch":
			return collectors[name+" batch"].Under(b)
		}
		return a.scopes[name].Under(b)
	}

	// Every type beside every other, every set of provenance fields, every kind.
	for bits := range 1 << 4 {
		for n := 1; n <= 3; n++ {
			for k, kind := range attackKinds {
				var sealers []vault.Sealer
				var shape []string
				types := []int{bits, bits>>2 + k, bits + bits>>2 + k + 1} // every one beside every other
				for i := range n {
					typ := slotTypes[types[i]%len(slotTypes)]
					shape = append(shape, typ)
					sealers = append(sealers, sealer(typ, attackNames[(bits+i)%len(attackNames)], basis(bits^i*5&15)))
				}
				a.seal(t, strings.Join(shape, "+"), kind, plaintext(), "alice", sealers...)
			}
		}
	}
	for _, n := range []int{5, vault.MaxSlots} {
		for _, kind := range []vault.Kind{vecEmail, vecTaxID} {
			var sealers []vault.Sealer
			for _, name := range slices.Sorted(maps.Keys(a.scopes))[:n] {
				sealers = append(sealers, a.scopes[name])
			}
			a.seal(t, fmt.Sprint(n, " slots"), kind, plaintext(), "", sealers...)
		}
	}

	// Histories.
	consent := purpose.Basis{Consent: "c-1"}
	change := func(shape string, kind vault.Kind, text, subject string, v vault.Sealed, err error) vault.Sealed {
		t.Helper()
		require.NoError(t, err)
		a.add(t, shape, kind, text, subject, v)
		return v
	}
	fresh := func(kind vault.Kind, text, subject string, sealers ...vault.Sealer) vault.Sealed {
		t.Helper()
		return a.seal(t, "fresh", kind, text, subject, sealers...)
	}
	for bits := range 1 << 4 {
		kind, text, subject := attackKinds[bits%4], plaintext(), []string{"", "alice"}[bits>>3]
		scoped := func(name string) *vault.Scope {
			if subject != "" {
				return a.scopes[name].For(subject)
			}
			return a.scopes[name]
		}
		v := fresh(kind, text, subject, scoped("security"))
		b := basis(bits)
		b.Consent = "c-" + fmt.Sprint(bits)
		v, err := vault.Extend(ctx, kind, v, scoped("security"), scoped("advertising").Under(b))
		v = change("extended", kind, text, subject, v, err)
		v, err = vault.Extend(ctx, kind, v, scoped("advertising"), scoped("support").Under(consent))
		v = change("extended twice", kind, text, subject, v, err)
		change("withdrawn", kind, text, subject, v.Without(purpose.MustParse("security")), nil)

		c := fresh(kind, text, "", collectors["security"].Under(basis(bits)), collectors["billing batch"])
		v, err = vault.Reseal(ctx, kind, c, scoped("security"))
		change("taken in", kind, text, subject, v, err)
	}
	imported := vecKey("imported", 0xe15e0001)
	require.NoError(t, a.vault.Import(ctx, purpose.MustParse("billing"), reference.ProtoKeyset([]reference.Key{imported}, reference.GCMType, 3, 1)))
	for i := range 4 {
		text := plaintext()
		for _, subject := range []string{"", "alice"} {
			s := a.scopes["billing"]
			if subject != "" {
				s = s.For(subject)
			}
			v, err := vault.Adopt(ctx, attackKinds[i], reference.Seal(imported, reference.Random(12), []byte(text), nil), nil, strings.ToLower, s)
			change("adopted", attackKinds[i], text, subject, v, err)
		}
	}
	for i, name := range attackNames {
		p := purpose.MustParse(name)
		text, mine := plaintext(), plaintext()
		v := fresh(attackKinds[i], text, "", a.scopes[name])
		w := fresh(attackKinds[i], mine, "alice", a.scopes[name].For("alice"))
		if name != "security" { // whose values stay under the primary key
			require.NoError(t, a.vault.Rotate(ctx, p))
		}
		require.NoError(t, a.vault.RotateCollector(ctx, p))
		fresh(attackKinds[i], text, "", a.scopes[name])
		v, err := vault.Reseal(ctx, attackKinds[i], v, a.scopes[name])
		change("resealed", attackKinds[i], text, "", v, err)
		w, err = vault.Reseal(ctx, attackKinds[i], w, a.scopes[name].For("alice"))
		change("resealed", attackKinds[i], mine, "alice", w, err)
	}
	newCollectors()
	for i, name := range attackNames {
		fresh(attackKinds[i], plaintext(), "alice", collectors[name], a.scopes[attackNames[(i+1)%4]].For("alice"))
	}
	return a
}
