package formattest

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A shape is the first two bytes of a slot header.
type shape struct{ typ, flags byte }

// writtenShapes finds the shapes of all headers that package vault writes: by sealing
// and collecting under every basis, by extending all of these, and by re-sealing.
func writtenShapes(t *testing.T, shapes map[shape]bool) {
	ctx := context.Background()
	for _, kem := range []vault.CollectorKEM{vault.X25519, vault.XWing} {
		exact := kem == vault.X25519
		v := vaulttest.Generated(t, &vault.Options{ExactTimes: exact, Collectors: kem}, vaulttest.Security, vaulttest.Advertising)
		security, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
		note := func(v vault.Sealed, err error) vault.Sealed {
			t.Helper()
			require.NoError(t, err)
			value, ok := reference.Parse(string(vaulttest.MustText(t, v)))
			require.True(t, ok)
			for _, s := range value.Slots {
				shapes[shape{s.Header[0], s.Header[1]}] = true
			}
			return v
		}
		var bases []purpose.Basis
		for bits := range 1 << 4 {
			for _, retain := range []time.Duration{0, time.Second, 24*time.Hour - time.Second, 24 * time.Hour, purpose.MaxRetain} {
				b := purpose.Basis{Retain: retain}
				if bits&1 != 0 {
					b.Legal = purpose.Consent
				}
				if bits&2 != 0 {
					b.Notice = "n-1"
				}
				if bits&4 != 0 {
					b.Consent = "c-1"
				}
				if bits&8 != 0 {
					b.Collected = time.Now()
				}
				bases = append(bases, b)
			}
		}
		collector := vaulttest.Collector(t, v, vaulttest.Security)
		for i, b := range bases {
			collected := note(vault.Seal(ctx, vaulttest.Note, "text", collector.Under(b)))
			note(vault.Reseal(ctx, vaulttest.Note, collected, nil, security))
			alices := note(vault.Reseal(ctx, vaulttest.Note, collected, nil, security.For("alice")))
			own := note(vault.Seal(ctx, vaulttest.Note, "text", security.Under(b)))
			for _, c := range bases[i%len(bases):] {
				if c.Consent != "" {
					note(vault.Extend(ctx, vaulttest.Note, own, nil, security, ads.Under(c)))
					note(vault.Extend(ctx, vaulttest.Note, alices, nil, security.For("alice"), ads.For("alice").Under(c)))
				}
			}
			note(vault.Seal(ctx, vaulttest.Note, "text", security.For("alice").Under(b)))
		}
		v.Close()
	}
}

// The parsers accept exactly the headers that writers make: with each type, and with
// each set of flags, where every field is as it should be.
func TestHeadersAreThoseOfWriters(t *testing.T) {
	written := map[shape]bool{}
	synctest.Test(t, func(t *testing.T) { writtenShapes(t, written) }) // where nothing expires meanwhile
	require.Len(t, written, 2*(4*16+2*8), "every set of the first four fields in each type, and with a former purpose in two, each observed and stated")
	m := maker("headers")
	for typ := range 256 {
		for flags := range 256 {
			h := []byte{byte(typ), byte(flags)}
			h = append(h, reference.Uint40(reference.Time)...)
			for _, field := range []struct {
				flag  int
				bytes []byte
			}{
				{1, []byte{2}}, {2, reference.String("n-1")}, {4, reference.String("c-1")},
				{8, reference.Uint40(vaulttest.Never)}, {16, reference.String("billing")},
			} {
				if flags&field.flag != 0 {
					h = append(h, field.bytes...)
				}
			}
			want := written[shape{byte(typ), byte(flags)}]
			n, ok := format.SlotHeaderLen(h)
			require.Equal(t, want, ok, "type %d, flags %#x", typ, flags)
			require.Equal(t, want, n == len(h))
			_, _, ok = reference.CutHeader(h)
			require.Equal(t, want, ok, "independent implementation: type %d, flags %#x", typ, flags)

			// And in a whole value, with a sealed part of that type.
			v := m.email()
			v.Slots[0].Header, v.Slots[0].Sealed = h, m.collector(kemX25519, 32)
			switch typ {
			case 1:
				v.Slots[0].Sealed = v.Slots[0].Sealed[:5+12+32+16]
			case 2:
				v.Slots[0].Sealed = v.Slots[0].Sealed[:12+32+16]
			case 4:
				v.Slots[0].Sealed = m.collector(kemXWing, 32)
			}
			_, err := vault.ParseSealed(v.Text())
			require.Equal(t, want, err == nil, "type %d, flags %#x", typ, flags)
		}
	}
}

// Times are days, a retention is never shorter than stated and never longer than the
// rest of its last day, and the parsers accept the latest that a writer writes and
// nothing later.
func TestTimesAreThoseOfWriters(t *testing.T) {
	const day = 24 * 60 * 60
	longest, stated := uint64(0), int64(purpose.MaxRetain/time.Second)
	seconds := []int64{1, day - 1, day, day + 1, reference.Time, reference.Latest - stated - 2*day}
	for s := int64(0); s < day; s += 977 {
		seconds = append(seconds, reference.Time/day*day+s)
	}
	for _, now := range seconds {
		for _, retain := range []int64{0, 1, day - 1, day, day + 1, 2*day - 1, 30 * day, stated - 1, stated} {
			for _, exact := range []bool{false, true} {
				collected, expires, ok := format.Times(time.Unix(now, 999), time.Duration(retain)*time.Second, exact)
				if now < day && !exact && retain > 0 {
					require.False(t, ok, "of a clock that was not set")
					continue
				}
				require.True(t, ok)
				end := now + retain
				switch {
				case retain == 0:
					require.True(t, expires.IsZero())
				case exact || retain < day:
					require.Equal(t, end, expires.Unix())
				default:
					require.Zero(t, expires.Unix()%day)
					require.Greater(t, expires.Unix(), end)
					require.LessOrEqual(t, expires.Unix(), end+day)
				}
				if exact {
					require.Equal(t, now, collected.Unix())
				} else {
					require.Equal(t, now/day*day, collected.Unix())
				}
				p := purpose.Provenance{Collected: collected, Expires: expires}
				header := format.AppendHeader(nil, format.OfPurpose, &p)
				_, ok = format.SlotHeaderLen(header)
				require.True(t, ok)
				h, _, ok := reference.CutHeader(header)
				require.True(t, ok)
				if retain > 0 {
					longest = max(longest, h.Expires-h.Collected)
				}
			}
		}
	}
	accepts := func(collected, expires uint64) bool {
		header := slices.Concat([]byte{1, 8}, reference.Uint40(collected), reference.Uint40(expires))
		_, ok := format.SlotHeaderLen(header)
		_, _, ref := reference.CutHeader(header)
		require.Equal(t, ref, ok)
		return ok
	}
	require.EqualValues(t, int64(vecRetention), longest)
	require.True(t, accepts(reference.Time, reference.Time+longest))
	require.False(t, accepts(reference.Time, reference.Time+longest+1))
	require.True(t, accepts(1, 2))
	require.False(t, accepts(0, 2))
	require.False(t, accepts(2, 2))
	require.False(t, accepts(2, 1))
	require.True(t, accepts(reference.Latest-1, reference.Latest))
	require.False(t, accepts(reference.Latest, reference.Latest+1))
}
