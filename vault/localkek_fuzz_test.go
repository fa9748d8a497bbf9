package vault

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseLocalKEK looks for files that make Tink or its JSON parser panic, or
// that load without being of use.
func FuzzParseLocalKEK(f *testing.F) {
	good, err := newLocalKEK()
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"GiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`))
	f.Add([]byte(`{"key":[null,{}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := parseLocalKEK(file)
		if err != nil {
			require.Equal(t, ErrCorrupt, err)
			return
		}
		sealed, err := a.Encrypt([]byte("keyset"), []byte("aad"))
		require.NoError(t, err)
		opened, err := a.Decrypt(sealed, []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "keyset", string(opened))
	})
}
