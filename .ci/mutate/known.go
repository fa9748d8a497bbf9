package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// readKnown reads the accepted survivors: one key a line, below a line that begins
// with "# " and gives the reason.
func readKnown(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := map[string]string{}
	reason := ""
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "":
			reason = ""
		case strings.HasPrefix(line, "# "):
			reason = strings.TrimSpace(reason + " " + line[2:])
		case reason == "":
			return nil, fmt.Errorf("%s:%d: without a reason", file, n)
		default:
			known[line] = reason
		}
	}
	return known, sc.Err()
}

// report prints the score, and reports whether every survivor is known and, if
// all were tried, whether every known one is still there.
func report(w io.Writer, tried, survivors []Mutant, known map[string]string, all bool) bool {
	ok := true
	still := map[string]bool{}
	unknown := 0
	for _, m := range survivors {
		still[m.Key()] = true
		if known[m.Key()] == "" {
			fmt.Fprintf(w, "unknown survivor: %s\n", m.Key())
			unknown, ok = unknown+1, false
		}
	}
	for key := range known {
		if all && !still[key] {
			fmt.Fprintf(w, "known as a survivor, but killed or gone: %s\n", key)
			ok = false
		}
	}
	killed := len(tried) - len(survivors)
	fmt.Fprintf(w, "%d tried, %d killed (%.1f %%), %d let live with a reason, %d without\n",
		len(tried), killed, 100*float64(killed)/float64(max(1, len(tried))), len(survivors)-unknown, unknown)
	return ok
}

// survivorsOf returns the keys of the mutants that lived, from an earlier output.
func survivorsOf(output string) map[string]bool {
	keys := map[string]bool{}
	for line := range strings.Lines(output) {
		for _, mark := range []string{" lives: ", " not reached: "} {
			if _, key, ok := strings.Cut(strings.TrimSuffix(line, "\n"), mark); ok {
				keys[key] = true
			}
		}
	}
	return keys
}

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// linesOf returns the new lines of each file of a diff without context and prefixes.
func linesOf(diff string) map[string]map[int]bool {
	lines := map[string]map[int]bool{}
	file := ""
	for line := range strings.Lines(diff) {
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			file = strings.TrimSpace(name)
			lines[file] = map[int]bool{}
		} else if m := hunk.FindStringSubmatch(line); m != nil {
			first, _ := strconv.Atoi(m[1])
			n := 1
			if m[2] != "" {
				n, _ = strconv.Atoi(m[2])
			}
			for i := range n {
				lines[file][first+i] = true
			}
		}
	}
	return lines
}
