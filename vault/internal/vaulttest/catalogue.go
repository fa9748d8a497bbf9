package vaulttest

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
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
)

// Few is the number of values that [NewVictim] makes by hand. Tests that are exhaustive
// in every run use these values.
const Few = 9

var (
	// Kinds are the kinds of the values of a [Victim].
	Kinds = []vault.Kind{Email, Phone, TaxID, longestKind}
	// Names are the purposes of the values of a [Victim].
	Names    = []string{"advertising", "billing", "security", "support"}
	subjects = []string{"alice", "bob", "gone"} // bob has keys and, but for one, no values; gone is erased
	// FullBasis has all fields.
	FullBasis = purpose.Basis{
		Legal: purpose.Consent, Notice: "ads-optin-v2", Consent: "consent-2026-81f3", Retain: purpose.MaxRetain,
		Collected: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), // before the clock of a test that begins in 2000
	}
)

// records returns the keys of [Records], and keys for more purposes: as many in sum as
// one value can have.
func records() map[string]reference.Record {
	all := maps.Clone(Records)
	// Half of the purposes collect with X-Wing, so that values have slots of every type.
	billing := all["billing"]
	billing.Collect = slices.Concat(CollectXWing["billing"], Collect["billing"])
	all["billing"] = billing
	for i := range format.MaxSlots - len(all) {
		name := fmt.Sprintf("p-%02d", i)
		if i == 0 {
			name = "support"
		}
		key := func(role string, n int) []reference.Key {
			return []reference.Key{Key(name+" "+role, 0xa0000000+uint32(16*i+n))}
		}
		all[name] = reference.Record{Keys: reference.Keys{Vault: VaultID, Seal: key("seal", 0), Index: key("index", 1), Subject: key("subject", 2)}, Collect: key("collect", 3)}
		all[name].Collect[0].XWing = i%2 == 0
	}
	return all
}

// NewVictim returns a handful of values.
func NewVictim(t testing.TB) *Victim {
	t.Helper()
	a := makeVictim(t)
	a.Rand = seed.Rand(t)
	return a
}

func makeVictim(t testing.TB) *Victim {
	t.Helper()
	records := records()
	store := StoreOfRecords(t, records, nil)
	a := &Victim{
		Store: store, Vault: OpenKept(t, store, vault.SharedKEK(KEK{Key: KEKKey})),
		Scopes: map[string]*vault.Scope{}, Slots: map[string]string{}, Kinds: map[string]vault.Kind{},
	}
	for _, kind := range Kinds {
		a.Kinds[kind.String()] = kind
	}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		a.Scopes[name] = ScopeNamed(t, a.Vault, name)
		a.asks = append(a.asks, ask{name, "", false, a.Scopes[name]})
	}
	security, advertising, billing := a.Scopes["security"], a.Scopes["advertising"], a.Scopes["billing"]
	seal := func(kind vault.Kind, plaintext, subject string, scopes ...*vault.Scope) {
		t.Helper()
		var sealers []vault.Sealer
		for _, s := range scopes {
			if subject != "" {
				s = s.For(subject)
			}
			sealers = append(sealers, s)
		}
		a.Seal(t, "by hand", kind, plaintext, subject, sealers...)
	}
	seal(Email, "alice@example.com", "", security)
	seal(Email, "bob@example.com", "", security)
	seal(Email, "carol@example.com", "", advertising, security)
	seal(Email, "dave@example.com", "", advertising.Under(FullBasis), security.Under(purpose.Basis{Notice: "n"}))
	seal(Phone, "+12025550123", "", security)
	seal(Phone, "+12025550124", "", advertising.Under(FullBasis), billing, security.Under(FullBasis))
	seal(Email, strings.Repeat("x", 100), "", security.Under(purpose.Basis{Legal: purpose.Contract}))
	seal(Email, "alice@example.com", "alice", security)
	seal(Email, "bob@example.com", "bob", security.Under(FullBasis))
	require.Len(t, a.Values, Few)

	// Every subject has a key for every purpose. Without its own key, a subject would be
	// refused for the missing key and not for the wrong one.
	ctx := context.Background()
	for _, name := range Names {
		for _, subject := range subjects {
			s := a.Scopes[name].For(subject)
			_, err := vault.Seal(ctx, Email, Address, s)
			require.NoError(t, err)
			a.asks = append(a.asks, ask{name, subject, subject == "gone", s})
		}
		_, err := a.Vault.Erase(ctx, "gone", purpose.MustParse(name))
		require.NoError(t, err)
	}
	return a
}

// NewCatalogue returns the values of [NewVictim] and hundreds more: of every kind, with
// and without every field of provenance, with slots of every type beside each other,
// and with every history that a value can have. It makes them once, because no test
// changes them.
func NewCatalogue(t testing.TB) *Victim {
	t.Helper()
	catalogue.once.Do(func() { catalogue.made = makeCatalogue(t) }) //piivet:allow scopeplace the catalogue is made once for all tests, and none changes it
	require.NotNil(t, catalogue.made, "could not be made")
	a := *catalogue.made
	a.Values, a.Shapes, a.Rand = slices.Clip(a.Values), slices.Clip(a.Shapes), seed.Rand(t)
	return &a
}

var catalogue struct {
	once sync.Once
	made *Victim
}

func makeCatalogue(t testing.TB) *Victim {
	t.Helper()
	ctx := context.Background()
	a := makeVictim(t)
	lengths := []int{1, 17, 31, 32, 63, 100, format.MaxPlaintext}
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
		for _, name := range Names {
			c, err := a.Vault.Collector(ctx, purpose.MustParse(name))
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
			return a.Scopes[name].For("alice").Under(b)
		case "collector":
			return collectors[name].Under(b)
		case "batch":
			return collectors[name+" batch"].Under(b)
		}
		return a.Scopes[name].Under(b)
	}

	// Every type beside every other, every set of provenance fields, every kind.
	for bits := range 1 << 4 {
		for n := 1; n <= 3; n++ {
			for k, kind := range Kinds {
				var sealers []vault.Sealer
				var shape []string
				types := []int{bits, bits>>2 + k, bits + bits>>2 + k + 1} // every type beside every other
				for i := range n {
					typ := slotTypes[types[i]%len(slotTypes)]
					shape = append(shape, typ)
					sealers = append(sealers, sealer(typ, Names[(bits+i)%len(Names)], basis(bits^i*5&15)))
				}
				a.Seal(t, strings.Join(shape, "+"), kind, plaintext(), "alice", sealers...)
			}
		}
	}
	for _, n := range []int{5, format.MaxSlots} {
		for _, kind := range []vault.Kind{Email, TaxID} {
			var sealers []vault.Sealer
			for _, name := range slices.Sorted(maps.Keys(a.Scopes))[:n] {
				sealers = append(sealers, a.Scopes[name])
			}
			a.Seal(t, fmt.Sprint(n, " slots"), kind, plaintext(), "", sealers...)
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
		return a.Seal(t, "fresh", kind, text, subject, sealers...)
	}
	for bits := range 1 << 4 {
		kind, text, subject := Kinds[bits%4], plaintext(), []string{"", "alice"}[bits>>3]
		scoped := func(name string) *vault.Scope {
			if subject != "" {
				return a.Scopes[name].For(subject)
			}
			return a.Scopes[name]
		}
		v := fresh(kind, text, subject, scoped("security"))
		b := basis(bits)
		b.Consent = "c-" + fmt.Sprint(bits)
		v, err := vault.Extend(ctx, kind, v, nil, scoped("security"), scoped("advertising").Under(b))
		v = change("extended", kind, text, subject, v, err)
		v, err = vault.Extend(ctx, kind, v, nil, scoped("advertising"), scoped("support").Under(consent))
		v = change("extended twice", kind, text, subject, v, err)
		change("withdrawn", kind, text, subject, v.Without(purpose.MustParse("security")), nil)

		c := fresh(kind, text, "", collectors["security"].Under(basis(bits)), collectors["billing batch"])
		v, err = vault.Reseal(ctx, kind, c, nil, scoped("security"))
		change("taken in", kind, text, subject, v, err)
	}
	for i, name := range Names {
		p := purpose.MustParse(name)
		text, mine := plaintext(), plaintext()
		v := fresh(Kinds[i], text, "", a.Scopes[name])
		w := fresh(Kinds[i], mine, "alice", a.Scopes[name].For("alice"))
		if name != "security" { // security's values stay under the primary key
			Rotate(t, a.Vault, p, vault.RoleSeal)
		}
		Rotate(t, a.Vault, p, vault.RoleCollect)
		fresh(Kinds[i], text, "", a.Scopes[name])
		v, err := vault.Reseal(ctx, Kinds[i], v, nil, a.Scopes[name])
		change("resealed", Kinds[i], text, "", v, err)
		w, err = vault.Reseal(ctx, Kinds[i], w, nil, a.Scopes[name].For("alice"))
		change("resealed", Kinds[i], mine, "alice", w, err)
	}
	newCollectors()
	for i, name := range Names {
		fresh(Kinds[i], plaintext(), "alice", collectors[name], a.Scopes[Names[(i+1)%4]].For("alice"))
	}
	return a
}
