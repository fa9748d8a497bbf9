//go:build !broken

package boundarytests

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// message is a line of a test that failed, with its place.
var message = regexp.MustCompile(`^(--- FAIL: \w+|    \w+\.go:\d+: .*)`)

var lineNumber = regexp.MustCompile(`\.go:\d+`)

// The tests of boundaries fail for careless.go, each with the message that
// README.md shows.
func TestBrokenShopFails(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the shop a second time")
	}
	cmd := exec.Command("go", "test", "-count=1", "-tags=broken", ".")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)

	var got []string
	for line := range strings.Lines(string(out)) {
		if m := message.FindString(strings.TrimRight(line, "\n")); m != "" {
			got = append(got, lineNumber.ReplaceAllString(m, ".go"))
		}
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, block, _ := strings.Cut(string(readme), "```text\n")
	block, _, found := strings.Cut(block, "```")
	require.True(t, found)
	want := lineNumber.ReplaceAllString(strings.TrimSuffix(block, "\n"), ".go")
	require.Equal(t, want, strings.Join(got, "\n"), string(out))
	require.NotContains(t, string(out), "@example.com")
}
