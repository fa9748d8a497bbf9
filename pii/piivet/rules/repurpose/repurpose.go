// Package repurpose implements a rule: values that are revealed for one purpose are not
// sealed or indexed for another.
package repurpose

import (
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// Analyzer is the rule.
var Analyzer = &analysis.Analyzer{
	Name: "repurpose",
	Doc: "report values that are revealed for one purpose and sealed or indexed for another\n\n" +
		"The only way to a further purpose is Extend, which takes the person's consent.",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/repurpose.md",
	Requires: []*analysis.Analyzer{allow.Analyzer, flow.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	for _, f := range flow.Of(pass) {
		if f.Kind != flow.Reuse {
			continue
		}
		allow.Report(pass, "repurpose", analysis.Diagnostic{
			Pos:     f.Pos,
			Message: f.Origin() + ", " + f.What + " for " + flow.Names(f.To) + ": ask for consent and Extend" + f.Place(),
			Related: f.Related(),
		})
	}
	return nil, nil
}
