package allow

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Name is the name of the rule about directives themselves.
const Name = "allow"

// Check returns the rule that reports directives without a reason, directives for an
// unknown rule, and directives that allow no finding. It runs after all of the given
// rules, since these mark the directives that they use. Others are names of rules that
// run in modes of the command only. Their directives are never reported as unused.
func Check(url string, others []string, rules ...*analysis.Analyzer) *analysis.Analyzer {
	names := slices.Clone(others)
	for _, r := range rules {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return &analysis.Analyzer{
		Name: Name,
		Doc: "report //piivet:allow directives that say or do nothing\n\n" +
			"A directive needs the name of a rule and a reason, and something to allow.",
		URL:      url,
		Requires: append([]*analysis.Analyzer{Analyzer}, rules...),
		Run: func(pass *analysis.Pass) (any, error) {
			ds := pass.ResultOf[Analyzer].(*Directives)
			ds.mu.Lock()
			defer ds.mu.Unlock()
			for _, o := range ds.others {
				pass.Report(analysis.Diagnostic{Pos: o.pos, Message: o.message})
			}
			for _, d := range ds.all {
				if fault := d.fault(names, others); fault != "" {
					pass.Report(analysis.Diagnostic{Pos: d.Pos, Message: fault})
				}
			}
			return nil, nil
		},
	}
}

// fault returns the message for a faulty directive, "" for a valid one.
func (d *Directive) fault(names, others []string) string {
	switch {
	case d.Rule == "":
		return "directive without a rule: write //piivet:allow rule reason"
	case !slices.Contains(names, d.Rule):
		return fmt.Sprintf("unknown rule %q: piivet has %s", d.Rule, strings.Join(names, ", "))
	case d.Reason == "":
		return fmt.Sprintf("directive without a reason allows nothing: write //piivet:allow %s and why it is right here", d.Rule)
	case !d.used && !slices.Contains(others, d.Rule):
		return fmt.Sprintf("directive allows nothing: rule %s has no finding here", d.Rule)
	}
	return ""
}
