package reference

import (
	"encoding/hex"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 9180, appendix A.1.1 (with AES-128-GCM), and a vector of the same form for
// AES-256-GCM from BoringSSL, which the RFC has none of.
func TestIndependentHPKE(t *testing.T) {
	info, plaintext := Hex("4f6465206f6e2061204772656369616e2055726e"), Hex("4265617574792069732074727574682c20747275746820626561757479")
	for _, c := range []struct{ aead, ephemeral, private, enc, nonce, first string }{
		{"\x01", "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
			"4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
			"37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431", "56d890e5accaaf011cff4b7d",
			"f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"},
		{"\x02", "28e212563a8b6f068af7ff17400ff1baf23612b7a738bbaf5dfb321b2b5b431a",
			"4f8282f1b30e39a5d7f3fcccf73d8044a09d89ac168c1929f179e2e93e20b8ae",
			"8e806d41aecfcece96a6b47f1e488a3ac6e48090d9b634355c705dd34311d900", "a243fc1ebc972a48eaf28ea9",
			"23ded2d5d90ea89d975dac4792b297240f194952d7421aacbff0474100052b6bb8aa58d18ef6c42b6960e2e28f"},
	} {
		suite := HPKE{0, uint16(c.aead[0])}
		ephemeral, private := Hex(c.ephemeral), Hex(c.private)
		enc, public := Public(ephemeral), Public(private)
		require.Equal(t, Hex(c.enc), enc)
		dh, ok := Exchange(ephemeral, public)
		require.True(t, ok)
		same, ok := Exchange(private, enc)
		require.True(t, ok)
		require.Equal(t, dh, same)
		gcm, nonce := suite.Context(dh, enc, public, info)
		require.Equal(t, Hex(c.nonce), nonce)
		require.Equal(t, Hex(c.first), gcm.Seal(nil, nonce, plaintext, []byte("Count-0")))
	}
}

// The known answers of X-Wing, of both drafts.
func TestIndependentXWing(t *testing.T) {
	all, err := XWingAnswers()
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, a := range all {
		require.Equal(t, a.Public, XWingPublic(a.Seed))
		shared, ok := XWingDecapsulate(a.Seed, a.Encapsulated)
		require.True(t, ok)
		require.Equal(t, a.Shared, shared)
		if a.Random != nil {
			shared, enc, ok := XWingEncapsulate(a.Random, a.Public)
			require.True(t, ok)
			require.Equal(t, a.Encapsulated, enc)
			require.Equal(t, a.Shared, shared)
		}
	}
}

// NIST SP 800-38B, appendix D.3 (AES-256).
func TestIndependentCMAC(t *testing.T) {
	key := Hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	message := Hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0:  "028962f61b7bf89efc6b551f4667d983",
		16: "28a7023f452e8f82bd4bf28d8c37c35c",
		40: "aaf3d8f1de5640c232f5b169b9c911e6",
		64: "e1992190549f6ed5696a2c056c315410",
	} {
		require.Equal(t, want, hex.EncodeToString(CMAC(key, message[:n])), "%d bytes", n)
	}
}

// One mistake in package vault, or in a library that it uses, is not to be made
// twice: this package uses the standard library alone.
func TestIndependentOfOurs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			first, _, _ := strings.Cut(i.Path.Value, "/")
			require.NotContains(t, first, ".", "%s imports %s", file, i.Path.Value)
		}
	}
}
