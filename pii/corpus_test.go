package pii_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The corpus is what other projects test their parsers of addresses and numbers
// with, told anew: testdata/corpus/README.md has the sources and the format.
const corpusDir = "testdata/corpus"

// A corpusCase is one line of the corpus.
type corpusCase struct {
	file, rule, typed string
	valid             bool
	revealed          string
	note              string
}

// differs is how a note begins where the source decides otherwise, and what
// our verdict is then.
var differs = map[string]bool{"they accept: ": false, "they refuse: ": true, "they reveal: ": false}

// readCorpus returns the cases of the files of testdata/corpus whose name begins
// with kind and an underscore.
func readCorpus(t testing.TB, kind string) []corpusCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpusDir, kind+"_*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []corpusCase
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		rules := make(map[string]bool)
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || line[0] == '#' {
				continue
			}
			c := parseCase(t, line)
			c.file = filepath.Base(file)
			require.False(t, rules[c.rule], "%s: two cases are named %q", c.file, c.rule)
			rules[c.rule] = true
			all = append(all, c)
		}
	}
	return all
}

func parseCase(t testing.TB, line string) corpusCase {
	t.Helper()
	rule, _, found := strings.Cut(line, `"`)
	require.True(t, found, line)
	c := corpusCase{rule: strings.TrimSpace(rule)}
	rest := line[len(rule):]
	c.typed, rest = parseText(t, rest)
	switch rest = strings.TrimLeft(rest, " "); {
	case strings.HasPrefix(rest, "invalid"):
		rest = rest[len("invalid"):]
	case strings.HasPrefix(rest, "="):
		c.valid, c.revealed, rest = true, c.typed, rest[1:]
	default:
		c.valid = true
		c.revealed, rest = parseText(t, rest)
	}
	if rest != "" {
		note, found := strings.CutPrefix(rest, "  # ")
		require.True(t, found, line)
		c.note = note
		require.Greater(t, len(note), len("they accept: "), line)
		valid, known := differs[note[:len("they accept: ")]]
		require.True(t, known, line)
		require.Equal(t, valid, c.valid && !strings.HasPrefix(note, "they reveal"), "the note is of the other verdict: %s", line)
	}
	return c
}

// parseText returns the text at the start of s: Go string literals, each of
// them as often as "*" and a number behind it say, joined by "+".
func parseText(t testing.TB, s string) (text, rest string) {
	t.Helper()
	for more := true; more; {
		quoted, err := strconv.QuotedPrefix(s)
		require.NoError(t, err, s)
		piece, err := strconv.Unquote(quoted)
		require.NoError(t, err, s)
		s = s[len(quoted):]
		if times, found := strings.CutPrefix(s, "*"); found {
			digits := len(times) - len(strings.TrimLeft(times, "0123456789"))
			n, err := strconv.Atoi(times[:digits])
			require.NoError(t, err, s)
			piece, s = strings.Repeat(piece, n), times[digits:]
		}
		text += piece
		s, more = strings.CutPrefix(s, "+")
	}
	return text, s
}

// README.md tells how many cases each file has, and the least of all.
func TestCorpusIsCounted(t *testing.T) {
	told := make(map[string]string)
	f, err := os.Open(filepath.Join(corpusDir, "README.md"))
	require.NoError(t, err)
	defer f.Close()
	row := regexp.MustCompile(`^\| \x60(\w+\.txt)\x60 \| (\d+) \|`)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m := row.FindStringSubmatch(lines.Text()); m != nil {
			told[m[1]] = m[2]
		}
	}
	require.NoError(t, lines.Err())
	counted := make(map[string]string)
	for kind, least := range map[string]int{"email": 250, "phone": 250} {
		cases := readCorpus(t, kind)
		require.GreaterOrEqual(t, len(cases), least, kind)
		of := make(map[string]int)
		for _, c := range cases {
			of[c.file]++
			counted[c.file] = fmt.Sprint(of[c.file])
		}
	}
	require.Equal(t, counted, told)
}
