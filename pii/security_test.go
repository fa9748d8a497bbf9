package pii_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A claim of SECURITY.md is worth what the test behind it is: each link leads to
// a file, and each test that a link names is in that file.
func TestSecurityClaimsHaveTests(t *testing.T) {
	for _, page := range []string{"SECURITY.md", "CONTRIBUTING.md", "README.md", "vault/MEMORY.md", "pii/ADOPTING.md", "vault/DEPLOYING.md", "vault/OPERATIONS.md", "vault/cmd/onlyfor/README.md",
		"vault/cmd/onlyfor/order/README.md",
	} {
		text, err := os.ReadFile(filepath.Join("..", page))
		require.NoError(t, err)
		text = regexp.MustCompile("(?s)```.*?```").ReplaceAll(text, nil) // code has no links
		tests := 0
		for _, m := range regexp.MustCompile(`\[([^]]+)\]\(([^)#]+)\)`).FindAllStringSubmatch(string(text), -1) {
			name, _, _ := strings.Cut(m[1], " ")
			name = strings.TrimRight(strings.Trim(name, "`"), ",")
			if strings.Contains(m[2], "://") {
				continue
			}
			file := filepath.Join("..", filepath.Dir(page), m[2])
			info, err := os.Stat(file)
			require.NoError(t, err, "%s: %s", page, m[2])
			if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
				continue
			}
			require.False(t, info.IsDir(), "%s: %s", page, m[2])
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Contains(t, string(code), "\nfunc "+name+"(", "%s: %s", page, m[2])
			tests++
		}
		if page == "SECURITY.md" {
			require.Greater(t, tests, 80)
		}
	}
}
