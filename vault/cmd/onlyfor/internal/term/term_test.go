package term_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

func TestTable(t *testing.T) {
	table := term.Table{Head: []string{"purpose", "key", "status"}, Rows: [][]string{{"security", "c4c2dc44", "primary"}, {"ads", "", "gone"}}}
	var b strings.Builder
	table.Write(&b, 80)
	require.Equal(t, "purpose   key       status\nsecurity  c4c2dc44  primary\nads                 gone\n", b.String())
	b.Reset()
	table.Write(&b, 20)
	require.Equal(t, "purpose  security\nkey      c4c2dc44\nstatus   primary\n\npurpose  ads\nstatus   gone\n", b.String())
}

func TestFieldsAndTextAreWrapped(t *testing.T) {
	var b strings.Builder
	term.Fields(&b, 20, term.Field{Name: "a", Text: "one two three four five"}, term.Field{Name: "a name too long", Text: "text"})
	require.Equal(t, "a           one two\n            three\n            four\n            five\na name too long\n            text\n", b.String())
	b.Reset()
	term.Text(&b, 10, "one two three\n\n  four five six")
	require.Equal(t, "one two\nthree\n\n  four\n  five six\n", b.String())
}
