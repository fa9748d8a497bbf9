package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const runbookFile = "../../OPERATIONS.md"

// readRunbook returns the part of OPERATIONS.md that needs no line of Go.
func readRunbook(t *testing.T) *page { return readPage(t, runbookFile, "# For people who write Go") }

// Each section of the runbook runs as it is written, in a directory of its own, and prints
// the output that the page shows.
func TestRunbook(t *testing.T) {
	t.Parallel()
	page := readRunbook(t)
	template := newCompany(t)
	known := map[string]bool{}
	for _, d := range drills {
		if known[d.section] {
			continue // one section for several drills
		}
		known[d.section] = true
		t.Run(d.section, func(t *testing.T) {
			t.Parallel()
			s := page.section(t, d.section)
			require.Contains(t, s.text, "*It worked* when ")
			require.Contains(t, s.text, "*It can go wrong:*")
			require.Regexp(t, `(?m)^\$ (\w+=\S+ )?onlyfor `, s.of("console"), "a section has commands")
			if d.variable != "" && os.Getenv(d.variable) == "" {
				t.Skipf("%s is not set: .ci/databases sets it", d.variable)
			}
			sh := &shell{t: t, dir: t.TempDir(), env: []string{"PATH=" + filepath.Dir(built) + ":" + os.Getenv("PATH")}}
			if !d.empty {
				template.copyTo(sh, d.persons)
			}
			r := &runner{sh: sh, ids: map[string]string{}}
			if d.setup != nil {
				d.setup(r)
			}
			r.section(s)
		})
	}
	for _, s := range page.sections {
		require.True(t, known[s.title], "no drill of the test has the section %q", s.title)
	}
}

// A person who writes no Go reads the runbook.
func TestRunbookHasNoGo(t *testing.T) {
	for _, s := range readRunbook(t).sections {
		require.Empty(t, s.of("go"), s.title)
		require.NotRegexp(t, `admin\.[A-Z]|\bctx\b|vault\.[A-Z]`, s.text, s.title)
	}
}

var alertName = regexp.MustCompile(`\bOnlyfor[A-Z]\w+`)

// Every alert of the runbook is a rule of the monitoring, and the reverse.
func TestRunbookNamesTheAlerts(t *testing.T) {
	rules, err := os.ReadFile("../../otel/monitoring/alerts.yaml")
	require.NoError(t, err)
	var exist []string
	for _, m := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1) {
		exist = append(exist, m[1])
	}
	require.NotEmpty(t, exist)
	page := readRunbook(t)
	table, _, _ := strings.Cut(page.section(t, "Alerts worth having").text, "\nAfter any alert")
	require.ElementsMatch(t, exist, alertName.FindAllString(table, -1))
	for _, s := range page.sections {
		require.Subset(t, exist, alertName.FindAllString(s.text, -1), s.title)
	}
}

// A link of OPERATIONS.md, or to it, leads to a heading.
func TestRunbookLinks(t *testing.T) {
	text, err := os.ReadFile(runbookFile)
	require.NoError(t, err)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		require.False(t, anchors[name], "two headings have one anchor: %s", m[1])
		anchors[strings.ReplaceAll(name, " ", "-")] = true
	}
	links := 0
	for _, name := range []string{runbookFile, "README.md", "../../DEPLOYING.md", "../../sqlstore/README.md", "../../../README.md", "../../../SECURITY.md",
		"../../../CHANGELOG.md", "../../../CONTRIBUTING.md", "../../../examples/databases/README.md"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		pattern := `OPERATIONS\.md#([^)]*)\)`
		if name == runbookFile {
			pattern = `\]\(#([^)]*)\)`
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			require.True(t, anchors[m[1]], "%s: #%s", name, m[1])
			links++
		}
	}
	require.Greater(t, links, 50)
}

// A runner runs the blocks of a section.
type runner struct {
	sh    *shell
	ids   map[string]string // ids of keys that the page shows, and the real ones
	texts []string          // pairs of a text of the page and the one of the test
	after func()            // after each command
	// execute executes SQL, if not in the database of the application.
	execute func(statements string)
}

// section runs sessions, applies settings and executes statements.
func (r *runner) section(s section) {
	for _, b := range s.blocks {
		text := strings.NewReplacer(r.texts...).Replace(b.text)
		switch b.kind {
		case "console":
			for _, step := range steps(text) {
				r.run(step)
			}
		case "toml":
			r.sh.write("onlyfor.toml", configured(r.sh.read("onlyfor.toml"), text))
		case "sql":
			if r.execute == nil {
				execute(r.sh, text)
			} else {
				r.execute(text)
			}
		}
	}
}

// run runs a command in bash, and compares its output and its exit code.
func (r *runner) run(step shown) {
	t := r.sh.t
	command := step.command
	for example, id := range r.ids {
		command = strings.ReplaceAll(command, example, id)
	}
	c := exec.Command("bash", "-c", command)
	c.Dir = r.sh.dir
	c.Env = append(append(os.Environ(), "ONLYFOR_CALLER=olivia@ops", "COLUMNS=100"), r.sh.env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.Equal(t, step.code, c.ProcessState.ExitCode(), "$ %s\n%s", step.command, &out)
	r.compare(step, out.String())
	if r.after != nil {
		r.after()
	}
}

var exampleID = regexp.MustCompile(`\b[0-9a-f]{8}\b`)

// compare requires that the output is the one that the page shows, where … is any text. The
// first time that the page shows the id of a key, the test learns the real one.
func (r *runner) compare(step shown, output string) {
	t := r.sh.t
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	pattern := regexp.QuoteMeta(words(step.output))
	pattern = regexp.MustCompile(` ?… ?`).ReplaceAllString(pattern, `(?s:.*?)`)
	var learnt []string
	pattern = exampleID.ReplaceAllStringFunc(pattern, func(example string) string {
		if id, ok := r.ids[example]; ok {
			return id
		}
		learnt = append(learnt, example)
		return `([0-9a-f]{8})`
	})
	m := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(words(output))
	require.NotNil(t, m, "$ %s\nOPERATIONS.md shows:\n%s\nit prints:\n%s", step.command, step.output, output)
	for i, example := range learnt {
		if id, ok := r.ids[example]; ok {
			require.Equal(t, id, m[i+1], "$ %s\n%s", step.command, output)
		}
		r.ids[example] = m[i+1]
	}
}

// configured returns a configuration with the settings of a block: a part of the block
// replaces the part of the same heading, and the settings above the first heading replace
// those of the same name.
func configured(old, block string) string {
	heading := regexp.MustCompile(`(?m)^\[.*\]$`)
	parts := func(text string) (all []string) {
		at := 0
		for _, m := range heading.FindAllStringIndex(text, -1) {
			all, at = append(all, text[at:m[0]]), m[0]
		}
		return append(all, text[at:])
	}
	result := parts(old)
	for i, part := range parts(block) {
		title, _, _ := strings.Cut(part, "\n")
		switch {
		case i == 0:
			for line := range strings.Lines(part) {
				name, _, _ := strings.Cut(line, " =")
				result[0] = regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+` =.*\n`).ReplaceAllString(result[0], "")
			}
			result[0] = part + result[0]
		case strings.HasPrefix(title, "[["):
			result = append(result, "\n"+part)
		default:
			replaced := false
			for n := range result {
				if t, _, _ := strings.Cut(result[n], "\n"); n > 0 && t == title {
					result[n], replaced = part+"\n", true
				}
			}
			if !replaced {
				result = append(result, "\n"+part)
			}
		}
	}
	return strings.Join(result, "")
}
