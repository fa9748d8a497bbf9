package value

import (
	"strconv"
	"strings"
)

// unknown stands in a query for text that is known only at run time.
const unknown = "\x00"

type lexemeKind int

const (
	noLexeme lexemeKind = iota
	wordLexeme
	quotedLexeme
	operatorLexeme
	questionLexeme
	numberedLexeme
	namedLexeme
	unknownLexeme
)

type lexeme struct {
	kind   lexemeKind
	text   string
	number int
}

// lex splits SQL into lexemes. It drops string literals, numbers and comments.
func lex(s string) []lexeme {
	var all []lexeme
	for s != "" {
		rest, dropped := skip(s)
		if !dropped {
			var l lexeme
			if l, rest = next(s); l.kind != noLexeme {
				all = append(all, l)
			}
		}
		s = rest
	}
	return all
}

// skip drops a blank, a comment, a string literal, a cast or a number at the start of s.
func skip(s string) (rest string, ok bool) {
	c := s[0]
	switch {
	case c == unknown[0]:
		return s, false
	case c <= ' ':
		return s[1:], true
	case strings.HasPrefix(s, "--") || c == '#' && !strings.HasPrefix(s, "#>") && !strings.HasPrefix(s, "#-"):
		_, rest, _ = strings.Cut(s, "\n")
		return rest, true
	case strings.HasPrefix(s, "/*"):
		_, rest, _ = strings.Cut(s[2:], "*/")
		return rest, true
	case c == '\'':
		_, rest = quoted(s, '\'')
		return rest, true
	case strings.HasPrefix(s, "::"): // a cast; the type is no column
		s = strings.TrimLeft(s[2:], " ")
		return s[len(prefix(s, isPart)):], true
	case isDigit(c):
		return s[len(prefix(s, isPart)):], true
	}
	return s, false
}

// next returns the lexeme at the start of s, of kind noLexeme if there is none, and the rest
// of s.
func next(s string) (lexeme, string) {
	switch c := s[0]; {
	case c == unknown[0]:
		return lexeme{kind: unknownLexeme}, s[1:]
	case c == '"' || c == '`':
		name, rest := quoted(s, c)
		return lexeme{kind: quotedLexeme, text: name}, rest
	case c == '[':
		name, rest, closed := strings.Cut(s[1:], "]")
		if !closed || !isName(name) { // an index, or an array
			return lexeme{}, s[1:]
		}
		return lexeme{kind: quotedLexeme, text: name}, rest
	case c == '?':
		digits := prefix(s[1:], isDigit)
		rest := s[1+len(digits):]
		if n, err := strconv.Atoi(digits); err == nil && n > 0 { // SQLite
			return lexeme{kind: numberedLexeme, number: n}, rest
		}
		return lexeme{kind: questionLexeme}, rest
	case c == '$':
		return dollar(s)
	case (c == ':' || c == '@') && len(s) > 1 && isLetter(s[1]):
		name := prefix(s[1:], isPart)
		rest := s[1+len(name):]
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "p")); err == nil && c == '@' && n > 0 {
			return lexeme{kind: numberedLexeme, number: n}, rest // SQL Server
		}
		return lexeme{kind: namedLexeme, text: name}, rest
	case isLetter(c):
		word := prefix(s, isPart)
		return lexeme{kind: wordLexeme, text: word}, s[len(word):]
	}
	op := prefix(s, func(c byte) bool { return strings.IndexByte("<>=!", c) >= 0 })
	if op == "" {
		op = s[:1]
	}
	return lexeme{kind: operatorLexeme, text: op}, s[len(op):]
}

// quoted returns the content of the quoted text at the start of s, and the rest of s. A
// quote in the text is doubled or escaped by a backslash.
func quoted(s string, quote byte) (content, rest string) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '\'':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return s[1:i], s[i+1:]
		}
	}
	return s[1:], ""
}

// dollar parses $1, $name and $tag$ text $tag$, which is dropped.
func dollar(s string) (l lexeme, rest string) {
	word := prefix(s[1:], isPart)
	rest = s[1+len(word):]
	if strings.HasPrefix(rest, "$") {
		_, rest, _ = strings.Cut(rest[1:], "$"+word+"$")
		return lexeme{}, rest
	}
	if n, err := strconv.Atoi(word); err == nil && n > 0 {
		return lexeme{kind: numberedLexeme, number: n}, rest
	}
	if word == "" {
		return lexeme{}, rest
	}
	return lexeme{kind: namedLexeme, text: word}, rest
}

func prefix(s string, is func(byte) bool) string {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return s[:n]
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }
func isPart(c byte) bool   { return isLetter(c) || isDigit(c) }

func isName(s string) bool { return s != "" && isLetter(s[0]) && prefix(s, isPart) == s }
