package govet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadTakesValuesFromBetweenOtherLines(t *testing.T) {
	findings, said, err := read("# example.com/p\n{}\n# example.com/p\n" +
		"{\n\t\"p [p.test]\": {\n\t\t\"leak\": [\n\t\t\t{\"posn\": \"/src/a:b.go:3:7\", \"message\": \"m\"}\n\t\t]\n\t}\n}\ngo: downloading x\n")
	require.NoError(t, err)
	require.Equal(t, []string{"go: downloading x"}, said)
	require.Equal(t, []Finding{{Rule: "leak", Package: "p", File: "/src/a:b.go", Line: 3, Column: 7, Message: "m"}}, findings)
}

func TestReadFails(t *testing.T) {
	for rule, out := range map[string]string{
		"when an analyzer failed":    `{"p": {"leak": {"error": "it broke"}}}`,
		"when the answer is cut off": `{"p": {"leak": [`,
		"when it is not JSON":        `{oops}`,
		"when it is of another form": `{"p": {"leak": "x"}}`,
	} {
		t.Run(rule, func(t *testing.T) {
			_, _, err := read(out)
			require.Error(t, err)
		})
	}
	_, _, err := read(`{"p": {"leak": {"error": "it broke"}}}`)
	require.EqualError(t, err, "p: leak: it broke")
}

func TestPosition(t *testing.T) {
	for at, want := range map[string]Finding{
		"/a/b.go:3:7":   {File: "/a/b.go", Line: 3, Column: 7},
		"/a/b.go:3":     {File: "/a/b.go", Line: 3},
		"/a/b.go":       {File: "/a/b.go"},
		`C:\b.go:3:7`:   {File: `C:\b.go`, Line: 3, Column: 7},
		"/a/4:5.go:3:7": {File: "/a/4:5.go", Line: 3, Column: 7},
		"-":             {File: "-"},
		"":              {},
	} {
		file, line, column := position(at)
		require.Equal(t, want, Finding{File: file, Line: line, Column: column}, at)
	}
}

func TestFindingsOfAPackageAndOfItsTestAreOne(t *testing.T) {
	a := Finding{Rule: "leak", Package: "p", File: "a.go", Line: 3, Message: "m"}
	other := a
	other.Rule = "hash"
	require.Equal(t, []Finding{other, a}, unique([]Finding{a, other, a}))
}

func TestPackagesThatDidNotAnswer(t *testing.T) {
	findings, answered := take([]Finding{
		{Rule: "leak", Package: "p"},
		{Rule: Answer.Name, Package: "github.com/onlyfor/onlyfor/pii/piivet/internal/config"},
		{Rule: Answer.Name, Package: "github.com/onlyfor/onlyfor/pii/piivet/internal/vettest_test"},
	})
	require.Equal(t, []Finding{{Rule: "leak", Package: "p"}}, findings)
	run := Run{Patterns: []string{"../config", ".", "../vettest"}}
	missing, err := run.missing(t.Context(), answered)
	require.NoError(t, err)
	require.Equal(t, []string{"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"}, missing)
	run.Build = []string{"-nonsense"}
	_, err = run.missing(t.Context(), answered)
	require.ErrorIs(t, err, ErrFailed)
}
