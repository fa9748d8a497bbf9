package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the pages of testdata anew")

// Each question has the page that testdata and README.md show. Times, hosts, hashes and
// pseudonyms differ in each run.
func TestPages(t *testing.T) {
	month := func() string { return time.Now().UTC().Format("2006-01") }
	dir, started, out := t.TempDir(), "", ""
	for started != month() { // the logs count by month, which begins in few runs
		var b bytes.Buffer
		started = month()
		dir = filepath.Join(dir, "next")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, run(t.Context(), &b, dir))
		out = b.String()
	}
	for _, secret := range []string{"415555", dir, "PRIVATE+KEY"} {
		require.NotContains(t, out, secret)
	}
	require.FileExists(t, filepath.Join(dir, "record.html"))
	letters, err := os.ReadFile(filepath.Join(dir, "letters.csv"))
	require.NoError(t, err)
	require.Equal(t, 60, strings.Count(string(letters), "users,m"))

	requireFound(t, dir)

	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	pages := strings.Split("\n"+steady(t, out), "\n== ")[1:]
	require.Len(t, pages, len(order)+1)
	for i, page := range pages {
		name := "after"
		if i < len(order) {
			name = strings.ToLower(order[i].name)
		}
		_, page, _ = strings.Cut(page, "\n\n")
		page = strings.TrimSpace(page) + "\n"
		file := filepath.Join("testdata", name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
			continue
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, columns(string(want)), columns(page), name)
		require.Contains(t, string(readme), "\n```\n"+string(want)+"```\n", name)
		if i < len(order) {
			require.Contains(t, string(readme), "\n**"+order[i].name+". "+order[i].text+"**", name)
		}
	}
}

// requireFound edits the log of the support desk: the answer of Q2 says that it proves nothing.
func requireFound(t *testing.T, dir string) {
	bodies, err := filepath.Glob(filepath.Join(dir, "logs/support/bodies/*.log"))
	require.NoError(t, err)
	require.Len(t, bodies, 1)
	text, err := os.ReadFile(bodies[0])
	require.NoError(t, err)
	edited := bytes.Replace(text, []byte(`"caller":"eve"`), []byte(`"caller":"bob"`), 1)
	require.NotEqual(t, text, edited)
	require.NoError(t, os.WriteFile(bodies[0], edited, 0o600))
	var out strings.Builder
	require.NoError(t, (&company{dir: dir}).answer(t.Context(), &out, order[1].as, order[1].command))
	require.Contains(t, out.String(), "prove nothing")
	require.Contains(t, out.String(), "exit code 1")
}

// steady replaces the parts of an output that differ in each run.
func steady(t *testing.T, out string) string {
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, r := range [][2]string{
		{`\d{4}-\d\d-\d\dT[\d:.]+Z`, "<time>"},
		{time.Now().UTC().Format("2006-01") + `-\d\d`, "<today>"},
		{`(?m)^` + time.Now().UTC().Format("2006-01") + ` `, "<month> "},
		{`(?m)^\d+ <time>`, "<entry> <time>"},
		{`hash [A-Za-z0-9+/=]{44}`, "hash <hash>"},
		{`\b[0-9a-f]{32}\b`, "<pseudonym>"},
		{`work for \d+ hours`, "work for <n> hours"},
		{`(?m)(example\.com/audit/\S+ +)` + regexp.QuoteMeta(host), "${1}<host>"},
	} {
		out = regexp.MustCompile(r[0]).ReplaceAllString(out, r[1])
	}
	return out
}

// columns takes the width from columns, which follows the name of the host.
func columns(text string) string { return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ") }
