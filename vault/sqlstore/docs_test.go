package sqlstore

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The SQL that is documented for making the table by hand is what CreateTable
// runs.
func TestDocumentedTables(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, d := range []*dialect{&postgres, &mysql, &sqlite} {
		create := fmt.Sprintf(d.create, d.quote+DefaultTable+d.quote)
		require.Contains(t, string(readme), create+";\n", d.name)
		require.Contains(t, string(doc), "//\n//\t"+strings.ReplaceAll(create, "\n", "\n//\t")+"\n//\n", d.name)
	}
}
