package boundarytests

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNobodyUsesAddressesOfSecurityUnseen is about a newsletter, in testdata, that
// gets addresses from the package of the accounts. It reveals nothing itself, and
// its lock file is from before there was a newsletter.
func TestNobodyUsesAddressesOfSecurityUnseen(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "piivet")
	out, err := exec.Command("go", "-C", filepath.Join("..", "..", "pii", "piivet"), "build", "-o", tool, "./cmd/piivet").CombinedOutput()
	require.NoError(t, err, string(out))
	piivet := func(args ...string) (string, int) {
		cmd := exec.Command(tool, append(args, "./...")...)
		cmd.Dir = filepath.Join("testdata", "newsletter")
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}

	said, code := piivet("-check", "piivet.lock")
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "new use of personal data: security receive example.com/shop/newsletter.Upload, through users.Store.Address")

	said, code = piivet()
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "plaintext of security reaches example.com/shop/newsletter.Upload, which is for marketing only")

	said, code = piivet("-report")
	require.Equal(t, 0, code, said)
	require.Contains(t, said, "example.com/shop/newsletter.Upload (email; posts (http.PostForm); through users.Store.Address)")
}
