package wycheproof

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

// The wiring is out of reach from here, and so are its tests: they are run with
// the vectors laid out for them, and have to pass rather than skip.
func TestVectors(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"aes_gcm_test.json", "aes_cmac_test.json", "x25519_test.json", "mlkem_768_encaps_test.json"} {
		data, err := fs.ReadFile(wycheproof.TestVectors, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestWycheproof$", "./vault")
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "ONLYFOR_WYCHEPROOF="+dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AES-GCM", "AES-CMAC", "X25519", "ML-KEM-768"} {
		if !strings.Contains(string(out), "--- PASS: TestWycheproof/"+name) {
			t.Errorf("%s did not run", name)
		}
	}
}
