package config

import (
	"strings"
)

// Name is the name of the file.
const Name = ".piivet.json"

// A Config is the content of one file. It must not be changed. The nil Config and the
// zero Config stand for an empty file.
type Config struct {
	purposes   *patterns
	reveal     *patterns
	boundaries []boundary
}

// patterns is a list of package patterns. A nil *patterns stands for a list that the file
// does not have. An empty list matches nothing.
type patterns []string

type boundary struct {
	pattern  string
	purposes []string
}

// Declares reports whether the package may declare purposes. Stated is false if the file
// has no list of such packages.
func (c *Config) Declares(pkg string) (allowed, stated bool) {
	if c == nil || c.purposes == nil {
		return false, false
	}
	return c.purposes.match(pkg), true
}

// Reveals reports whether the package may reveal values. Stated is false if the file has
// no list of such packages.
func (c *Config) Reveals(pkg string) (allowed, stated bool) {
	if c == nil || c.reveal == nil {
		return false, false
	}
	return c.reveal.match(pkg), true
}

// Boundary returns the purposes that the package is bound to. If several patterns match
// the package, the longest one counts. Bound is false if none does.
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

// match reports whether a pattern is the path of the package, or ends in "/..." and is
// the path of the package or of one above it.
func match(pattern, pkg string) bool {
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == above || strings.HasPrefix(pkg, above+"/")
	}
	return pkg == pattern
}
