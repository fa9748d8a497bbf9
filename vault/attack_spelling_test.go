package vault_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
)

// A value has one text and one binary form. Everything that some other program
// might take for the same, or make of it on the way, is refused before it is
// looked into: or a unique constraint, a list of revoked values or a comparison
// would be passed by another spelling.

// A spelling is a text that means, to somebody, what the value's text means. One
// that is made of the format's own characters may be well formed, as another value
// that opens for nobody.
type spelling struct {
	name, text string
	another    bool
}

func spellingsOf(v refValue) []spelling {
	var all []spelling
	add := func(name, text string) { all = append(all, spelling{name: name, text: text}) }
	other := func(name, text string) { all = append(all, spelling{name, text, true}) }
	text, body := v.text(), base64.RawURLEncoding.EncodeToString(v.body())
	names := strings.Join(v.names(), "~")
	join := func(fields ...string) string { return strings.Join(fields, ".") }
	named := func(names string) string { return join("pii1", v.kind, names, body) }
	bodied := func(body string) string { return join("pii1", v.kind, names, body) }

	// The body in other encodings, and in other ways to write this one.
	add("base64: standard alphabet", bodied(base64.RawStdEncoding.EncodeToString(v.body())))
	add("base64: padded", bodied(base64.URLEncoding.EncodeToString(v.body())))
	add("base64: standard, padded", bodied(base64.StdEncoding.EncodeToString(v.body())))
	for _, pad := range []string{"=", "==", "===", "====", "%3D", "A", "AA", "AAAA"} {
		add("base64: "+pad+" behind", bodied(body+pad))
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for bits := 1; bits < map[int]int{0: 1, 2: 16, 3: 4}[len(body)%4]; bits++ {
		last := strings.IndexByte(alphabet, body[len(body)-1])
		add("base64: trailing bits", bodied(body[:len(body)-1]+alphabet[last|bits:last|bits+1]))
	}
	for _, b := range []string{"\n", "\r\n", "\r", " ", "\t", "=", "\x00"} {
		for _, at := range []int{0, 1, 4, len(body) / 2, len(body) - 1, len(body)} {
			add(fmt.Sprintf("base64: %q inside", b), bodied(body[:at]+b+body[at:]))
		}
	}
	var lines []byte
	for line := range slices.Chunk([]byte(body), 76) {
		lines = append(append(lines, line...), "\r\n"...)
	}
	add("base64: MIME", bodied(string(lines)))
	add("base32", bodied(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(v.body())))
	add("hexadecimal", bodied(hex.EncodeToString(v.body())))
	add("base64 of base64", bodied(base64.RawURLEncoding.EncodeToString([]byte(body))))

	// Case.
	add("upper case", strings.ToUpper(text))
	other("lower case", strings.ToLower(text))
	add("magic in upper case", "PII1"+text[4:])
	add("kind in upper case", join("pii1", strings.ToUpper(v.kind), names, body))
	add("purposes in title case", named(strings.ToUpper(names[:1])+names[1:]))
	add("purposes in upper case", named(strings.ToUpper(names)))
	other("body in upper case", bodied(strings.ToUpper(body)))
	other("body in lower case", bodied(strings.ToLower(body)))

	// Blanks and invisible characters, at the ends and at every border.
	for _, c := range []string{
		" ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\x00", "\x1a", "\x7f", "\x1b[0m", "\u0085", "\u00a0", "\u00ad", "\u034f", "\u180e", "\u2000",
		"\u200b", "\u200c", "\u200d", "\u200e", "\u2028", "\u2029", "\u202e", "\u2060", "\u3000", "\ufe0f", "\ufeff", "\ufffd", "\xef\xbb", "\xff",
	} {
		add(fmt.Sprintf("%+q in front", c), c+text)
		add(fmt.Sprintf("%+q behind", c), text+c)
		add(fmt.Sprintf("%+q around dots", c), strings.ReplaceAll(text, ".", c+"."))
		add(fmt.Sprintf("%+q after dots", c), strings.ReplaceAll(text, ".", "."+c))
		add(fmt.Sprintf("%+q in the kind", c), join("pii1", v.kind[:1]+c+v.kind[1:], names, body))
		add(fmt.Sprintf("%+q in the name", c), named(names[:1]+c+names[1:]))
	}

	// Look-alikes, and characters that some folding or normal form makes the same.
	for plain, likes := range map[string][]string{
		".": {"\u2024", "\u3002", "\uff0e", "\uff61", "\u00b7", "\u0660", ",", ":", "/", "\xc0\xae", "\xe0\x80\xae", "%2e", "%2E", "..", "\\."},
		"~": {"\u223c", "\uff5e", "\u02dc", "\u0303", "+", ",", "|", ";", " ", "&", "~~", "%7e", "%7E"},
		"-": {"\u2010", "\u2011", "\u2212", "\u2013", "\uff0d", "\u00ad", "_", "%2d"},
		"i": {"\u0456", "\uff49", "\u0131", "\u0130", "I", "1", "l", "i\u0307"},
		"e": {"\u0435", "\uff45", "\u0117", "e\u0301", "\xc1\xa5", "%65"},
		"a": {"\u0430", "\uff41", "\u00aa", "a\u0301"},
		"s": {"\u0455", "\u017f", "\uff53", "\u0073\u200d"},
		"p": {"\u0440", "\uff50"},
		"k": {"\u212a", "\uff4b", "K"},
		"1": {"\u0661", "\uff11", "\u00b9", "\u2460", "l", "I", "01", "1.0"},
	} {
		for _, like := range likes {
			head := join("pii1", v.kind, names) + "."
			for n := range strings.Count(head, plain) {
				spell := add
				if like[0] >= '0' && like[0] <= '9' || like[0] >= 'a' && like[0] <= 'z' {
					spell = other
				}
				spell(fmt.Sprintf("%+q for %s", like, plain), replaceNth(head, plain, like, n)+body)
			}
			if at := strings.Index(body, plain); at >= 0 && !strings.ContainsAny(like, alphabet) {
				add(fmt.Sprintf("%+q for %s in the body", like, plain), bodied(body[:at]+like+body[at+len(plain):]))
			}
		}
	}

	// What goes on with text on its way through other formats.
	quoted, _ := json.Marshal(text)
	var escaped []byte
	for _, c := range text {
		escaped = fmt.Appendf(escaped, "\\u%04x", c)
	}
	wide := utf16.Encode([]rune(text))
	var little, big []byte
	for _, u := range wide {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	for _, s := range []struct{ name, text string }{
		{"JSON", string(quoted)}, {"JSON escapes", string(escaped)}, {"JSON array", "[" + string(quoted) + "]"},
		{"single quotes", "'" + text + "'"}, {"back quotes", "`" + text + "`"}, {"angle brackets", "<" + text + ">"},
		{"escape string", "E'" + text + "'"}, {"a cast", text + "::text"}, {"a comment", text + "--"}, {"a terminator", text + ";"},
		{"a query", url.QueryEscape(text)}, {"escaped twice", url.QueryEscape(url.QueryEscape(text))}, {"a data URL", "data:," + text},
		{"percent signs", percent(text)}, {"a fragment", "#" + text}, {"a parameter", text + "?x"}, {"another parameter", text + "&x"},
		{"HTML", html.EscapeString("<b>" + text)}, {"an entity", "&#112;" + text[1:]},
		{"UTF-16", string(little)}, {"UTF-16BE", string(big)}, {"UTF-16 with BOM", "\xff\xfe" + string(little)},
		{"base64 of it", base64.StdEncoding.EncodeToString([]byte(text))}, {"hex of it", hex.EncodeToString([]byte(text))},
		{"bytea", `\x` + hex.EncodeToString([]byte(text))}, {"bytea of the binary form", `\x` + hex.EncodeToString(v.binary())},
		{"the binary form", string(v.binary())}, {"base64 of the binary form", base64.RawURLEncoding.EncodeToString(v.binary())},
		{"hex of the binary form", hex.EncodeToString(v.binary())}, {"a blob", "X'" + hex.EncodeToString(v.binary()) + "'"},
		{"twice", text + text}, {"two", text + "," + text}, {"two lines", text + "\n" + text}, {"padded column", text + strings.Repeat(" ", 64)},
		{"cut column", text[:len(text)-len(text)%8-8]}, {"zeros to a length", text + strings.Repeat("\x00", 64)}, {"reversed", reversed(text)},
	} {
		add(s.name, s.text)
	}

	// Fields that are missing, doubled, empty or in another order.
	for _, s := range []struct{ name, text string }{
		{"no magic", join(v.kind, names, body)}, {"no kind", join("pii1", names, body)}, {"no purposes", join("pii1", v.kind, body)},
		{"no body", join("pii1", v.kind, names)}, {"empty body", bodied("")}, {"empty kind", join("pii1", "", names, body)},
		{"empty purposes", named("")},
		{"body first", join("pii1", body, v.kind, names)}, {"one field more", text + "."}, {"a field more", join(text, "x")},
		{"magic twice", "pii1." + text}, {"kind twice", join("pii1", v.kind, v.kind, names, body)}, {"names twice", join("pii1", v.kind, names, names, body)},
		{"body twice", join(text, body)}, {"later version", "pii2" + text[4:]}, {"no version", "pii" + text[4:]}, {"another magic", "ofc1" + text[4:]},
		{"separator in front", named("~" + names)}, {"separator behind", named(names + "~")}, {"separator alone", named("~")},
		{"a name twice", named(names + "~" + v.slots[len(v.slots)-1].purpose)}, {"a name more", named(names + "~zz")}, {"an earlier name", named("a~" + names)},
	} {
		add(s.name, s.text)
	}
	other("kind and purposes exchanged", join("pii1", names, v.kind, body))
	last := len(v.slots) - 1
	doubled := v.clone()
	doubled.slots = append(doubled.slots, doubled.slots[last])
	add("a slot twice", doubled.text())
	add("a slot twice, named once", refText(v.kind, names, doubled.body()))
	if last > 0 {
		turned := v.clone()
		slices.Reverse(turned.slots)
		add("in reverse", turned.text())
		add("a name less", named(strings.Join(v.names()[:last], "~")))
		add("a slot less", refText(v.kind, names, refValue{v.kind, v.id, v.slots[:last]}.body()))
		if last > 1 {
			turned.slots = append(turned.slots[1:], turned.slots[0])
			add("turned", turned.text())
		}
	}
	return all
}

func replaceNth(s, old, new string, n int) string {
	at := 0
	for range n + 1 {
		at += strings.Index(s[at:], old) + len(old)
	}
	return s[:at-len(old)] + new + s[at:]
}

func percent(s string) string {
	var out []byte
	for i := range len(s) {
		out = fmt.Appendf(out, "%%%02X", s[i])
	}
	return string(out)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func TestEverySpellingIsRefused(t *testing.T) {
	a := newCatalogue(t)
	seen := map[string]int{}
	for i, v := range a.values {
		own, err := vault.ParseSealed(v.text())
		require.NoError(t, err)
		all := spellingsOf(v)
		for n := range a.sample(len(all), 100, i < few || i%16 == 0 || exhaustive()) {
			s := all[n]
			if s.text == v.text() {
				continue // it has nothing that is written another way
			}
			seen[s.name]++
			got, err := vault.ParseSealed(s.text)
			if s.another && err == nil {
				atMost(t, len(v.slots)-1, a.text(t, s.text))
				continue
			}
			if err != vault.ErrCorrupt || !got.IsZero() {
				t.Fatalf("%s is taken: %q: %v", s.name, s.text, err)
			}
			into := own
			if err := into.UnmarshalText([]byte(s.text)); err != vault.ErrCorrupt || into != own {
				t.Fatalf("%s is taken by UnmarshalText: %q: %v", s.name, s.text, err)
			}
			if err := into.UnmarshalBinary([]byte(s.text)); err != vault.ErrCorrupt && s.name != "the binary form" || into != own {
				t.Fatalf("%s is taken by UnmarshalBinary: %q: %v", s.name, s.text, err)
			}
		}
	}
	require.Greater(t, len(seen), 350, "kinds of spelling")
}

// The binary form has numbers where the text has dots: what they could say in
// other ways is refused as well.
func TestEveryBinarySpellingIsRefused(t *testing.T) {
	a := newCatalogue(t)
	for i, v := range a.values {
		own, err := vault.ParseSealed(v.text())
		require.NoError(t, err)
		kind, body := refString(v.kind), v.body()
		var names []byte
		for _, s := range v.slots {
			names = append(names, refString(s.purpose)...)
		}
		n := byte(len(v.slots))
		spell := func(parts ...any) []byte {
			var b []byte
			for _, p := range parts {
				switch p := p.(type) {
				case int:
					b = append(b, byte(p))
				case byte:
					b = append(b, p)
				case string:
					b = append(b, p...)
				case []byte:
					b = append(b, p...)
				}
			}
			return b
		}
		first, rest := v.slots[0].purpose, names[1+len(v.slots[0].purpose):]
		spellings := map[string][]byte{
			"no magic":                  spell(kind, n, names, body),
			"magic twice":               spell(1, v.binary()),
			"the text's magic":          spell("pii1", kind, n, names, body),
			"zero in front":             spell(0, v.binary()),
			"zero behind":               spell(v.binary(), 0),
			"BOM in front":              spell("\xef\xbb\xbf", v.binary()),
			"later version":             spell(2, kind, n, names, body),
			"text":                      spell(v.text()),
			"text behind the byte":      spell(1, v.text()),
			"no purposes":               spell(1, kind, 0, body),
			"one purpose less":          spell(1, kind, n-1, names, body),
			"one purpose more":          spell(1, kind, n+1, names, body),
			"256 purposes more":         spell(1, kind, n, names, bytes.Repeat([]byte{0}, 256), body),
			"empty kind":                spell(1, 0, n, names, body),
			"empty name":                spell(1, kind, n, 0, names, body),
			"empty name counted":        spell(1, kind, n+1, 0, names, body),
			"kind of two bytes' length": spell(1, 0, kind, n, names, body),
			"dot smuggled into kind":    spell(1, refString(v.kind+"."+first), n-1, rest, body),
			"dot smuggled into name":    spell(1, refString(v.kind), n, refString(first+"."), rest, body),
			"separator smuggled":        spell(1, kind, n, refString(first+"~"), rest, body),
			"kind in upper case":        spell(1, refString(strings.ToUpper(v.kind)), n, names, body),
			"name in upper case":        spell(1, kind, n, refString(strings.ToUpper(first)), rest, body),
			"blank behind the name":     spell(1, kind, n, refString(first+" "), rest, body),
			"NUL behind the name":       spell(1, kind, n, refString(first+"\x00"), rest, body),
			"NUL behind the kind":       spell(1, refString(v.kind+"\x00"), n, names, body),
			"body in base64":            spell(1, kind, n, names, base64.RawURLEncoding.EncodeToString(body)),
			"empty body":                spell(1, kind, n, names),
			"body twice":                spell(1, kind, n, names, body, body),
			"hex":                       []byte(hex.EncodeToString(v.binary())),
			"base64":                    []byte(base64.StdEncoding.EncodeToString(v.binary())),
			"little-endian lengths":     littleEndian(v),
		}
		if len(v.slots) > 1 {
			joined := strings.Join(v.names(), "~")
			if len(joined) < 256 {
				spellings["all names as one"] = spell(1, kind, 1, refString(joined), body)
				spellings["all names as one, counted"] = spell(1, kind, n, refString(joined), body)
			}
			turned := v.clone()
			slices.Reverse(turned.slots)
			spellings["in reverse"] = turned.binary()
			turned.slots = v.slots[:len(v.slots)-1]
			spellings["the last slot not named"] = spell(turned.binary()[:len(turned.binary())-len(turned.body())], body)
		}
		doubled := v.clone()
		doubled.slots = append(doubled.slots, doubled.slots[0])
		spellings["a slot twice"] = doubled.binary()
		for name, data := range spellings {
			into := own
			err := into.UnmarshalBinary(data)
			require.Equal(t, vault.ErrCorrupt, err, "%s of %s", name, a.shapes[i])
			require.Equal(t, own, into, "left as it was")
			var zero vault.Sealed
			require.Equal(t, vault.ErrCorrupt, zero.UnmarshalBinary(data))
			require.True(t, zero.IsZero())
		}
	}
}

// littleEndian is v as a machine of the other byte order would write it.
func littleEndian(v refValue) []byte {
	b := slices.Clone(v.binary())
	at := len(b) - len(v.body()) + len(v.id)
	for _, s := range v.slots {
		slices.Reverse(b[at+2 : at+7])
		at += len(s.header)
		slices.Reverse(b[at : at+2])
		at += 2 + len(s.sealed)
	}
	return b
}
