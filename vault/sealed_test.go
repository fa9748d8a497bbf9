package vault

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// The absence of a value has no kind, no purposes and one form of each encoding, and
// whatever is read in place of a value leaves that as it was.
func TestSealedForms(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	v, err := Seal(t.Context(), kind, "text", s)
	require.NoError(t, err)
	text, err := v.MarshalText()
	require.NoError(t, err)
	data, err := v.MarshalBinary()
	require.NoError(t, err)
	appended, err := v.AppendText([]byte("text "))
	require.NoError(t, err)
	require.Equal(t, "text "+string(text), string(appended))
	appended, err = v.AppendBinary([]byte("data "))
	require.NoError(t, err)
	require.Equal(t, "data "+string(data), string(appended))

	var read Sealed
	require.NoError(t, read.UnmarshalText(text))
	require.Equal(t, v, read)
	read = Sealed{}
	require.NoError(t, read.UnmarshalBinary(data))
	require.Equal(t, v, read)
	for name, bad := range map[string]string{
		"other":     "pii1.note.security.AAAA",
		"cut":       string(text[:len(text)-1]),
		"too long":  string(text) + strings.Repeat("A", format.MaxText),
		"as binary": string(data),
	} {
		require.ErrorIs(t, read.UnmarshalText([]byte(bad)), ErrCorrupt, name)
		require.Equal(t, v, read, name)
	}
	for name, bad := range map[string]string{
		"cut":      string(data[:len(data)-1]),
		"too long": string(data) + strings.Repeat("A", format.MaxText),
		"as text":  string(text),
		"one byte": string(data[:1]),
		"no names": string(data[:len("__note")]),
	} {
		require.ErrorIs(t, read.UnmarshalBinary([]byte(bad)), ErrCorrupt, name)
		require.Equal(t, v, read, name)
	}

	other := purpose.MustParse("advertising")
	require.Equal(t, "note", v.Kind())
	_, found := v.Provenance(other)
	require.False(t, found)
	_, found = v.Provenance(s.Purpose())
	require.True(t, found)

	require.NoError(t, read.UnmarshalBinary(nil))
	require.True(t, read.IsZero())
	read = v
	require.NoError(t, read.UnmarshalText(nil))
	require.True(t, read.IsZero())
	absent, err := ParseSealed("")
	require.NoError(t, err)
	require.True(t, absent.IsZero())
	require.Empty(t, absent.Kind())
	require.Zero(t, absent.Purposes().Len())
	_, found = absent.Provenance(s.Purpose())
	require.False(t, found)
	require.False(t, absent.ByCollector(s.Purpose()))
	require.True(t, absent.WithoutExpired().IsZero())
	require.True(t, absent.Without(s.Purpose()).IsZero())
	appended, err = absent.AppendBinary([]byte("data"))
	require.NoError(t, err)
	require.Equal(t, "data", string(appended))
	appended, err = absent.AppendText([]byte("text"))
	require.NoError(t, err)
	require.Equal(t, "text", string(appended))
	_, err = s.Reveal(t.Context(), kind, absent)
	require.ErrorIs(t, err, errAbsent)
}

// Each refusal of what is to be sealed, and for whom.
func TestSealRefusals(t *testing.T) {
	v, s := subjectsOf(t, Memory(), testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	value, err := Seal(t.Context(), kind, "text", s)
	require.NoError(t, err)
	most := make([]Sealer, format.MaxSlots+1)
	for i := range most {
		most[i] = s
	}
	for name, c := range map[string]struct {
		kind    Kind
		text    string
		sealers []Sealer
		want    error
	}{
		"for nobody":   {kind, "text", nil, errNoScopes},
		"for too many": {kind, "text", most, errTooMany},
		"twice":        {kind, "text", most[:format.MaxSlots], errTwice},
		"no kind":      {Kind{}, "text", most[:1], errNoKind},
		"nothing":      {kind, "", most[:1], errSize},
		"over long":    {kind, strings.Repeat("x", format.MaxPlaintext+1), most[:1], errSize},
	} {
		got, err := Seal(t.Context(), c.kind, c.text, c.sealers...)
		require.ErrorIs(t, err, c.want, name)
		require.True(t, got.IsZero(), name)
	}
	_, err = s.Reveal(t.Context(), Kind{}, value)
	require.ErrorIs(t, err, errNoKind)
	_, err = s.Index(t.Context(), Kind{}, "text")
	require.ErrorIs(t, err, errNoKind)
	require.NoError(t, v.Close())
	_, err = s.Reveal(t.Context(), Kind{}, value)
	require.ErrorIs(t, err, ErrNoKeys)
}

// Plaintext is in memory that is cleared afterwards, and nowhere else.
func TestPlaintextIsInTheBuffer(t *testing.T) {
	v, s := subjectsOf(t, Memory(), testKEK(t), nil)
	c, err := v.Collector(t.Context(), s.Purpose())
	require.NoError(t, err)
	kind := MustKind("note", "vault.Note")
	for name, sealer := range map[string]Sealer{"purpose": s, "subject": s.For("alice"), "collector": c} {
		value, err := Seal(t.Context(), kind, "text", sealer)
		require.NoError(t, err, name)
		raw, err := value.MarshalBinary()
		require.NoError(t, err, name)
		opener := s
		if own, ok := sealer.(*Scope); ok {
			opener = own
		}
		parts, err := value.decode()
		require.NoError(t, err, name)
		slot, _, ok := format.CutSlot(parts.Slots[0].Slot)
		require.True(t, ok, name)
		keys, err := s.freshKeys(t.Context())
		require.NoError(t, err, name)
		buf := new(buffers)
		plain, err := opener.openSlot(t.Context(), keys, kind, parts.ID, slot, buf)
		require.NoError(t, err, name)
		require.Equal(t, "text", string(plain), name)
		require.Same(t, &buf.plain[0], &plain[0], name)
		require.GreaterOrEqual(t, buf.used, format.PadStep, name)
		require.NotEmpty(t, raw)
	}
	buf := new(buffers)
	key := &collectorKey{hidden: func(dst, plain, _ []byte) []byte {
		require.Same(t, &buf.plain[0], &plain[0])
		require.GreaterOrEqual(t, buf.used, len(plain))
		return dst
	}}
	appendSealedSlot(make([]byte, format.IDSize), buf, key, &plainSlot{
		plainValue: plainValue{kind: kind, plaintext: "text"},
		typ:        format.OfPurpose, purpose: s.Purpose(), provenance: &purpose.Provenance{},
	})
}

// Events go on once the vault is closed, when pseudonyms can't be computed any more.
func TestEventsOfAClosedVault(t *testing.T) {
	var last audit.Event
	v, s := subjectsOf(t, Memory(), testKEK(t), &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		last = e
		return nil
	})})
	kind := MustKind("note", "vault.Note")
	alice := s.For("alice")
	value, err := Seal(t.Context(), kind, "text", alice)
	require.NoError(t, err)
	pseudonym, err := s.Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, pseudonym, last.Subject)
	_, err = s.Reveal(t.Context(), kind, value)
	require.ErrorIs(t, err, ErrSubject)
	require.Empty(t, last.Subject)

	zero := (&Scope{}).For("alice")
	_, err = Extend(t.Context(), kind, value, nil, zero, s.Under(purpose.Basis{Consent: "c-1"}))
	require.ErrorIs(t, err, ErrInvalid)
	require.Equal(t, audit.Extend, last.Action)
	require.Equal(t, audit.Failed, last.Outcome)

	require.NoError(t, v.Close())
	_, err = alice.Reveal(t.Context(), kind, value)
	require.ErrorIs(t, err, ErrNoKeys)
	require.Equal(t, audit.Denied, last.Outcome)
	require.Equal(t, s.Purpose(), last.Purpose)
	require.Empty(t, last.Subject)
}

// Retention ends at the very second, and clocks may differ by so much and no more.
func TestTimesOfSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		check := func(kind byte, collected, expires time.Time) error {
			return checkTime(format.Slot{Header: format.AppendHeader(nil, kind, &purpose.Provenance{Collected: collected, Expires: expires})})
		}
		for _, kind := range []byte{format.OfPurpose, format.OfSubject, format.OfCollector, format.OfCollectorXWing} {
			later := now.Add(1000 * time.Hour)
			require.ErrorIs(t, check(kind, now.Add(-time.Hour), now), ErrExpired)
			require.NoError(t, check(kind, now.Add(-time.Hour), now.Add(time.Second)))
			require.NoError(t, check(kind, now.Add(maxSkew), later))
			require.ErrorIs(t, check(kind, now.Add(maxSkew+time.Second), later), errClock)
			require.ErrorIs(t, check(kind, now.Add(maxLead), later), errClock)
			want := errClock
			if format.WrappedKeySize(kind) > 0 {
				want = ErrCorrupt
			}
			require.ErrorIs(t, check(kind, now.Add(maxLead+time.Second), later), want)
			require.NoError(t, check(kind, now.Add(maxLead+time.Second), time.Time{}), "without an end")
		}
	})
}

func TestExtendingBeyondTheMostSlots(t *testing.T) {
	ctx := t.Context()
	v, err := OpenAdmin(ctx, Memory(), testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	kind := MustKind("note", "vault.Note")
	var scopes []*Scope
	var sealers []Sealer
	for i := range format.MaxSlots + 1 {
		p := purpose.MustParse(fmt.Sprintf("p%d", i))
		require.NoError(t, v.Generate(ctx, p))
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		scopes = append(scopes, s)
		if i < format.MaxSlots {
			sealers = append(sealers, s)
		}
	}
	last := scopes[format.MaxSlots].Under(purpose.Basis{Consent: "c-1"})
	full, err := Seal(ctx, kind, "text", sealers...)
	require.NoError(t, err)
	got, err := Extend(ctx, kind, full, nil, scopes[0], last)
	require.ErrorIs(t, err, ErrInvalid)
	require.True(t, got.IsZero())
	got, err = Extend(ctx, kind, full.Without(scopes[1].Purpose()), nil, scopes[0], last)
	require.NoError(t, err)
	require.Equal(t, format.MaxSlots, got.Purposes().Len())
}
