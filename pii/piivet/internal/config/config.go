package config

import (
	"strings"
)

// Name is the name of the file.
const Name = ".piivet.json"

// A Config is what one file says. It is not to be changed. The nil Config and
// the zero Config say nothing.
type Config struct {
	purposes   *patterns
	reveal     *patterns
	boundaries []boundary
}

// patterns is a list that was stated; one that was not is nil. An empty one
// matches nothing.
type patterns []string

type boundary struct {
	pattern  string
	purposes []string
}

// Declares reports whether the package may declare purposes. It is not stated
// if the file has no list of such packages.
func (c *Config) Declares(pkg string) (allowed, stated bool) {
	if c == nil || c.purposes == nil {
		return false, false
	}
	return c.purposes.match(pkg), true
}

// Reveals reports whether the package may reveal values. It is not stated if the
// file has no list of such packages.
func (c *Config) Reveals(pkg string) (allowed, stated bool) {
	if c == nil || c.reveal == nil {
		return false, false
	}
	return c.reveal.match(pkg), true
}

// Boundary returns the purposes that the package is bound to. Of several
// patterns that match it, the longest counts. It is false if none does.
func (c *Config) Boundary(pkg string) (purposes []string, bound bool) {
	if c == nil {
		return nil, false
	}
	longest := -1
	for _, b := range c.boundaries {
		if len(b.pattern) > longest && match(b.pattern, pkg) {
			purposes, longest = b.purposes, len(b.pattern)
		}
	}
	return purposes, longest >= 0
}

// Purposes returns the patterns of the packages that may declare purposes, for
// messages.
func (c *Config) Purposes() []string {
	if c == nil || c.purposes == nil {
		return nil
	}
	return *c.purposes
}

func (p patterns) match(pkg string) bool {
	for _, pattern := range p {
		if match(pattern, pkg) {
			return true
		}
	}
	return false
}

// match reports whether a pattern is the path of the package, or is that of one
// above it with "/..." at its end.
func match(pattern, pkg string) bool {
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == above || strings.HasPrefix(pkg, above+"/")
	}
	return pkg == pattern
}

// PackagePath returns the import path of a package as people write it. The
// drivers name the package that is compiled for a test "p [p.test]".
func PackagePath(path string) string {
	path, _, _ = strings.Cut(path, " ")
	return path
}
