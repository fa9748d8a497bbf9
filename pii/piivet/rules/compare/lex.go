package compare

import (
	"strconv"
	"strings"
)

// unknown stands in a query for text that is known only at run time.
const unknown = "\x00"

type lexemeKind int

const (
	wordLexeme lexemeKind = iota
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
		c := s[0]
		switch {
		case c == unknown[0]:
			all = append(all, lexeme{kind: unknownLexeme})
			s = s[1:]
		case c <= ' ':
			s = s[1:]
		case strings.HasPrefix(s, "--") || c == '#' && !strings.HasPrefix(s, "#>") && !strings.HasPrefix(s, "#-"):
			_, s, _ = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			_, s, _ = strings.Cut(s[2:], "*/")
		case c == '\'':
			_, s = quoted(s, '\'')
		case c == '"' || c == '`':
			var name string
			name, s = quoted(s, c)
			all = append(all, lexeme{kind: quotedLexeme, text: name})
		case c == '[':
			name, rest, closed := strings.Cut(s[1:], "]")
			if !closed || !isName(name) { // an index, or an array
				s = s[1:]
				break
			}
			all = append(all, lexeme{kind: quotedLexeme, text: name})
			s = rest
		case c == '?':
			digits := prefix(s[1:], isDigit)
			n, err := strconv.Atoi(digits)
			switch {
			case err == nil && n > 0: // SQLite
				all = append(all, lexeme{kind: numberedLexeme, number: n})
			default:
				all = append(all, lexeme{kind: questionLexeme})
			}
			s = s[1+len(digits):]
		case c == '$':
			s = dollar(s, &all)
		case (c == ':' || c == '@') && len(s) > 1 && isLetter(s[1]):
			name := prefix(s[1:], isPart)
			if n, err := strconv.Atoi(strings.TrimPrefix(name, "p")); err == nil && c == '@' && n > 0 {
				all = append(all, lexeme{kind: numberedLexeme, number: n}) // SQL Server
			} else {
				all = append(all, lexeme{kind: namedLexeme, text: name})
			}
			s = s[1+len(name):]
		case strings.HasPrefix(s, "::"): // a cast; the type is no column
			s = strings.TrimLeft(s[2:], " ")
			s = s[len(prefix(s, isPart)):]
		case isLetter(c):
			word := prefix(s, isPart)
			all = append(all, lexeme{kind: wordLexeme, text: word})
			s = s[len(word):]
		case isDigit(c):
			s = s[len(prefix(s, isPart)):]
		default:
			op := prefix(s, func(c byte) bool { return strings.IndexByte("<>=!", c) >= 0 })
			if op == "" {
				op = s[:1]
			}
			all = append(all, lexeme{kind: operatorLexeme, text: op})
			s = s[len(op):]
		}
	}
	return all
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

// dollar parses $1, $name and $tag$ text $tag$.
func dollar(s string, all *[]lexeme) (rest string) {
	word := prefix(s[1:], isPart)
	rest = s[1+len(word):]
	if strings.HasPrefix(rest, "$") {
		tag := "$" + word + "$"
		_, rest, _ = strings.Cut(rest[1:], tag)
		return rest
	}
	if n, err := strconv.Atoi(word); err == nil && n > 0 {
		*all = append(*all, lexeme{kind: numberedLexeme, number: n})
	} else if word != "" {
		*all = append(*all, lexeme{kind: namedLexeme, text: word})
	}
	return rest
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
