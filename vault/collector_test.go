package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// abroad returns the collector as a process without keys has it: from its text.
func abroad(t testing.TB, c *vault.Collector) *vault.Collector {
	t.Helper()
	text, err := c.MarshalText()
	require.NoError(t, err)
	parsed, err := vault.ParseCollector(string(text), nil)
	require.NoError(t, err)
	return parsed
}

func TestCollectedValuesOpenForTheirPurpose(t *testing.T) { eachKEM(t, testCollectedValuesOpen) }

func testCollectedValuesOpen(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	c := abroad(t, vaulttest.Collector(t, v, vaulttest.Security))
	require.Equal(t, vaulttest.Security, c.Purpose())
	before := time.Now()
	value := vaulttest.Seal(t, c.Under(purpose.Basis{Legal: purpose.Contract, Notice: "2fa-v3", Retain: time.Hour}))
	require.Equal(t, purpose.NewSet(vaulttest.Security), value.Purposes())
	vaulttest.Opens(t, sec, value)
	vaulttest.Refuses(t, ads, value, purpose.ErrMismatch)
	p, ok := value.Provenance(vaulttest.Security)
	require.True(t, ok)
	require.Equal(t, "2fa-v3", p.Notice)
	require.Equal(t, time.Duration(0), p.Expires.Sub(p.Collected)%time.Second)
	vaulttest.RequireSince(t, before, p.Expires.Add(-time.Hour))

	// For several purposes, by public and by other keys at once.
	both := vaulttest.Seal(t, ads, c)
	vaulttest.Opens(t, sec, both)
	vaulttest.Opens(t, ads, both)
	both = vaulttest.Seal(t, abroad(t, vaulttest.Collector(t, v, vaulttest.Advertising)), c)
	vaulttest.Opens(t, sec, both)
	vaulttest.Opens(t, ads, both)
	vaulttest.Opens(t, ads, both.Without(vaulttest.Security))

	index, err := sec.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	same, err := sec.IndexSealed(t.Context(), vaulttest.Note, value, vaulttest.Accepting(strings.TrimSpace))
	require.NoError(t, err)
	require.Equal(t, index, same)
}

// A back end takes values in: under the purpose's own key or a person's.
func TestTakingInWhatWasCollected(t *testing.T) { eachKEM(t, testTakingIn) }

func testTakingIn(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security).Under(purpose.Basis{Notice: "2fa-v3"}), ads)
	before, _ := value.Provenance(vaulttest.Security)
	require.False(t, value.OnPrimaryKey(sec), "there is something to do")
	require.True(t, value.ByCollector(vaulttest.Security))
	require.False(t, value.ByCollector(vaulttest.Advertising), "which a scope sealed")
	require.False(t, value.ByCollector(vaulttest.Billing))
	require.False(t, vault.Sealed{}.ByCollector(vaulttest.Security))
	vaulttest.Refuses(t, sec.For("alice"), value, vault.ErrSubject)

	own, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec)
	require.NoError(t, err)
	require.True(t, own.OnPrimaryKey(sec))
	require.False(t, own.ByCollector(vaulttest.Security))
	vaulttest.Opens(t, sec, own)
	vaulttest.Opens(t, ads, own)

	alices, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec.For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, sec.For("alice"), alices)
	vaulttest.Opens(t, ads, alices)
	vaulttest.Refuses(t, sec, alices, vault.ErrSubject)
	vaulttest.Refuses(t, sec.For("bob"), alices, vault.ErrCorrupt)
	after, _ := alices.Provenance(vaulttest.Security)
	require.Equal(t, before, after, "and it stays collected as it was")

	// A value of a person is not taken in for another, and is not widened.
	_, err = vault.Reseal(t.Context(), vaulttest.Note, alices, nil, sec.For("bob"))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	_, err = vault.Reseal(t.Context(), vaulttest.Note, alices, nil, sec)
	require.ErrorIs(t, err, vault.ErrSubject)
	// A value of the purpose is taken in as one of a collector is.
	alices, err = vault.Reseal(t.Context(), vaulttest.Note, own, nil, sec.For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, sec.For("alice"), alices)
	vaulttest.Refuses(t, sec, alices, vault.ErrSubject)
	_, err = vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec.For(""))
	require.ErrorIs(t, err, vault.ErrInvalid)

	_, err = v.Erase(t.Context(), "carol", vaulttest.Security)
	require.NoError(t, err)
	_, err = vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec.For("carol"))
	require.ErrorIs(t, err, vault.ErrErased)
	require.NoError(t, v.Close())
	_, err = vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec.For("alice"))
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

// A collected value is vouched for before it is extended. Otherwise the slot of the
// other purpose vouches for content that anybody with a public key can have made.
func TestExtendingWhatWasCollected(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
	sec, ads, bill := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising), vaulttest.Scope(t, v, vaulttest.Billing)
	ads = ads.Under(purpose.Basis{Consent: "c-1"})
	collected := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security), bill)
	_, err := vault.Extend(t.Context(), vaulttest.Note, collected, nil, sec, ads)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.EqualError(t, err, "vault: extending note: a collector sealed it, so reseal it first: invalid argument")
	// It is refused from the header, before the slot is opened.
	forged := vaulttest.Seal(t, vaulttest.Collector(t, vaulttest.Generated(t, nil, vaulttest.Security), vaulttest.Security))
	_, err = vault.Extend(t.Context(), vaulttest.Note, forged, nil, sec, ads)
	require.ErrorIs(t, err, vault.ErrInvalid)
	// The slot beside it is the purpose's own.
	value, err := vault.Extend(t.Context(), vaulttest.Note, collected, nil, bill, ads)
	require.NoError(t, err)
	vaulttest.Opens(t, ads, value)
	taken, err := vault.Reseal(t.Context(), vaulttest.Note, collected, nil, sec)
	require.NoError(t, err)
	value, err = vault.Extend(t.Context(), vaulttest.Note, taken, nil, sec, ads)
	require.NoError(t, err)
	vaulttest.Opens(t, ads, value)
}

func TestBatchesShareAnEncapsulation(t *testing.T) { eachKEM(t, testBatchesShareAnEncapsulation) }

// eachKEM runs a test for each mechanism of collectors.
func eachKEM(t *testing.T, test func(t *testing.T, kem vault.CollectorKEM)) {
	for _, kem := range []vault.CollectorKEM{vault.XWing, vault.X25519} {
		t.Run(string(kem), func(t *testing.T) { test(t, kem) })
	}
}

func testBatchesShareAnEncapsulation(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security)
	sec := vaulttest.Scope(t, v, vaulttest.Security)
	c := abroad(t, vaulttest.Collector(t, v, vaulttest.Security))
	batch, err := c.Batch()
	require.NoError(t, err)
	wrapped := func(v vault.Sealed) string {
		raw, err := v.MarshalBinary()
		require.NoError(t, err)
		size := map[vault.CollectorKEM]int{vault.XWing: 5 + 1120 + 32 + 16, vault.X25519: 5 + 32 + 32 + 16}[kem]
		body := raw[len(raw)-(16+2+5+2+size+12+32+16):]
		require.Equal(t, raw[:len(raw)-len(body)], []byte("\x01\x04note\x01\x08security"))
		return string(body[16+2+5+2:][:size])
	}
	one, other := vaulttest.Seal(t, batch), vaulttest.Seal(t, batch.Under(purpose.Basis{}))
	require.Equal(t, wrapped(one), wrapped(other))
	require.NotEqual(t, wrapped(vaulttest.Seal(t, c)), wrapped(vaulttest.Seal(t, c)), "without one, each value has its own")
	next, err := c.Batch()
	require.NoError(t, err)
	require.NotEqual(t, wrapped(one), wrapped(vaulttest.Seal(t, next)))
	for _, value := range []vault.Sealed{one, other} {
		vaulttest.Opens(t, sec, value)
		resealed, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec)
		require.NoError(t, err)
		vaulttest.Opens(t, sec, resealed)
	}
}

func TestCollectorKeysRotate(t *testing.T) { eachKEM(t, testCollectorKeysRotate) }

func testCollectorKeysRotate(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security)
	sec, old := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Collector(t, v, vaulttest.Security)
	early := vaulttest.Seal(t, old)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleCollect)
	fresh := vaulttest.Collector(t, v, vaulttest.Security)
	require.NotEqual(t, mustMarshal(t, old), mustMarshal(t, fresh))
	late := vaulttest.Seal(t, old)
	vaulttest.Opens(t, sec, early)
	vaulttest.Opens(t, sec, late)
	vaulttest.Opens(t, sec, vaulttest.Seal(t, fresh))

	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == vault.RoleCollect && k.Status == vault.Active {
			require.NoError(t, v.Retire(t.Context(), vaulttest.Security, k.ID))
			vaulttest.Refuses(t, sec, early, vault.ErrCorrupt)
			require.NoError(t, v.Reinstate(t.Context(), vaulttest.Security, k.ID))
			vaulttest.Opens(t, sec, early)
			require.NoError(t, v.Retire(t.Context(), vaulttest.Security, k.ID))
			require.NoError(t, v.Destroy(t.Context(), vaulttest.Security, k.ID))
		}
	}
	vaulttest.Refuses(t, sec, late, vault.ErrCorrupt)
	vaulttest.Opens(t, sec, vaulttest.Seal(t, fresh))
}

// A key pair that another process made is learned at the first value sealed
// for it.
func TestCollectorKeyOfAnotherProcess(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	here, there := vaulttest.Open(t, store, kek, nil), vaulttest.Open(t, store, kek, nil)
	require.NoError(t, here.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, here, vaulttest.Security)
	r := vaulttest.Reader(t, here, vaulttest.Security)
	vaulttest.Rotate(t, there, vaulttest.Security, vault.RoleCollect)
	value := vaulttest.Seal(t, vaulttest.Collector(t, there, vaulttest.Security))
	vaulttest.Opens(t, s, value)
	_, err := r.Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)
}

// Whoever has the public key can neither open nor relabel, and whoever has
// another purpose's private key can't either.
func TestCollectedValuesAreBound(t *testing.T) { eachKEM(t, testCollectedValuesAreBound) }

func testCollectedValuesAreBound(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security))
	text := string(vaulttest.MustText(t, value))

	relabelled, err := vault.ParseSealed(strings.Replace(text, ".security.", ".advertising.", 1))
	require.NoError(t, err)
	vaulttest.Refuses(t, ads, relabelled, vault.ErrCorrupt)
	other := vault.MustKind("other", "vault.Other")
	rekinded, err := vault.ParseSealed(strings.Replace(text, "pii1.note.", "pii1.other.", 1))
	require.NoError(t, err)
	_, err = sec.Reveal(t.Context(), other, rekinded)
	require.ErrorIs(t, err, vault.ErrCorrupt)

	raw, err := value.MarshalBinary()
	require.NoError(t, err)
	for bit := range len(raw) * 8 {
		flipped := bytes.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		var damaged vault.Sealed
		if err := damaged.UnmarshalBinary(flipped); err != nil {
			require.ErrorIs(t, err, vault.ErrCorrupt)
			continue
		}
		_, err := sec.Reveal(t.Context(), vaulttest.Note, damaged)
		require.Error(t, err)
	}
}

func TestCollectorText(t *testing.T) { eachKEM(t, testCollectorText) }

func testCollectorText(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security)
	good := mustMarshal(t, vaulttest.Collector(t, v, vaulttest.Security))
	magic := map[vault.CollectorKEM]string{vault.XWing: "ofc2", vault.X25519: "ofc1"}[kem]
	require.Regexp(t, `^`+magic+`\.security\.[A-Za-z0-9_-]+$`, good)
	require.Len(t, good, len("ofc1.security.")+map[vault.CollectorKEM]int{vault.XWing: 1632, vault.X25519: 54}[kem])
	again, err := vault.ParseCollector(good, nil)
	require.NoError(t, err)
	require.Equal(t, good, mustMarshal(t, again))
	require.Equal(t, good, mustMarshal(t, again.Under(purpose.Basis{Notice: "n"})), "the basis is not in it")

	body := good[strings.LastIndex(good, ".")+1:]
	raw, err := base64.RawURLEncoding.DecodeString(body)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty":             "",
		"other version":     "ofc3" + good[4:],
		"other mechanism":   map[string]string{"ofc1": "ofc2", "ofc2": "ofc1"}[magic] + good[4:],
		"other purpose":     strings.Replace(good, "security", "advertising", 1),
		"no purpose":        strings.Replace(good, "security", "", 1),
		"not a purpose":     strings.Replace(good, "security", "Security", 1),
		"a typing error":    good[:20] + map[bool]string{true: "b", false: "a"}[good[20] == 'a'] + good[21:],
		"truncated":         good[:len(good)-1],
		"padded":            good + "=",
		"line break":        good[:30] + "\n" + good[30:],
		"line break behind": good + "\n",
		"blank before":      " " + good,
		"a field too many":  good + ".x",
		"two fields":        magic + ".security",
		"over-long":         good + strings.Repeat("A", 1<<20),
		"other alphabet":    magic + ".security." + strings.NewReplacer("-", "+", "_", "/").Replace(body) + "+",
		"low order":         lowOrder(magic, raw),
	} {
		_, err := vault.ParseCollector(text, nil)
		require.ErrorIs(t, err, vault.ErrCorrupt, name)
		require.EqualError(t, err, "vault: reading collector: not the text of a collector: not sealed here, or altered since", name)
	}
}

func TestCollectorsAreRefused(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	_, err := v.Collector(t.Context(), vaulttest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = v.Collector(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)

	for _, c := range []*vault.Collector{nil, {}, (*vault.Collector)(nil).Under(purpose.Basis{})} {
		_, err := vault.Seal(t.Context(), vaulttest.Note, "text", c)
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = c.Batch()
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = c.MarshalText()
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.True(t, c.Purpose().IsZero())
		require.Equal(t, "vault.Collector()", fmt.Sprintf("%#v", c))
	}

	c := vaulttest.Collector(t, v, vaulttest.Security)
	require.Equal(t, "vault.Collector(security)", fmt.Sprintf("%+v", c))
	require.Equal(t, "vault.Collector(security)", c.LogValue().String())
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", c, vaulttest.Scope(t, v, vaulttest.Security))
	require.ErrorIs(t, err, vault.ErrInvalid, "one purpose twice")
	_, err = vault.Seal(t.Context(), vault.Kind{}, "text", c)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "", c)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", c.Under(purpose.Basis{Notice: "a b"}))
	require.ErrorIs(t, err, purpose.ErrBasis)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", c.Under(purpose.Basis{Notice: "a b"}).Under(purpose.Basis{}))
	require.NoError(t, err, "the last basis counts")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = vault.Seal(ctx, vaulttest.Note, "text", c)
	require.ErrorIs(t, err, vault.ErrUnavailable)

	require.NoError(t, v.Close())
	_, err = v.Collector(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	vaulttest.Seal(t, c) // it needs no vault
}

// A type that embeds a collector could say something else of its purpose.
type impostor struct{ *vault.Collector }

func (impostor) Purpose() purpose.Purpose { return vaulttest.Advertising }

func TestWhatEmbedsACollectorIsNone(t *testing.T) {
	c := vaulttest.Collector(t, vaulttest.Generated(t, nil, vaulttest.Security), vaulttest.Security)
	_, err := vault.Seal(t.Context(), vaulttest.Note, "text", impostor{c})
	require.ErrorIs(t, err, vault.ErrInvalid)
}

func TestCollectorsAreRecorded(t *testing.T) {
	var events []audit.Event
	failing := false
	auditor := auditFunc(func(e audit.Event) error {
		events = append(events, e)
		if failing {
			return errors.New("disk full")
		}
		return nil
	})
	text := mustMarshal(t, vaulttest.Collector(t, vaulttest.Generated(t, nil, vaulttest.Security), vaulttest.Security))
	c, err := vault.ParseCollector(text, auditor)
	require.NoError(t, err)
	vaulttest.Seal(t, c)
	_, err = vault.Seal(audit.WithCaller(t.Context(), "sign-up"), vaulttest.Note, "", c)
	require.Error(t, err)
	require.Len(t, events, 2)
	for i, outcome := range []audit.Outcome{audit.Allowed, audit.Failed} {
		require.Equal(t, audit.Seal, events[i].Action)
		require.Equal(t, outcome, events[i].Outcome)
		require.Equal(t, vaulttest.Security, events[i].Purpose)
		require.Equal(t, purpose.NewSet(vaulttest.Security), events[i].Collected)
	}
	require.Equal(t, "sign-up", events[1].Caller)
	failing = true
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", c)
	require.ErrorIs(t, err, vault.ErrUnavailable, "fails closed")
}

func mustMarshal(t testing.TB, m encoding.TextMarshaler) string {
	t.Helper()
	text, err := m.MarshalText()
	require.NoError(t, err)
	return string(text)
}

// lowOrder returns the text of a collector whose public key is a point of low
// order, with the right check: every shared secret with it is zero.
func lowOrder(magic string, raw []byte) string {
	body := bytes.Clone(raw[:len(raw)-4])
	clear(body[len(body)-32:])
	sum := sha256.Sum256(append([]byte(magic+".security."), body...))
	return magic + ".security." + base64.RawURLEncoding.EncodeToString(append(body, sum[:4]...))
}

// A front end's clock may be ahead by a day. What says that it was collected
// later still was never meant to be opened soon.
func TestCollectorsClockAhead(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	ahead := func(by time.Duration) (value vault.Sealed) {
		synctest.Test(t, func(t *testing.T) { // whose clock begins in the year 2000
			v := vaulttest.Open(t, store, kek, &vault.Options{ExactTimes: true})
			require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
			c := vaulttest.Collector(t, v, vaulttest.Security).Under(purpose.Basis{Retain: time.Hour})
			time.Sleep(by)
			value = vaulttest.Seal(t, c)
			v.Close()
		})
		return value
	}
	hours, days := ahead(23*time.Hour), ahead(25*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
		vaulttest.Refuses(t, s, hours, vault.ErrUnavailable)
		vaulttest.Refuses(t, s, days, vault.ErrCorrupt)
	})
}
