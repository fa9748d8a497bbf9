// Package leak implements a rule: revealed values do not go into logs, errors, panics,
// metric labels and responses.
package leak

import (
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// Analyzer is the rule.
var Analyzer = &analysis.Analyzer{
	Name: "leak",
	Doc: "report revealed values that go into logs, errors, panics, metric labels and responses\n\n" +
		"Revealed values are tracked through variables, fields, functions and packages.",
	URL:      "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/leak.md",
	Requires: []*analysis.Analyzer{allow.Analyzer, flow.Analyzer},
	Run:      run,
}

// messages has the message for each kind of sink: the sink, and the change to make.
var messages = map[flow.Kind]string{
	flow.Log:      "goes into a log: log the sealed value, or its Hint",
	flow.Error:    "goes into an error, which ends up in logs: say what failed without the value",
	flow.Panic:    "goes into a panic, which ends up in logs: say what failed without the value",
	flow.Metric:   "goes into a metric label or a trace: count by something that is not a person",
	flow.Response: "goes into a response: if the person is to see it there, say so with //piivet:allow leak and why",
}

func run(pass *analysis.Pass) (any, error) {
	for _, f := range flow.Of(pass) {
		if f.Kind == flow.Stopped {
			allow.Report(pass, "leak", analysis.Diagnostic{
				Pos: f.Pos, Message: f.What + " takes too much work to follow to the end, so revealed values may be missed in it: split it",
			})
			continue
		}
		message, ok := messages[f.Kind]
		if f.Kind == flow.Log && standard(f.What) {
			message = "goes to standard output or standard error, which end up in logs: print the sealed value, or its Hint"
		}
		if !ok {
			continue
		}
		allow.Report(pass, "leak", analysis.Diagnostic{
			Pos:     f.Pos,
			Message: f.Origin() + ", " + message + f.Place(),
			Related: f.Related(),
		})
	}
	return nil, nil
}

// standard reports whether a sink is standard output or standard error, which are not
// logs by name but end up in them.
func standard(what string) bool {
	return strings.HasPrefix(what, "fmt.Print") || what == "os.Stdout" || what == "os.Stderr" || what == "print" || what == "println"
}
