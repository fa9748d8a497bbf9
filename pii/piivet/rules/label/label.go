// Package label implements a rule: printed labels of sealed values are not used as data.
package label

import (
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// Analyzer is the rule.
var Analyzer = &analysis.Analyzer{
	Name: "label",
	Doc: "report the printed label of a sealed value that is used as data\n\n" +
		"A label, such as pii.Email(security), is the same for all people. It belongs into logs, " +
		"and not into keys, comparisons, messages, templates and answers.",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/label.md",
	Requires: []*analysis.Analyzer{allow.Analyzer, flow.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	for _, f := range flow.Of(pass) {
		if f.Kind != flow.Label {
			continue
		}
		allow.Report(pass, "label", analysis.Diagnostic{
			Pos: f.Pos,
			Message: "the label of a sealed value " + f.What + ", which is the same for all people" + f.Place() +
				": use an Index to find a person, and Reveal for the value",
		})
	}
	return nil, nil
}
