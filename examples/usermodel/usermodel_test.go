package usermodel_test

import (
	"bufio"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page shows the difference as it is: applied to each file of before, it
// gives the file of after.
func TestDiffIsInSync(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```diff\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	patches := make(map[string]string)
	for _, block := range blocks {
		header, hunks, found := strings.Cut(block[1], "\n@@")
		require.True(t, found)
		name := regexp.MustCompile(`^--- before/(\w+\.go)\n\+\+\+ after/(\w+\.go)$`).FindStringSubmatch(header)
		require.Len(t, name, 3, header)
		require.Equal(t, name[1], name[2])
		patches[name[1]] = "@@" + hunks
	}
	files, err := filepath.Glob("before/*.go")
	require.NoError(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		before, err := os.ReadFile(file)
		require.NoError(t, err)
		after, err := os.ReadFile(filepath.Join("after", name))
		require.NoError(t, err)
		require.Equal(t, string(after), apply(t, string(before), patches[name]), "README.md shows another difference of %s than diff -u does", name)
		delete(patches, name)
	}
	require.Empty(t, patches)
}

var hunk = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@`)

// apply applies a unified diff.
func apply(t *testing.T, text, patch string) string {
	lines := strings.SplitAfter(text, "\n")
	var out strings.Builder
	next := 0
	for line := range strings.Lines(patch) {
		if start := hunk.FindStringSubmatch(line); start != nil {
			n, err := strconv.Atoi(start[1])
			require.NoError(t, err)
			for ; next < n-1; next++ {
				out.WriteString(lines[next])
			}
			continue
		}
		switch line[0] {
		case ' ', '-':
			require.Equal(t, lines[next], line[1:], "line %d", next+1)
			if line[0] == ' ' {
				out.WriteString(line[1:])
			}
			next++
		case '+':
			out.WriteString(line[1:])
		default:
			require.Fail(t, "not a line of a diff", line)
		}
	}
	for ; next < len(lines); next++ {
		out.WriteString(lines[next])
	}
	return out.String()
}

// No code of the service reveals: a number leaves sealed, and becomes readable at the wire.
func TestAfterRevealsNothing(t *testing.T) {
	reveals := regexp.MustCompile(`\.Reveal\(`)
	files := 0
	require.NoError(t, filepath.WalkDir("after", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, reveals.FindAll(source, -1), path)
		files++
		return nil
	}))
	require.Greater(t, files, 4)
	source, err := os.ReadFile("both/service_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, reveals.FindAll(source, -1), "the search finds a reveal")
}

// Somebody who signed up with the one service signs in with the other, after
// the migration.
func TestFromBeforeToAfter(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), "./before", "./both", "./migrate", "./after")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := filepath.Join(t.TempDir(), "data")

	url, stop := serve(t, filepath.Join(bin, "before"), dir)
	status, body := post(t, url+"/signup", `{"email": "Alice@Example.com", "phone": "+1 (415) 555-2671", "password": "correct horse"}`)
	require.Equal(t, http.StatusCreated, status, body)
	require.Contains(t, body, "alice@example.com")
	stop()

	step := func(name, wants string) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "migrate"), "-dir", dir, name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), wants)
	}
	step("plan", "plan: 1 rows")

	// The version that writes both serves before, during and after the backfill.
	url, stop = serve(t, filepath.Join(bin, "both"), dir)
	status, body = post(t, url+"/signup", `{"email": "carol@example.com", "phone": "+44 20 7946 0000", "password": "x"}`)
	require.Equal(t, http.StatusCreated, status, body)
	step("backfill", "backfill: 1 rows, 1 changed") // the other one is sealed already
	for _, form := range []string{`{"email": "alice@example.com", "password": "correct horse"}`, `{"email": "Carol@example.com", "password": "x"}`} {
		status, body = post(t, url+"/signin", form)
		require.Equal(t, http.StatusOK, status, body)
	}
	status, body = post(t, url+"/signup", `{"email": "dave@example.com", "password": "x"}`)
	require.Equal(t, http.StatusCreated, status, body)
	status, body = post(t, url+"/signup", `{"email": "not an address@", "password": "x"}`)
	require.Equal(t, http.StatusBadRequest, status, body)
	status, body = send(t, http.MethodPut, url+"/phone", `{"email": "alice@example.com", "phone": "+1 212 555 0100", "password": "correct horse"}`)
	require.Equal(t, http.StatusNoContent, status, body) // of a row that the backfill sealed
	stop()
	step("verify", "verify: 3 rows")
	step("cut-over", "cut-over: 3 rows, 3 changed")

	url, stop = serve(t, filepath.Join(bin, "after"), dir)
	defer stop()
	status, body = post(t, url+"/signin", `{"email": "alice@example.com", "password": "correct horse"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"id": 1, "code_sent_to": "+1 ••• ••• ••00"}`, body)
	status, body = post(t, url+"/signin", `{"email": "CAROL@example.com", "password": "x"}`)
	require.Equal(t, http.StatusOK, status, body)
	status, body = post(t, url+"/signin", `{"email": "dave@example.com", "password": "x"}`)
	require.Equal(t, http.StatusOK, status, body)
	status, body = post(t, url+"/signup", `{"email": "ALICE@example.com", "password": "x"}`)
	require.Equal(t, http.StatusConflict, status, body)
	status, body = post(t, url+"/signup", `{"email": "bob@example.com", "password": "x"}`)
	require.Equal(t, http.StatusCreated, status, body)
	require.NotContains(t, body, "bob@") // "bob" is in sealed text now and then
}

// serve runs a service until stop is called.
func serve(t *testing.T, command, dir string) (url string, stop func()) {
	cmd := exec.CommandContext(t.Context(), command, "-dir", dir, "-addr", "127.0.0.1:0")
	cmd.Stderr = io.Discard
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	return lines.Text(), func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func post(t *testing.T, url, body string) (int, string) {
	return send(t, http.MethodPost, url, body)
}

func send(t *testing.T, method, url, body string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}
