package piivet

import (
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/boundary"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/compare"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/discard"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/embed"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/plaintext"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/purposeplace"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/revealer"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/scopeplace"
)

// Docs is where the doc pages of the rules are.
const Docs = "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/"

// Analyzers returns all rules, in the order of their names. The first of them,
// allow, checks the //piivet:allow directives for the others.
func Analyzers() []*analysis.Analyzer {
	rules := []*analysis.Analyzer{
		boundary.Analyzer,
		compare.Analyzer,
		discard.Analyzer,
		plaintext.Egress,
		embed.Analyzer,
		plaintext.Hash,
		plaintext.Label,
		plaintext.Leak,
		purposeplace.Analyzer,
		plaintext.Repurpose,
		revealer.Analyzer,
		scopeplace.Analyzer,
	}
	return append([]*analysis.Analyzer{allow.Check(Docs+"allow.md", []string{"adopt"}, rules...)}, rules...)
}
