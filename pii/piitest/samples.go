package piitest

import (
	"strings"
	"testing"
)

// A Sample is text that people type into a form, for table tests. The addresses are
// under names that RFC 2606 reserves, and the numbers in ranges kept for fiction.
type Sample struct {
	// Rule names the rule that the sample shows, such as "extension", and a subtest.
	Rule string
	// Text is the text that a person types.
	Text string
	// Revealed is the text that Reveal returns, "" for a Text that is not valid.
	Revealed string
}

// Valid reports whether the text can be sealed.
func (s Sample) Valid() bool { return s.Revealed != "" }

// Emails returns samples of e-mail addresses, valid ones and others. All calls return
// equal samples.
func Emails() []Sample {
	return []Sample{
		{"plain", "person@example.com", "person@example.com"},
		{"blanks around", "  person@example.com\r\n", "person@example.com"},
		{"capital letters", "Person@EXAMPLE.com", "Person@example.com"},
		{"plus tag", "person+news@example.com", "person+news@example.com"},
		{"dots", "first.last@example.com", "first.last@example.com"},
		{"apostrophe", "o'person@example.com", "o'person@example.com"},
		{"one letter", "p@example.com", "p@example.com"},
		{"longest local part", strings.Repeat("p", 64) + "@example.com", strings.Repeat("p", 64) + "@example.com"},
		{"subdomain", "person@mail.eu.example.org", "person@mail.eu.example.org"},
		{"internationalised domain", "person@bücher.example", "person@xn--bcher-kva.example"},
		{"A-label", "person@xn--bcher-kva.example", "person@xn--bcher-kva.example"},

		{"empty", "", ""},
		{"blanks only", " \t ", ""},
		{"no at", "person.example.com", ""},
		{"two at", "person@home@example.com", ""},
		{"no local part", "@example.com", ""},
		{"no domain", "person@", ""},
		{"one label", "person@localhost", ""},
		{"dot at the end", "person.@example.com", ""},
		{"two dots", "first..last@example.com", ""},
		{"local part too long", strings.Repeat("p", 65) + "@example.com", ""},
		{"quoted", `"first last"@example.com`, ""},
		{"display name", "Person <person@example.com>", ""},
		{"list", "person@example.com, other@example.com", ""},
		{"comment", "person(home)@example.com", ""},
		{"address literal", "person@[192.0.2.1]", ""},
		{"number for a domain", "person@192.0.2.1", ""},
		{"local part that is not ASCII", "pérson@example.com", ""},
		{"twin of k", "person@\u212aiosk.example", ""},
		{"line break within", "person@example.com\nBcc: other@example.com", ""},
		{"zero byte", "person@example.com\x00", ""},
		{"invalid UTF-8", "person@ex\xffample.com", ""},
	}
}

// Phones returns samples of phone numbers, valid ones and others. All calls return
// equal samples.
func Phones() []Sample {
	return []Sample{
		{"E.164", "+12025550123", "+12025550123"},
		{"blanks", "+1 202 555 0123", "+12025550123"},
		{"blanks around", "\t+12025550123 ", "+12025550123"},
		{"hyphens", "+1-202-555-0123", "+12025550123"},
		{"full stops", "+1.202.555.0123", "+12025550123"},
		{"parentheses", "+1 (202) 555-0123", "+12025550123"},
		{"another country", "+44 7700 900123", "+447700900123"},

		{"empty", "", ""},
		{"no country", "202 555 0123", ""},
		{"00 for plus", "0012025550123", ""},
		{"country 0", "+0 202 555 0123", ""},
		{"trunk zero in parentheses", "+44 (0)7700 900123", ""},
		{"extension", "+1 202 555 0123 x45", ""},
		{"letters", "+1 202 555 CALL", ""},
		{"too short", "+120255", ""},
		{"too long", "+1202555012345678", ""},
		{"open parenthesis", "+1 (202 555 0123", ""},
		{"two pluses", "++12025550123", ""},
		{"plus alone", "+", ""},
		{"digits of another script", "+1٢٠٢5550123", ""},
		{"line break within", "+1202\n5550123", ""},
		{"an address", "person@example.com", ""},
	}
}

// Seed adds the texts of samples to the corpus of f. The fuzz target takes one string:
//
//	piitest.Seed(f, piitest.Emails(), piitest.Phones())
//	f.Fuzz(func(t *testing.T, text string) { … })
func Seed(f *testing.F, samples ...[]Sample) {
	mustTest()
	f.Helper()
	for _, list := range samples {
		for _, s := range list {
			f.Add(s.Text)
		}
	}
}
