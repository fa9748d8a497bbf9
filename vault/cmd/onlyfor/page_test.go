package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A page is a document in Markdown, whose commands the tests run.
type page struct{ sections []section }

// A section is the text below a heading of the second level.
type section struct {
	title, text string
	blocks      []block
}

// A block is fenced text, with the word behind the fence.
type block struct{ kind, text string }

var fence = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")

// readPage reads a page up to a line, or to its end for "".
func readPage(t *testing.T, path, end string) *page {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(data)
	if end != "" {
		before, _, ok := strings.Cut(text, "\n"+end+"\n")
		require.True(t, ok, "%s has no line %q", path, end)
		text = before
	}
	p := new(page)
	for _, part := range strings.Split(text, "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		s := section{title: title, text: text}
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			s.blocks = append(s.blocks, block{m[1], m[2]})
		}
		p.sections = append(p.sections, s)
	}
	return p
}

// section returns the section of a title.
func (p *page) section(t *testing.T, title string) section {
	t.Helper()
	for _, s := range p.sections {
		if s.title == title {
			return s
		}
	}
	require.Fail(t, "no section", "## %s", title)
	return section{}
}

// of returns the texts of the blocks of a kind, one after the other.
func (s section) of(kind string) string {
	var all strings.Builder
	for _, b := range s.blocks {
		if b.kind == kind {
			all.WriteString(b.text)
		}
	}
	return all.String()
}

// A shown command is a command that a session shows, with its output and its exit code.
type shown struct {
	command string
	output  string
	code    int
}

var exitCode = regexp.MustCompile(`(?m)^exit code (\d)\n`)

// steps returns the commands of a session: each is behind "$ ", with its output below it.
func steps(session string) (all []shown) {
	for _, part := range strings.Split("\n"+session, "\n$ ")[1:] {
		command, output, _ := strings.Cut(part+"\n", "\n")
		step := shown{command: command, output: output}
		if m := exitCode.FindStringSubmatch(output); m != nil {
			step.code, step.output = int(m[1][0]-'0'), strings.Replace(output, m[0], "", 1)
		}
		all = append(all, step)
	}
	return all
}
