package formattest

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
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
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

func spellingsOf(v reference.Value) []spelling {
	var all []spelling
	add := func(name, text string) { all = append(all, spelling{name: name, text: text}) }
	other := func(name, text string) { all = append(all, spelling{name, text, true}) }
	text, body := v.Text(), base64.RawURLEncoding.EncodeToString(v.Body())
	names := strings.Join(v.Names(), "~")
	join := func(fields ...string) string { return strings.Join(fields, ".") }
	named := func(names string) string { return join("pii1", v.Kind, names, body) }
	bodied := func(body string) string { return join("pii1", v.Kind, names, body) }

	// The body in other encodings, and in other ways to write this one.
	add("base64: standard alphabet", bodied(base64.RawStdEncoding.EncodeToString(v.Body())))
	add("base64: padded", bodied(base64.URLEncoding.EncodeToString(v.Body())))
	add("base64: standard, padded", bodied(base64.StdEncoding.EncodeToString(v.Body())))
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
	other("base32", bodied(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(v.Body())))
	add("hexadecimal", bodied(hex.EncodeToString(v.Body())))
	add("base64 of base64", bodied(base64.RawURLEncoding.EncodeToString([]byte(body))))

	// Case.
	add("upper case", strings.ToUpper(text))
	other("lower case", strings.ToLower(text))
	add("magic in upper case", "PII1"+text[4:])
	add("kind in upper case", join("pii1", strings.ToUpper(v.Kind), names, body))
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
		add(fmt.Sprintf("%+q in the kind", c), join("pii1", v.Kind[:1]+c+v.Kind[1:], names, body))
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
			head := join("pii1", v.Kind, names) + "."
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
		{"bytea", `\x` + hex.EncodeToString([]byte(text))}, {"bytea of the binary form", `\x` + hex.EncodeToString(v.Binary())},
		{"the binary form", string(v.Binary())}, {"base64 of the binary form", base64.RawURLEncoding.EncodeToString(v.Binary())},
		{"hex of the binary form", hex.EncodeToString(v.Binary())}, {"a blob", "X'" + hex.EncodeToString(v.Binary()) + "'"},
		{"twice", text + text}, {"two", text + "," + text}, {"two lines", text + "\n" + text}, {"padded column", text + strings.Repeat(" ", 64)},
		{"cut column", text[:len(text)-len(text)%8-8]}, {"zeros to a length", text + strings.Repeat("\x00", 64)}, {"reversed", reversed(text)},
	} {
		add(s.name, s.text)
	}

	// Fields that are missing, doubled, empty or in another order.
	for _, s := range []struct{ name, text string }{
		{"no magic", join(v.Kind, names, body)}, {"no kind", join("pii1", names, body)}, {"no purposes", join("pii1", v.Kind, body)},
		{"no body", join("pii1", v.Kind, names)}, {"empty body", bodied("")}, {"empty kind", join("pii1", "", names, body)},
		{"empty purposes", named("")},
		{"body first", join("pii1", body, v.Kind, names)}, {"one field more", text + "."}, {"a field more", join(text, "x")},
		{"magic twice", "pii1." + text}, {"kind twice", join("pii1", v.Kind, v.Kind, names, body)}, {"names twice", join("pii1", v.Kind, names, names, body)},
		{"body twice", join(text, body)}, {"later version", "pii2" + text[4:]}, {"no version", "pii" + text[4:]}, {"another magic", "ofc1" + text[4:]},
		{"separator in front", named("~" + names)}, {"separator behind", named(names + "~")}, {"separator alone", named("~")},
		{"a name twice", named(names + "~" + v.Slots[len(v.Slots)-1].Purpose)}, {"a name more", named(names + "~zz")}, {"an earlier name", named("a~" + names)},
	} {
		add(s.name, s.text)
	}
	other("kind and purposes exchanged", join("pii1", names, v.Kind, body))
	last := len(v.Slots) - 1
	doubled := v.Clone()
	doubled.Slots = append(doubled.Slots, doubled.Slots[last])
	add("a slot twice", doubled.Text())
	add("a slot twice, named once", reference.Text(v.Kind, names, doubled.Body()))
	if last > 0 {
		turned := v.Clone()
		slices.Reverse(turned.Slots)
		add("in reverse", turned.Text())
		add("a name less", named(strings.Join(v.Names()[:last], "~")))
		add("a slot less", reference.Text(v.Kind, names, reference.Value{Kind: v.Kind, ID: v.ID, Slots: v.Slots[:last]}.Body()))
		if last > 1 {
			turned.Slots = append(turned.Slots[1:], turned.Slots[0])
			add("turned", turned.Text())
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
	a := vaulttest.NewCatalogue(t)
	seen := map[string]int{}
	for i, v := range a.Values {
		own, err := vault.ParseSealed(v.Text())
		require.NoError(t, err)
		all := spellingsOf(v)
		for n := range a.Sample(len(all), 100, i < vaulttest.Few || i%16 == 0 || vaulttest.Exhaustive()) {
			s := all[n]
			if s.text == v.Text() {
				continue // it has nothing that is written another way
			}
			seen[s.name]++
			got, err := vault.ParseSealed(s.text)
			if s.another && err == nil {
				vaulttest.AtMost(t, len(v.Slots)-1, a.Text(t, s.text))
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
	a := vaulttest.NewCatalogue(t)
	for i, v := range a.Values {
		own, err := vault.ParseSealed(v.Text())
		require.NoError(t, err)
		kind, body := reference.String(v.Kind), v.Body()
		var names []byte
		for _, s := range v.Slots {
			names = append(names, reference.String(s.Purpose)...)
		}
		n := byte(len(v.Slots))
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
		first, rest := v.Slots[0].Purpose, names[1+len(v.Slots[0].Purpose):]
		spellings := map[string][]byte{
			"no magic":                  spell(kind, n, names, body),
			"magic twice":               spell(1, v.Binary()),
			"the text's magic":          spell("pii1", kind, n, names, body),
			"zero in front":             spell(0, v.Binary()),
			"zero behind":               spell(v.Binary(), 0),
			"BOM in front":              spell("\xef\xbb\xbf", v.Binary()),
			"later version":             spell(2, kind, n, names, body),
			"text":                      spell(v.Text()),
			"text behind the byte":      spell(1, v.Text()),
			"no purposes":               spell(1, kind, 0, body),
			"one purpose less":          spell(1, kind, n-1, names, body),
			"one purpose more":          spell(1, kind, n+1, names, body),
			"256 purposes more":         spell(1, kind, n, names, bytes.Repeat([]byte{0}, 256), body),
			"empty kind":                spell(1, 0, n, names, body),
			"empty name":                spell(1, kind, n, 0, names, body),
			"empty name counted":        spell(1, kind, n+1, 0, names, body),
			"kind of two bytes' length": spell(1, 0, kind, n, names, body),
			"dot smuggled into kind":    spell(1, reference.String(v.Kind+"."+first), n-1, rest, body),
			"dot smuggled into name":    spell(1, reference.String(v.Kind), n, reference.String(first+"."), rest, body),
			"separator smuggled":        spell(1, kind, n, reference.String(first+"~"), rest, body),
			"kind in upper case":        spell(1, reference.String(strings.ToUpper(v.Kind)), n, names, body),
			"name in upper case":        spell(1, kind, n, reference.String(strings.ToUpper(first)), rest, body),
			"blank behind the name":     spell(1, kind, n, reference.String(first+" "), rest, body),
			"NUL behind the name":       spell(1, kind, n, reference.String(first+"\x00"), rest, body),
			"NUL behind the kind":       spell(1, reference.String(v.Kind+"\x00"), n, names, body),
			"body in base64":            spell(1, kind, n, names, base64.RawURLEncoding.EncodeToString(body)),
			"empty body":                spell(1, kind, n, names),
			"body twice":                spell(1, kind, n, names, body, body),
			"hex":                       []byte(hex.EncodeToString(v.Binary())),
			"base64":                    []byte(base64.StdEncoding.EncodeToString(v.Binary())),
			"little-endian lengths":     littleEndian(v),
		}
		if len(v.Slots) > 1 {
			joined := strings.Join(v.Names(), "~")
			if len(joined) < 256 {
				spellings["all names as one"] = spell(1, kind, 1, reference.String(joined), body)
				spellings["all names as one, counted"] = spell(1, kind, n, reference.String(joined), body)
			}
			turned := v.Clone()
			slices.Reverse(turned.Slots)
			spellings["in reverse"] = turned.Binary()
			turned.Slots = v.Slots[:len(v.Slots)-1]
			spellings["the last slot not named"] = spell(turned.Binary()[:len(turned.Binary())-len(turned.Body())], body)
		}
		doubled := v.Clone()
		doubled.Slots = append(doubled.Slots, doubled.Slots[0])
		spellings["a slot twice"] = doubled.Binary()
		for name, data := range spellings {
			into := own
			err := into.UnmarshalBinary(data)
			require.Equal(t, vault.ErrCorrupt, err, "%s of %s", name, a.Shapes[i])
			require.Equal(t, own, into, "left as it was")
			var zero vault.Sealed
			require.Equal(t, vault.ErrCorrupt, zero.UnmarshalBinary(data))
			require.True(t, zero.IsZero())
		}
	}
}

// littleEndian is v as a machine of the other byte order would write it.
func littleEndian(v reference.Value) []byte {
	b := slices.Clone(v.Binary())
	at := len(b) - len(v.Body()) + len(v.ID)
	for _, s := range v.Slots {
		slices.Reverse(b[at+2 : at+7])
		at += len(s.Header)
		slices.Reverse(b[at : at+2])
		at += 2 + len(s.Sealed)
	}
	return b
}
