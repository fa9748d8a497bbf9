package piitest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

func TestSeparateTriesEverything(t *testing.T) {
	kit := piitest.New(t, security, billing, advertising)
	piitest.Separate(t, kit.Vault) // all three are found

	refused := map[error]int{}
	actions := map[audit.Action]int{}
	for _, e := range kit.Audit.Refusals() {
		actions[e.Action]++
		for _, sentinel := range []error{purpose.ErrMismatch, purpose.ErrNoConsent, vault.ErrCorrupt, vault.ErrSubject} {
			if errors.Is(e.Err, sentinel) {
				refused[sentinel]++
			}
		}
	}
	// Three purposes are six ordered pairs, each tried with two kinds, sealed in
	// three ways. Honestly there are seven uses and two more, and seven for each
	// of three forgeries; extending, and re-sealing with both scopes, is an event for
	// each of the two purposes.
	attacks := 6 * 2 * 3
	require.Equal(t, attacks*(8+4), refused[purpose.ErrMismatch])
	require.Equal(t, attacks*2, refused[purpose.ErrNoConsent])
	// And one person's value is tried as another's and as nobody's. A collector's slot
	// is not opened to be extended, which two forgeries of three have.
	people := 3 * 2 * 4
	require.Equal(t, attacks*3*8-attacks/3*2*2+people, refused[vault.ErrCorrupt])
	require.Equal(t, people*2-3*2, refused[vault.ErrSubject])
	for _, a := range []audit.Action{audit.Reveal, audit.Hint, audit.Index, audit.Extend, audit.Reseal} {
		require.NotZero(t, actions[a], a)
	}
}

func TestSeparateTakesPurposes(t *testing.T) {
	kit := piitest.New(t, security, billing, advertising)
	rec := kit.Record()
	piitest.Separate(t, kit.Vault, security, advertising)
	rec.Only(t, security, advertising)
	for _, p := range []purpose.Purpose{security, advertising} {
		asked := func(e audit.Event) bool { return e.Purpose == p }
		require.True(t, anyEvent(rec.Events(), asked))
	}
}

func anyEvent(events []audit.Event, f func(audit.Event) bool) bool {
	for _, e := range events {
		if f(e) {
			return true
		}
	}
	return false
}

func TestSeparateTakesTheVaultOfAService(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	v, err := vault.Open(t.Context(), kit.Store, kit.KEK, nil)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	piitest.Separate(t, v)
	piitest.Separate(t, v) // a second time
}

func TestSeparateFails(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	for name, test := range map[string]struct {
		purposes []purpose.Purpose
		want     string
	}{
		"one purpose":                     {[]purpose.Purpose{security}, "needs two different purposes or more, and has security"},
		"one purpose twice":               {[]purpose.Purpose{security, security}, "and has security"},
		"purpose without keys":            {[]purpose.Purpose{security, billing}, "keys of billing"},
		"what to do about missing keys":   {[]purpose.Purpose{security, billing}, "call Generate for it"},
		"the zero purpose does not count": {[]purpose.Purpose{security, {}}, "needs two different purposes"},
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) { piitest.Separate(tb, kit.Vault, test.purposes...) }, test.want)
		})
	}
	t.Run("none in the store", func(t *testing.T) {
		complains(t, func(tb testing.TB) { piitest.Separate(tb, piitest.New(t).Vault) }, "and has no purpose")
	})
	t.Run("vault that refuses everything", func(t *testing.T) {
		kit := piitest.New(t, security, advertising)
		outage := &piitest.Outage{}
		v, err := vault.Open(t.Context(), outage.Store(kit.Store), kit.KEK, nil)
		require.NoError(t, err)
		t.Cleanup(func() { v.Close() })
		outage.Script(piitest.Step{Call: piitest.StorePut, Fault: piitest.Deny, Times: piitest.Forever})
		complains(t, func(tb testing.TB) { piitest.Separate(tb, v, security, advertising) },
			"a step that has to work before a refusal shows anything did not")
	})
}
