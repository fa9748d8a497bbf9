package pii_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Everything that somebody without keys can do to a sealed value, on its way back
// through each decoder of the three kinds. What a slot holds comes out where it
// was sealed, and nowhere else: a value that differs in any bit opens for a purpose
// only if all that it has for that purpose is as it was. The tests of package vault
// do the same to more layouts, one by one down to the bit.

func (a *attackOnKind[T, P]) untouched(t *testing.T) {
	for _, v := range a.values {
		for p := range v.value.Purposes().All() {
			opened := 0
			for _, scope := range a.scopes[p] {
				if plaintext, err := v.value.Reveal(ctx, scope); err == nil {
					require.Equal(t, v.plaintext, plaintext)
					opened++
				}
			}
			require.Equal(t, 1, opened, "each slot opens for one: nobody, or alice")
		}
	}
}

func TestUntouchedValuesOpenOnce(t *testing.T) {
	attackEach(t, func(t *testing.T, a *attackOnKind[pii.Email, *pii.Email]) { a.untouched(t) },
		func(t *testing.T, a *attackOnKind[pii.Phone, *pii.Phone]) { a.untouched(t) },
		func(t *testing.T, a *attackOnKind[TaxID, *TaxID]) { a.untouched(t) })
}

func (a *attackOnKind[T, P]) altered(t *testing.T) {
	for _, v := range a.values {
		text := []byte(textOf(t, v.value))
		data, err := v.value.MarshalBinary()
		require.NoError(t, err)
		for _, bit := range a.samples(8*len(text), 6) {
			text[bit/8] ^= 1 << (bit % 8)
			a.text(t, string(text), v)
			text[bit/8] ^= 1 << (bit % 8)
		}
		for _, bit := range a.samples(8*len(data), 6) {
			data[bit/8] ^= 1 << (bit % 8)
			a.binary(t, data, v)
			data[bit/8] ^= 1 << (bit % 8)
		}
		for _, n := range a.samples(len(text), 6) {
			a.text(t, string(text[:n]), v)
			a.text(t, string(text[len(text)-n:]), v)
		}
		for _, n := range a.samples(len(data), 6) {
			a.binary(t, data[:n], v)
			a.binary(t, data[len(data)-n:], v)
		}
		w := a.values[a.random.IntN(len(a.values))]
		other := []byte(textOf(t, w.value))
		for _, n := range a.samples(min(len(text), len(other)), 6) {
			a.text(t, string(slices.Concat(text[:n], other[n:])), v, w)
			a.text(t, string(slices.Concat(text[:len(text)-n], other[len(other)-n:])), v, w)
		}
		otherData, err := w.value.MarshalBinary()
		require.NoError(t, err)
		for _, n := range a.samples(min(len(data), len(otherData)), 6) {
			a.binary(t, slices.Concat(data[:n], otherData[n:]), v, w)
			a.binary(t, slices.Concat(data[:len(data)-n], otherData[len(otherData)-n:]), v, w)
		}
	}
}

// Every bit flipped, cut at every byte from both ends, and the head of each value
// before the tail of another.
func TestAlteredValuesDoNotOpen(t *testing.T) {
	attackEach(t, func(t *testing.T, a *attackOnKind[pii.Email, *pii.Email]) { a.altered(t) },
		func(t *testing.T, a *attackOnKind[pii.Phone, *pii.Phone]) { a.altered(t) },
		func(t *testing.T, a *attackOnKind[TaxID, *TaxID]) { a.altered(t) })
}

func (a *attackOnKind[T, P]) respelled(t *testing.T) {
	for _, v := range a.values {
		text := textOf(t, v.value)
		head, body := text[:strings.LastIndexByte(text, '.')+1], text[strings.LastIndexByte(text, '.')+1:]
		rawBody, err := base64.RawURLEncoding.DecodeString(body)
		require.NoError(t, err)
		spellings := []string{
			head + base64.StdEncoding.EncodeToString(rawBody), head + base64.URLEncoding.EncodeToString(rawBody),
			head + body + "=", head + body + "==", head + body + "A", head + "\n" + body, head + body[:8] + "\r\n" + body[8:],
			strings.ToUpper(head) + body, "PII1" + text[4:], "pii2" + text[4:], strings.ReplaceAll(text, ".", "\u2024"),
			strings.ReplaceAll(text, ".", "%2E"), strings.ReplaceAll(text, ".", ".."), strings.ReplaceAll(head, "~", "+") + "~" + body,
			strings.ReplaceAll(head, "i", "\u0456") + body, strings.ReplaceAll(head, "s", "\u017f") + body,
			strings.ReplaceAll(head, "i", "\uff49") + body, strings.ReplaceAll(head, "i", "I") + body,
			`"` + text + `"`, "'" + text + "'", text + ";", text + ",", text + "," + text, text + text, text + "." + body, text + ".",
			`\x` + fmt.Sprintf("%x", text), fmt.Sprintf("%x", text), base64.StdEncoding.EncodeToString([]byte(text)),
			strings.Replace(text, "."+a.name+".", ".Email.", 1), strings.Replace(text, "."+a.name+".", "."+a.name+"."+a.name+".", 1),
			strings.Replace(text, "."+a.name+".", ".", 1), strings.Replace(text, "."+a.name+".", "..", 1),
		}
		for _, c := range []string{" ", "\t", "\n", "\r\n", "\v", "\x00", "\u0085", "\u00a0", "\u00ad", "\u200b", "\u2028", "\u3000", "\ufeff", "\xff"} {
			spellings = append(spellings, c+text, text+c, strings.Replace(text, ".", c+".", 1), head+c+body)
		}
		for _, i := range a.samples(len(spellings), 30) {
			if spellings[i] == text {
				continue // the base64 alphabets have all of its characters in common
			}
			var zero T
			for name, decode := range a.textDecoders(spellings[i]) {
				into := zero
				err := decode(P(&into))
				require.ErrorIs(t, err, vault.ErrCorrupt, "%s: %q", name, spellings[i])
				require.True(t, into == zero)
			}
		}
		framed := bsonString(text)
		for _, bit := range a.samples(5*8, 5) { // the length in front of a BSON string, and the NUL behind it
			at := bit / 8
			if at == 4 {
				at = len(framed) - 1
			}
			framed[at] ^= 1 << (bit % 8)
			into := v.value
			require.ErrorIs(t, P(&into).UnmarshalBSONValue(0x02, framed), vault.ErrCorrupt)
			require.True(t, into == v.value)
			framed[at] ^= 1 << (bit % 8)
		}
		for name, decode := range a.binaryDecoders([]byte(text)) { // text for bytes
			into := v.value
			require.ErrorIs(t, decode(P(&into)), vault.ErrCorrupt, name)
			require.True(t, into == v.value)
		}
	}
}

// Another spelling of a value is no value, whichever way it comes.
func TestRespelledValuesAreRefused(t *testing.T) {
	attackEach(t, func(t *testing.T, a *attackOnKind[pii.Email, *pii.Email]) { a.respelled(t) },
		func(t *testing.T, a *attackOnKind[pii.Phone, *pii.Phone]) { a.respelled(t) },
		func(t *testing.T, a *attackOnKind[TaxID, *TaxID]) { a.respelled(t) })
}

func (a *attackOnKind[T, P]) replayed(t *testing.T) {
	names := []purpose.Purpose{forSecurity, forAdvertising, forBilling}
	for _, other := range a.others {
		// A value of another kind is refused as it stands, and relabelled it opens for
		// nobody: not even for those whom it was sealed for.
		var zero T
		for name, decode := range a.textDecoders(other) {
			into := zero
			require.ErrorIs(t, decode(P(&into)), vault.ErrCorrupt, name)
		}
		fields := strings.Split(other, ".")
		fields[1] = a.name
		forged := a.parse(t, strings.Join(fields, "."))
		for _, p := range names {
			for _, scope := range a.scopes[p] {
				_, err := forged.Reveal(ctx, scope)
				require.Error(t, err)
				require.True(t, isOnly(err, vault.ErrCorrupt) || isOnly(err, vault.ErrSubject) ||
					isOnly(err, purpose.ErrMismatch) && !forged.Purposes().Contains(p), "%v", err)
			}
		}
	}
	for _, v := range a.values {
		// Each purpose's slot under each other purpose's name.
		for p := range v.value.Purposes().All() {
			slot := a.only(t, v.value, p)
			for _, q := range names {
				if q == p {
					continue
				}
				relabelled := a.parse(t, strings.Replace(slot, "."+p.String()+".", "."+q.String()+".", 1))
				for i, scope := range a.scopes[q] {
					_, err := relabelled.Reveal(ctx, scope)
					require.Error(t, err, "%s's as %s's, for %d", p, q, i)
					require.True(t, isOnly(err, vault.ErrCorrupt) || isOnly(err, vault.ErrSubject), "%v", err)
				}
				for _, scope := range a.scopes[p] {
					_, err := relabelled.Reveal(ctx, scope)
					require.True(t, isOnly(err, purpose.ErrMismatch), "%v", err)
				}
			}
		}
	}
}

// Slots that were moved: to another purpose, and to a column of another kind. In
// another person's row a slot is refused by the scope of that person, as untouched
// values show.
func TestReplayedSlotsDoNotOpen(t *testing.T) {
	attackEach(t, func(t *testing.T, a *attackOnKind[pii.Email, *pii.Email]) { a.replayed(t) },
		func(t *testing.T, a *attackOnKind[pii.Phone, *pii.Phone]) { a.replayed(t) },
		func(t *testing.T, a *attackOnKind[TaxID, *TaxID]) { a.replayed(t) })
}
