// Package golangci makes piivet a module plugin of golangci-lint. The program that
// `golangci-lint custom` builds imports it for its side effect. docs/golangci.md has the
// two configuration files.
package golangci

import (
	"errors"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet"
)

// Name is the name of the linter in .golangci.yml.
const Name = "piivet"

func init() { register.Plugin(Name, New) }

// New returns the plugin. The plugin has no settings, since [piivet] always reads
// .piivet.json. A setting is an error, so that it is not silently without effect.
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
