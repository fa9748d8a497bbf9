// Package hash implements a rule: revealed values are not hashed without a key.
package hash

import (
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// Analyzer is the rule.
var Analyzer = &analysis.Analyzer{
	Name: "hash",
	Doc: "report revealed values that are hashed without a key\n\n" +
		"All existing phone numbers can be hashed in minutes, and lists of addresses are for sale.",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/hash.md",
	Requires: []*analysis.Analyzer{allow.Analyzer, flow.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	for _, f := range flow.Of(pass) {
		if f.Kind != flow.Hash {
			continue
		}
		allow.Report(pass, "hash", analysis.Diagnostic{
			Pos:     f.Pos,
			Message: f.Origin() + ", hashed by " + f.What + " without a key: whoever has a list of addresses can do the same, so use an Index" + f.Place(),
			Related: f.Related(),
		})
	}
	return nil, nil
}
