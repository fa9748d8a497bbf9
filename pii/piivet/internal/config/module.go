package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// moduleOf returns the directory of the go.mod that governs dir, "" if there is
// none.
func moduleOf(dir string) string { return above(dir, "go.mod") }

// above returns the nearest directory, from dir upwards, that holds a file of the
// given name.
func above(dir, name string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// modulePath returns the module path in the go.mod in root, "" if there is none.
func modulePath(root string) string {
	content, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return ""
	}
	if names := directives(string(content), "module"); len(names) > 0 {
		return names[0]
	}
	return ""
}

// workspace returns the directories of the main modules for dir: the module of dir, and
// the modules that the go.work in force uses.
func workspace(dir string) ([]string, error) {
	var roots []string
	if root := moduleOf(dir); root != "" {
		roots = append(roots, root)
	}
	work := os.Getenv("GOWORK")
	switch work {
	case "off":
		return roots, nil
	case "", "auto":
		at := above(dir, "go.work")
		if at == "" {
			return roots, nil
		}
		work = filepath.Join(at, "go.work")
	}
	content, err := os.ReadFile(work)
	if err != nil {
		return nil, err
	}
	for _, use := range directives(string(content), "use") {
		if use = filepath.FromSlash(use); !filepath.IsAbs(use) {
			use = filepath.Join(filepath.Dir(work), use)
		}
		roots = append(roots, filepath.Clean(use))
	}
	return roots, nil
}

// directives returns the first argument of each directive of the given name in a go.mod
// or go.work. A directive may stand on a line of its own or in a block.
func directives(content, name string) []string {
	var all []string
	block := false
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			continue
		case block && fields[0] == ")":
			block = false
			continue
		case !block && fields[0] == name && len(fields) > 1 && fields[1] == "(":
			block = true
			continue
		case !block && fields[0] == name && len(fields) > 1:
			line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), name))
		case !block:
			continue
		}
		line = strings.TrimSpace(line)
		if unquoted, err := strconv.Unquote(line); err == nil {
			line = unquoted
		}
		all = append(all, line)
	}
	return all
}
