// Package plaintext implements the rules about values that flow: where revealed values, the
// labels of sealed values and sealed texts may not go. Package flow tracks them.
package plaintext

import (
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
)

// Egress reports sealed values in requests that a transport of package egress refuses.
var Egress = rule("egress", "report sealed values in requests that an egress.Transport refuses\n\n"+
	"The transport takes sealed text in the fields that its rules declare, and nowhere else.",
	func(f flow.Finding) string {
		if f.Kind != flow.Egress {
			return ""
		}
		return f.What + f.Place()
	})

// Hash reports revealed values that are hashed without a key.
var Hash = rule("hash", "report revealed values that are hashed without a key\n\n"+
	"All existing phone numbers can be hashed in minutes, and lists of addresses are for sale.",
	func(f flow.Finding) string {
		if f.Kind != flow.Hash {
			return ""
		}
		return f.Origin() + ", hashed by " + f.What + " without a key: whoever has a list of addresses can do the same, so use an Index" + f.Place()
	})

// Label reports printed labels of sealed values that are used as data.
var Label = rule("label", "report the printed label of a sealed value that is used as data\n\n"+
	"A label, such as pii.Email(security), is the same for all people. It belongs into logs, "+
	"and not into keys, comparisons, messages, templates and answers.",
	func(f flow.Finding) string {
		if f.Kind != flow.Label {
			return ""
		}
		return "the label of a sealed value " + f.What + ", which is the same for all people" + f.Place() +
			": use an Index to find a person, and Reveal for the value"
	})

// Leak reports revealed values that go into logs, errors, panics, metric labels and
// responses.
var Leak = rule("leak", "report revealed values that go into logs, errors, panics, metric labels and responses\n\n"+
	"Revealed values are tracked through variables, fields, functions and packages.",
	func(f flow.Finding) string {
		message, ok := leaks[f.Kind]
		switch {
		case f.Kind == flow.Stopped:
			return f.What + " takes too much work to follow to the end, so revealed values may be missed in it: split it"
		case f.Kind == flow.Log && standard(f.What):
			message = "goes to standard output or standard error, which end up in logs: print the sealed value, or its Hint"
		case !ok:
			return ""
		}
		return f.Origin() + ", " + message + f.Place()
	})

// Repurpose reports values that are revealed for one purpose and sealed or indexed for
// another.
var Repurpose = rule("repurpose", "report values that are revealed for one purpose and sealed or indexed for another\n\n"+
	"The only way to a further purpose is Extend, which takes the person's consent.",
	func(f flow.Finding) string {
		if f.Kind != flow.Reuse {
			return ""
		}
		return f.Origin() + ", " + f.What + " for " + flow.Names(f.To) + ": ask for consent and Extend" + f.Place()
	})

// leaks has the message for each kind of sink: the sink, and the change to make.
var leaks = map[flow.Kind]string{
	flow.Log:      "goes into a log: log the sealed value, or its Hint",
	flow.Error:    "goes into an error, which ends up in logs: say what failed without the value",
	flow.Panic:    "goes into a panic, which ends up in logs: say what failed without the value",
	flow.Metric:   "goes into a metric label or a trace: count by something that is not a person",
	flow.Response: "goes into a response: if the person is to see it there, say so with //piivet:allow leak and why",
}

// standard reports whether a sink is standard output or standard error, which are not
// logs by name but end up in them.
func standard(what string) bool {
	return strings.HasPrefix(what, "fmt.Print") || what == "os.Stdout" || what == "os.Stderr" || what == "print" || what == "println"
}

// rule returns the rule that reports the findings with a message.
func rule(name, doc string, message func(flow.Finding) string) *analysis.Analyzer {
	run := func(pass *analysis.Pass) (any, error) {
		for _, f := range flow.Of(pass) {
			if text := message(f); text != "" {
				allow.Report(pass, name, analysis.Diagnostic{Pos: f.Pos, Message: text, Related: f.Related()})
			}
		}
		return nil, nil
	}
	return &analysis.Analyzer{
		Name: name, Doc: doc, URL: "https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/" + name + ".md",
		Requires: []*analysis.Analyzer{allow.Analyzer, flow.Analyzer}, Run: run,
	}
}
