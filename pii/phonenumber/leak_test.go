package phonenumber_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

// The row of this package in the table of pii's leak_test.go, which can't import
// it: it is a module of its own.
func TestParseShowsNothing(t *testing.T) {
	piitest.NoLeakParallel(t, func(c *piitest.Contact) {
		for _, text := range []string{
			c.Number + "0000000", c.Number + " x45 x", "(" + c.Number, c.Number + "\x00", "\xff" + c.Number, c.Number + c.Number,
			c.Address, c.Number[2:], "+" + c.Number, c.Number + "\n" + c.Number, "tel:" + c.Number + ";ext=1;phone-context=x",
		} {
			for _, region := range []string{"US", "DE", "HK", "AQ", "", "us", text} {
				_, err := phonenumber.Parse(text, region)
				if err == nil {
					continue
				}
				c.Search("error", err)
				c.Search("error, as printed", fmt.Sprintf("%v %+v %#v %q", err, err, err, err))
			}
		}
		security := newScope(t)
		for _, number := range []string{c.Number, "+229" + c.Number[len(c.Number)-8:]} {
			phone, err := pii.SealPhone(t.Context(), number, security)
			require.NoError(t, err)
			phonenumber.OldForms(number)
			phonenumber.NewForm(number)
			for _, scopes := range [][]*vault.Scope{{security}, nil, {nil}, {security, security}, {newScope(t)}, {security.For("nobody")}} {
				renumbered, changed, err := phonenumber.Renumber(t.Context(), phone, scopes...)
				if (err == nil) != (len(scopes) == 1 && scopes[0] == security) {
					t.Errorf("changed %v, error %v", changed, err)
				}
				c.Search("renumbered", renumbered)
				c.Search("error of renumbering", err)
				c.Search("renumbered, as printed", fmt.Sprintf("%v %+v %#v %q %v", renumbered, renumbered, renumbered, renumbered, err))
			}
		}
		if _, err := phonenumber.Parse(c.Number, ""); err != nil {
			t.Error("the number is valid, so what is refused is not refused for it")
		}
	})
}
