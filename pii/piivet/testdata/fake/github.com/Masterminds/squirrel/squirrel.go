// Package squirrel is the little of github.com/Masterminds/squirrel that the tests use.
package squirrel

type Eq map[string]any
