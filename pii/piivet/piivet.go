package piivet

import (
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/plaintext"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/value"
)

// Docs is where the doc pages of the rules are.
const Docs = "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/"

// Analyzers returns all rules, in the order of their names. The first of them,
// allow, checks the //piivet:allow directives for the others.
func Analyzers() []*analysis.Analyzer {
	rules := []*analysis.Analyzer{
		place.Boundary,
		value.Compare,
		value.Discard,
		plaintext.Egress,
		value.Embed,
		plaintext.Hash,
		plaintext.Label,
		plaintext.Leak,
		place.PurposePlace,
		plaintext.Repurpose,
		place.Revealer,
		place.ScopePlace,
	}
	return append([]*analysis.Analyzer{allow.Check(Docs+"allow.md", []string{"adopt"}, rules...)}, rules...)
}
