package sqlstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A code that one of the packages learns to tell, the other one has to tell as well.
func TestDatabaseFileIsThatOfMigrate(t *testing.T) {
	ours, err := os.ReadFile("database.go")
	require.NoError(t, err)
	theirs, err := os.ReadFile(filepath.Join("..", "..", "pii", "migrate", "database.go"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("not in the repository")
	}
	require.NoError(t, err)
	require.Equal(t, strings.Replace(string(theirs), "package migrate\n", "package sqlstore\n", 1), string(ours))
}
