// Package golangci makes piivet a module plugin of golangci-lint. It is imported
// for its effect, by what `golangci-lint custom` builds; docs/golangci.md has
// the two files that this takes.
package golangci

import (
	"errors"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet"
)

// Name is what .golangci.yml calls the linter.
const Name = "piivet"

func init() { register.Plugin(Name, New) }

// New returns the plugin. It has no settings, since [piivet] reads .piivet.json
// however it is run: any are an error, so that one that was meant to change
// something is not passed over.
func New(settings any) (register.LinterPlugin, error) {
	if given, ok := settings.(map[string]any); settings != nil && (!ok || len(given) > 0) {
		return nil, errors.New("piivet: the plugin has no settings: they are in .piivet.json beside go.mod")
	}
	return plugin{}, nil
}

type plugin struct{}

// BuildAnalyzers returns all rules.
func (plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) { return piivet.Analyzers(), nil }

// GetLoadMode asks for type information.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
