package witness_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

// The example of C2SP tlog-cosignature has this form: name, key id, time, signature.
func TestCosignature(t *testing.T) {
	k, log := newWitnessKey(t, "witness.example/w1"), newLogKey(t, origin)
	tr := newTree(t, "a", 10)
	head := log.head(tr, 10)
	text := strings.TrimSuffix(textOf(head), "\n")
	before := time.Now().Add(-time.Second)
	signature, err := k.signer.Sign([]byte(text))
	require.NoError(t, err)
	require.Len(t, signature, 72)
	seconds := int64(0)
	for _, b := range signature[:8] {
		seconds = seconds<<8 | int64(b)
	}
	require.True(t, time.Unix(seconds, 0).After(before) && !time.Unix(seconds, 0).After(time.Now()))
	require.True(t, k.verifier.Verify([]byte(text), signature))
	for i := range signature {
		for bit := range 8 {
			signature[i] ^= 1 << bit
			require.False(t, k.verifier.Verify([]byte(text), signature), "bit %d of byte %d", bit, i)
			signature[i] ^= 1 << bit
		}
	}
	require.False(t, k.verifier.Verify([]byte(text+"x\n"), signature), "extension line")
	require.False(t, k.verifier.Verify([]byte(text), signature[:71]))
	require.False(t, k.verifier.Verify([]byte(text), append(signature, 0)))
	require.False(t, k.verifier.Verify([]byte(text), make([]byte, 72)))
	require.False(t, k.verifier.Verify(nil, nil))
	require.False(t, newWitnessKey(t, "witness.example/w1").verifier.Verify([]byte(text), signature))
	for _, text := range []string{"", "a note\n", "x\ny\nz\n", origin + "\n-1\n" + tr.root(10).String() + "\n", origin + "\n10\nAAAA\n"} {
		_, err := k.signer.Sign([]byte(text))
		require.ErrorIs(t, err, witness.ErrArgument, text)
	}
	// Another use of the key signs other bytes: a log's note is no cosignature.
	require.NotEqual(t, log.verifier.KeyHash(), k.verifier.KeyHash())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		shown := fmt.Sprintf(verb, k.signer)
		require.Equal(t, "witness.Signer(witness.example/w1)", shown)
	}
}

func TestKeyTexts(t *testing.T) {
	for _, name := range []string{"", "a b", "a+b", "a\nb", "\u00a0", "\xff", strings.Repeat("x", 256)} {
		_, _, err := witness.GenerateKey(name)
		require.ErrorIs(t, err, witness.ErrArgument, "%q", name)
	}
	skey, vkey, err := witness.GenerateKey("witness.example")
	require.NoError(t, err)
	signer, err := witness.NewSigner(skey)
	require.NoError(t, err)
	require.Equal(t, "witness.example", signer.Name())
	ed25519, ed25519Public, err := note.GenerateKey(nil, "witness.example")
	require.NoError(t, err)
	_, key, _ := strings.Cut(strings.TrimPrefix(vkey, "witness.example+"), "+")
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	zero := append([]byte{4}, make([]byte, 31)...)
	bad := []string{
		"", "+", "++", "PRIVATE+KEY", "PRIVATE+KEY+", "PRIVATE+KEY+++", strings.ReplaceAll(skey, "witness", "mallory"), strings.ReplaceAll(vkey, "witness", "mallory"),
		vkey[:len(vkey)-1], skey[:len(skey)-1], vkey + "A", vkey + "\n", " " + vkey, ed25519, ed25519Public,
		"witness.example+00000000+" + key, "witness.example+00000000+" + base64.StdEncoding.EncodeToString(zero),
		"witness.example+" + strings.Repeat("0", 8) + "+" + base64.StdEncoding.EncodeToString(append(raw, 1)),
	}
	for _, text := range bad {
		_, err := witness.NewVerifier(text)
		require.ErrorIs(t, err, witness.ErrArgument, "%q", text)
		_, err = witness.NewSigner(text)
		require.ErrorIs(t, err, witness.ErrArgument, "%q", text)
		if len(text) > 60 {
			require.NotContains(t, err.Error(), text[50:], "an error shows a key")
		}
	}
	_, err = witness.NewVerifier(skey)
	require.ErrorIs(t, err, witness.ErrArgument)
	_, err = witness.NewSigner(vkey)
	require.ErrorIs(t, err, witness.ErrArgument)
}
