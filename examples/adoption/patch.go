package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A filePatch has the changes of one file, without context: git diff -U0 writes them.
type filePatch struct {
	name  string
	hunks []hunk
}

// A hunk replaces old lines, from the line at on, by new ones. Without old lines, the new
// ones follow the line at.
type hunk struct {
	at       int
	old, new []string
}

var hunkHead = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@$`)

// parsePatch reads a patch of files that all exist before and after. Other lines than
// "--- a/…", "+++ b/…", heads of hunks, "-…" and "+…" are errors.
func parsePatch(patch []byte) (files []filePatch, err error) {
	var f *filePatch
	var h *hunk
	for i, line := range strings.Split(strings.TrimSuffix(string(patch), "\n"), "\n") {
		switch head := hunkHead.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "--- a/"):
			files = append(files, filePatch{name: strings.TrimPrefix(line, "--- a/")})
			f, h = &files[len(files)-1], nil
		case f != nil && h == nil && line == "+++ b/"+f.name:
		case f != nil && head != nil:
			at, err := strconv.Atoi(head[1])
			if err != nil {
				return nil, err
			}
			f.hunks = append(f.hunks, hunk{at: at})
			h = &f.hunks[len(f.hunks)-1]
		case h != nil && strings.HasPrefix(line, "-"):
			h.old = append(h.old, line[1:])
		case h != nil && strings.HasPrefix(line, "+"):
			h.new = append(h.new, line[1:])
		default:
			return nil, fmt.Errorf("line %d of the patch is none of a patch without context", i+1)
		}
	}
	return files, nil
}

var errOther = errors.New("the file is not the one that the patch was made for")

// apply returns the changed content. All old lines must be where the patch has them.
func (f filePatch) apply(content []byte) ([]byte, error) {
	lines := strings.SplitAfter(string(content), "\n")
	var out bytes.Buffer
	next := 0
	for _, h := range f.hunks {
		from := h.at - 1
		if len(h.old) == 0 {
			from = h.at
		}
		if from < next || from+len(h.old) > len(lines) {
			return nil, fmt.Errorf("%s:%d: %w", f.name, h.at, errOther)
		}
		out.WriteString(strings.Join(lines[next:from], ""))
		for i, old := range h.old {
			if lines[from+i] != old+"\n" {
				return nil, fmt.Errorf("%s:%d: %w", f.name, h.at+i, errOther)
			}
		}
		for _, line := range h.new {
			out.WriteString(line + "\n")
		}
		next = from + len(h.old)
	}
	out.WriteString(strings.Join(lines[next:], ""))
	return out.Bytes(), nil
}
