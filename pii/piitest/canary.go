package piitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
)

// Canary plants a contact that was collected for the purpose of planted, runs f,
// and fails the test if any trace of the contact came out at the outlets of c:
//
//	piitest.Canary(t, security, func(c *piitest.Contact) {
//		service.SignUp(c.Address, c.Number)
//		service.ExportAudience(c.Writer("audience export"))
//	})
//
// It is how outsiders found that ad platforms matched numbers given for two-factor
// codes: plant one that nobody else has, and see where it comes out. It knows
// nothing of how the code works, and so finds what goes round this library too.
//
// Beside what a [Contact] describes, sealed values of the contact and its
// blind indexes are traces, under the purpose of planted and under those of
// elsewhere: what was read for one purpose and sealed again for another is found
// under the other. Where the service seals for one person at a time, planted has
// to be narrowed by [vault.Scope.For] to the person whom the contact stands for.
// Sealed values in output are told by opening them, which their vault's auditor
// sees.
//
// The code has to have produced something at an outlet, or nothing was shown.
// Canary may be used in parallel tests.
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
	if len(c.outlets) == 0 {
		t.Error("piitest: Canary was shown nothing of what came out: " +
			"pass c.Writer, c.Requests or c.Responses to the code under test, or its result to c.Search")
	}
}

// run calls f and checks what came out, even if f ends the test or panics.
func run(t testing.TB, c *Contact, f func(c *Contact)) {
	t.Helper()
	finished := false
	defer func() {
		t.Helper()
		if !finished { // by t.FailNow, or by a panic, which goes on after this
			c.check(t)
		}
	}()
	f(c)
	finished = true
	c.check(t)
}

// maxForms bounds how many forms of one leak a message lists.
const maxForms = 4

// A leak is all that came out at one outlet of the address or of the number.
type leak struct {
	name, place, what string
	forms             []string
}

// check complains of every outlet that something came out of, once for the
// address and once for the number.
func (c *Contact) check(t testing.TB) (clean bool) {
	t.Helper()
	c.mu.Lock()
	outlets := slices.Clone(c.outlets)
	c.mu.Unlock()
	var leaks []*leak
	for _, o := range outlets {
		leaks = c.searchOutlet(leaks, o)
	}
	for _, l := range leaks {
		if more := len(l.forms) - maxForms; more > 0 {
			l.forms = append(l.forms[:maxForms], fmt.Sprintf("and %d more", more))
		}
		t.Errorf("piitest: %s (%s) carries %s that was %s: %s: %s",
			l.name, l.place, l.what, c.rules.subject, strings.Join(l.forms, "; "), c.rules.advice)
	}
	return len(leaks) == 0
}

func (c *Contact) searchOutlet(leaks []*leak, o *outlet) []*leak {
	report := func(what, form string) {
		i := slices.IndexFunc(leaks, func(l *leak) bool {
			return l.name == o.name && l.place == o.place && l.what == what
		})
		if i < 0 {
			i = len(leaks)
			leaks = append(leaks, &leak{name: o.name, place: o.place, what: what})
		}
		if !slices.Contains(leaks[i].forms, form) {
			leaks[i].forms = append(leaks[i].forms, form)
		}
	}
	for _, piece := range o.all() {
		c.traces.search(piece,
			func(t trace, in string) { report(t.what, t.form+in) },
			func(text, in string) {
				if c.rules.planted == nil {
					return
				}
				v, err := vault.ParseSealed(text)
				if err != nil || v.IsZero() {
					return
				}
				what, under, unclear := c.isOurs(c.t.Context(), v)
				switch {
				case unclear:
					report("a sealed value of a single person, perhaps the contact,", "sealed for "+under+in+
						" (narrow the scope that Canary is given with For, so that it can tell)")
				case what != "":
					report(what, "sealed for "+under+in)
				}
			})
	}
	return leaks
}
