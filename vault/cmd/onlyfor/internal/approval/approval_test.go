package approval_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/approval"
)

var (
	now  = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	good = approval.Request{
		Operation: "destroy", Purpose: purpose.MustParse("security"), Target: "c4c2dc44",
		Vault: strings.Repeat("0f", 16), State: strings.Repeat("a1", 16), Expires: now.Add(time.Hour),
	}
)

// newKey makes the key of a person.
func newKey(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(t, err)
	return signer, verifier
}

func TestCheck(t *testing.T) {
	bob, bobs := newKey(t, "bob")
	carol, carols := newKey(t, "carol")
	mallory, _ := newKey(t, "mallory")
	twin, _ := newKey(t, "bob") // the name of bob, and another key
	known := note.VerifierList(bobs, carols)
	for name, test := range map[string]struct {
		signer note.Signer
		change func(r *approval.Request)
		want   error
	}{
		"good":                      {bob, func(*approval.Request) {}, nil},
		"the other person":          {carol, func(*approval.Request) {}, nil},
		"an unknown person":         {mallory, func(*approval.Request) {}, approval.ErrSigner},
		"a known name":              {twin, func(*approval.Request) {}, approval.ErrSigner},
		"another operation":         {bob, func(r *approval.Request) { r.Operation = "resume" }, approval.ErrOperation},
		"another purpose":           {bob, func(r *approval.Request) { r.Purpose = purpose.MustParse("advertising") }, approval.ErrOperation},
		"another key":               {bob, func(r *approval.Request) { r.Target = "c4c2dc45" }, approval.ErrOperation},
		"another vault":             {bob, func(r *approval.Request) { r.Vault = strings.Repeat("00", 16) }, approval.ErrVault},
		"a later state":             {bob, func(r *approval.Request) { r.State = strings.Repeat("00", 16) }, approval.ErrState},
		"expired, at that moment":   {bob, func(r *approval.Request) { r.Expires = now }, approval.ErrExpired},
		"expired, a second earlier": {bob, func(r *approval.Request) { r.Expires = now.Add(-time.Second) }, approval.ErrExpired},
	} {
		r := good
		test.change(&r)
		line, err := approval.Sign(r, test.signer)
		require.NoError(t, err, name)
		signer, err := approval.Check(line, known, good, now)
		require.ErrorIs(t, err, test.want, name)
		require.Equal(t, err == nil, signer == test.signer.Name(), name)
	}
	for _, target := range []string{"", "a b", "a\nexpires: 2030-01-01T00:00:00Z", "ä"} {
		r := good
		r.Target = target
		_, err := approval.Sign(r, bob)
		require.ErrorIs(t, err, approval.ErrMalformed, target)
	}
}

// Every change of one bit, every beginning, and every addition is refused.
func TestAlteredApprovals(t *testing.T) {
	bob, bobs := newKey(t, "bob")
	known := note.VerifierList(bobs)
	line, err := approval.Sign(good, bob)
	require.NoError(t, err)
	refused := func(line string, of ...any) {
		t.Helper()
		_, err := approval.Check(line, known, good, now)
		require.Error(t, err, of...)
		require.NotContains(t, err.Error(), "\n")
	}
	for i := range len(line) {
		refused(line[:i], "cut off at", i)
		for bit := range 8 {
			altered := []byte(line)
			altered[i] ^= 1 << bit
			refused(string(altered), "byte", i, "bit", bit)
		}
	}
	signed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(line, "ofa1."))
	require.NoError(t, err)
	encode := func(signed string) string { return "ofa1." + base64.RawURLEncoding.EncodeToString([]byte(signed)) }
	require.Equal(t, line, encode(string(signed)))
	for i := range signed {
		refused(encode(string(signed[:i])), "note cut off at", i)
		for bit := range 8 {
			altered := append([]byte(nil), signed...)
			altered[i] ^= 1 << bit
			refused(encode(string(altered)), "byte of the note", i, "bit", bit)
		}
	}
	mallory, _ := newKey(t, "mallory")
	twice, err := note.Sign(&note.Note{Text: good.String(), Sigs: nil}, bob, mallory)
	require.NoError(t, err)
	again, err := note.Sign(&note.Note{Text: good.String()}, bob, bob)
	require.NoError(t, err)
	other, err := note.Sign(&note.Note{Text: "any other text\n"}, bob)
	require.NoError(t, err)
	for _, altered := range []string{
		line + "\n", "\n" + line, line + " ", line + "=", line + "A", line[:40] + "\n" + line[40:], line + line, "", "ofa1.",
		encode(string(twice)), encode(string(again)), encode(string(other)), encode(good.String()), strings.Repeat("A", 1<<20), "ofa1." + strings.Repeat("A", 1<<20),
	} {
		refused(altered)
	}
}

func FuzzCheck(f *testing.F) {
	bob, bobs := newKey(f, "bob")
	line, err := approval.Sign(good, bob)
	require.NoError(f, err)
	f.Add(line, good.String())
	f.Add("ofa1.", "onlyfor approval, version 1\noperation: \n")
	f.Fuzz(func(t *testing.T, other, text string) {
		if signer, err := approval.Check(other, note.VerifierList(bobs), good, now); err == nil {
			require.Equal(t, "bob", signer)
			require.Equal(t, line, other)
		}
		if r, err := approval.Parse(text); err == nil {
			require.Equal(t, text, r.String())
		}
	})
}
