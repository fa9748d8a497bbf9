package vault

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/onlyfor/onlyfor/purpose"
)

// keyset returns one whose key ids, which have 32 random bits, are not those of keys
// that there are.
func (e *eraser) keyset(t *testing.T, templates ...*tinkpb.KeyTemplate) *keyset.Handle {
	t.Helper()
	keys, err := e.here.Keys(t.Context(), e.security)
	require.NoError(t, err)
	h := keysetOf(t, 0, templates...)
	for _, info := range h.KeysetInfo().GetKeyInfo() {
		if slices.ContainsFunc(keys, func(k Key) bool { return k.ID == info.GetKeyId() }) {
			return e.keyset(t, templates...)
		}
	}
	return h
}

// Keys that are added to those imported before leave these as they were.
func TestImportKeepsWhatWasThere(t *testing.T) {
	e := newEraser(t, nil)
	start := time.Now().Truncate(time.Second)
	var first []Key
	for n := range 2 {
		h := e.keyset(t, aead.AES256GCMKeyTemplate(), aead.AES128GCMKeyTemplate())
		var data bytes.Buffer
		require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&data)))
		require.NoError(t, e.here.Import(t.Context(), e.security, data.Bytes()))
		all, err := e.here.Keys(t.Context(), e.security)
		require.NoError(t, err)
		var imported []Key
		for _, k := range all {
			if k.Role == RoleImport {
				require.False(t, k.Created.Before(start))
				imported = append(imported, k)
			}
		}
		require.Len(t, imported, 2*(n+1))
		require.Subset(t, imported, first)
		first = imported
	}
	err := e.here.Import(t.Context(), e.security, make([]byte, maxImport+1))
	require.ErrorIs(t, err, errImport)
}

// What goes into a record of use, and what of a text is refused, is the same for all
// that index or adopt.
func TestUsesAreRecordedAlike(t *testing.T) {
	var events []Event
	e := newEraser(t, &Options{Audit: auditorFunc(func(_ context.Context, e Event) error {
		events = append(events, e)
		return nil
	})})
	ctx, ads := t.Context(), purpose.MustParse("advertising")
	require.NoError(t, e.here.Generate(ctx, ads))
	to, err := e.here.Scope(ctx, ads)
	require.NoError(t, err)
	to = to.Under(purpose.Basis{Consent: "c-1"})
	s := e.scope(t, e.here, "alice").withoutSubject()
	value, err := Seal(ctx, e.kind, "text", s)
	require.NoError(t, err)
	var data bytes.Buffer
	h := e.keyset(t, aead.AES256GCMKeyTemplate())
	require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&data)))
	require.NoError(t, e.here.Import(ctx, e.security, data.Bytes()))
	old, err := aead.New(h)
	require.NoError(t, err)
	adopts := func(text string, s *Scope) error {
		ciphertext, err := old.Encrypt([]byte(text), nil)
		require.NoError(t, err)
		_, err = Adopt(ctx, e.kind, ciphertext, nil, strings.TrimSpace, s)
		return err
	}
	indexes := map[string]func(string, *Scope) error{
		"index": func(text string, s *Scope) error { _, err := s.Index(ctx, e.kind, text); return err },
		"all":   func(text string, s *Scope) error { _, err := s.Indexes(ctx, e.kind, text); return err },
		"sealed": func(text string, s *Scope) error {
			_, err := s.IndexSealed(ctx, e.kind, value, func(string) string { return text })
			return err
		},
	}

	longest := strings.Repeat("x", MaxPlaintext)
	for name, index := range indexes {
		require.NoError(t, index(longest, s), name)
		event := events[len(events)-1]
		want := Event{Time: event.Time, Action: ActionIndex, Outcome: Allowed, Purpose: e.security, Kind: "note"}
		if name == "sealed" {
			want.Collected = purpose.NewSet(e.security)
		}
		require.Equal(t, want, event, name)
		require.EqualError(t, index(longest+"x", s), "vault: indexing note: value is empty or too long: invalid argument", name)
		require.EqualError(t, index("text", nil), "vault: indexing note: nil scope: invalid argument", name)
	}
	require.ErrorIs(t, indexes["sealed"]("", s), ErrCorrupt, "what was sealed is not of the kind")
	_, err = s.IndexSealed(ctx, e.kind, value, nil)
	require.EqualError(t, err, "vault: indexing note: nil canonical: invalid argument")

	require.NoError(t, adopts("text", s))
	event := events[len(events)-1]
	require.Equal(t, Event{
		Time: event.Time, Action: ActionAdopt, Outcome: Allowed, Purpose: e.security, Collected: purpose.NewSet(e.security), Kind: "note",
	}, event)
	blank := strings.Repeat(" ", MaxPlaintext+maxImportOverhead-len("text"))
	require.ErrorIs(t, adopts(blank+"text", s), ErrCorrupt, "however short it becomes")
	_, err = Adopt(ctx, e.kind, []byte("none of ours"), nil, func(string) string { return "text" }, s)
	require.EqualError(t, err, "vault: adopting note: "+ErrCorrupt.Error())

	extended, err := Extend(ctx, e.kind, value, s, to)
	require.NoError(t, err)
	event = events[len(events)-1]
	require.Equal(t, Event{
		Time: event.Time, Action: ActionExtend, Outcome: Allowed, Purpose: e.security, To: ads, Collected: purpose.NewSet(e.security), Kind: "note",
	}, event)
	_, err = Extend(ctx, e.kind, extended, s, to)
	require.EqualError(t, err, "vault: extending note: collected for advertising already: invalid argument")
}
