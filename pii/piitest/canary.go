package piitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
)

// Canary plants a contact that was collected for the purpose of planted, runs f, and
// fails the test if the contact turns up in a sink of c:
//
//	piitest.Canary(t, security, func(c *piitest.Contact) {
//		service.SignUp(c.Address, c.Number)
//		service.ExportAudience(c.Writer("audience export"))
//	})
//
// In this way outsiders found that ad platforms matched phone numbers given for
// two-factor codes: they planted numbers that nobody else had, and saw where they
// came out. Canary knows nothing about the code, and so finds data that bypasses
// this library too.
//
// Canary searches for everything that [Contact] describes, and for sealed values and
// blind indexes of the contact under the purposes of planted and elsewhere. It
// therefore finds an address that was read for one purpose and sealed again for
// another. If the service seals for one person at a time, narrow planted to the
// person of the contact with [vault.Scope.For]. Canary opens the sealed values that
// it finds, and the auditor of their vault sees that.
//
// The test fails if the code writes nothing to a sink, since it then shows nothing.
// Parallel tests may use Canary.
func Canary(t testing.TB, planted *vault.Scope, f func(c *Contact), elsewhere ...*vault.Scope) {
	mustTest()
	t.Helper()
	if planted.Purpose().IsZero() {
		t.Fatal("piitest: Canary needs the scope of the purpose that the contact is planted for, and has nil")
	}
	c := newContact(t, rules{
		subject: "planted for " + planted.Purpose().String(),
		advice: fmt.Sprintf("nothing collected for %v may come out here: give this code the scope of its own purpose only, "+
			"or ask the person and extend the value", planted.Purpose()),
		planted:   planted,
		elsewhere: elsewhere,
	})
	run(t, c, f)
	if len(c.sinks) == 0 {
		t.Error("piitest: Canary was shown nothing of what came out: " +
			"pass c.Writer, c.Requests or c.Responses to the code under test, or its result to c.Search")
	}
}

// run calls f and checks the sinks, even if f ends the test or panics.
func run(t testing.TB, c *Contact, f func(c *Contact)) {
	t.Helper()
	finished := false
	defer func() {
		t.Helper()
		if !finished { // because of t.FailNow or a panic, which goes on after this
			c.check(t)
		}
	}()
	f(c)
	finished = true
	c.check(t)
}

// maxRenderings is the number of renderings of one leak that a message lists.
const maxRenderings = 4

// A leak is the list of all renderings of the address, or of the number, that turned
// up in one sink.
type leak struct {
	name, noun string
	callSite   callSite
	renderings []string
}

// check fails the test for every sink with a leak: once for the address, and once
// for the number. It reports whether there was none.
func (c *Contact) check(t testing.TB) (clean bool) {
	t.Helper()
	c.mu.Lock()
	sinks := slices.Clone(c.sinks)
	c.mu.Unlock()
	var leaks []*leak
	for _, s := range sinks {
		leaks = c.searchSink(leaks, s)
	}
	for _, l := range leaks {
		if more := len(l.renderings) - maxRenderings; more > 0 {
			l.renderings = append(l.renderings[:maxRenderings], fmt.Sprintf("and %d more", more))
		}
		t.Errorf("piitest: %s (%s) carries %s that was %s: %s: %s",
			l.name, l.callSite, l.noun, c.rules.subject, strings.Join(l.renderings, "; "), c.rules.advice)
	}
	return len(leaks) == 0
}

// searchSink adds the leaks in s to leaks.
func (c *Contact) searchSink(leaks []*leak, s *sink) []*leak {
	report := func(noun, rendering string) {
		i := slices.IndexFunc(leaks, func(l *leak) bool {
			return l.name == s.name && l.callSite == s.callSite && l.noun == noun
		})
		if i < 0 {
			i = len(leaks)
			leaks = append(leaks, &leak{name: s.name, callSite: s.callSite, noun: noun})
		}
		if !slices.Contains(leaks[i].renderings, rendering) {
			leaks[i].renderings = append(leaks[i].renderings, rendering)
		}
	}
	for _, piece := range s.all() {
		c.needles.search(piece,
			func(n needle, in string) { report(n.noun, n.rendering+in) },
			func(text, in string) {
				if c.rules.planted == nil {
					return
				}
				v, err := vault.ParseSealed(text)
				if err != nil || v.IsZero() {
					return
				}
				noun, under, unclear := c.isOurs(c.t.Context(), v)
				switch {
				case unclear:
					report("a sealed value of a single person, perhaps the contact,", "sealed for "+under+in+
						" (narrow the scope that Canary is given with For, so that it can tell)")
				case noun != "":
					report(noun, "sealed for "+under+in)
				}
			})
	}
	return leaks
}
