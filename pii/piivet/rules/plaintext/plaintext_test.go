package plaintext_test

import (
	"testing"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/plaintext"
)

func TestRules(t *testing.T) {
	for _, rule := range []*analysis.Analyzer{plaintext.Egress, plaintext.Hash, plaintext.Label, plaintext.Leak, plaintext.Repurpose} {
		t.Run(rule.Name, func(t *testing.T) { vettest.Run(t, rule, "./"+rule.Name+"/...") })
	}
}

// Requests through a transport of package egress have neither plaintext nor labels.
func TestDeclaredFieldsAreNoFinding(t *testing.T) {
	for _, rule := range []*analysis.Analyzer{plaintext.Label, plaintext.Leak} {
		if lines := vettest.Lines(t, rule, "./egress/declared"); len(lines) > 0 {
			t.Errorf("%s reports lines %v", rule.Name, lines)
		}
	}
}
