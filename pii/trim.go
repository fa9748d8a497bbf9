package pii

import "unicode/utf8"

// trim returns text without the blanks and invisible characters around it, which
// forms, files, address books and spreadsheets put there by accident. The characters
// within text stay, and the grammars refuse them.
//
// A joiner (U+200C, U+200D) behind a letter beyond ASCII stays too: it can be the last
// character of a domain, and a domain without it is another one.
func trim(text string) string {
	for { // to the end of text at most: U+FFFD, which stands for it, is no such character
		r, size := utf8.DecodeRuneInString(text)
		if !isInvisible(r) {
			break
		}
		text = text[size:]
	}
	for {
		r, size := utf8.DecodeLastRuneInString(text)
		if !isInvisible(r) {
			break
		}
		before := text[:len(text)-size]
		if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
			if last, _ := utf8.DecodeLastRuneInString(before); last >= utf8.RuneSelf && !isInvisible(last) {
				break
			}
		}
		text = before
	}
	return text
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// isInvisible reports whether r is dropped around a text. The list is a fixed one: a
// class of Unicode would grow with the version of Go, and a value would be refused
// before an update and accepted after it.
func isInvisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r == '\t' || r == '\r' || r == '\n'
	}
	switch {
	case r == '\u00a0', r == '\u1680', // no-break space, Ogham space
		r >= '\u2000' && r <= '\u200a', // spaces of typography
		r == '\u202f', r == '\u205f', r == '\u3000',
		r >= '\u200b' && r <= zeroWidthJoiner, r == '\u2060', r == '\ufeff', // of no width
		r == '\u00ad',                               // soft hyphen
		r == '\u061c', r == '\u200e', r == '\u200f', // marks of direction
		r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', // embeddings, overrides, isolates
		r >= '\ufe00' && r <= '\ufe0f': // variation selectors
		return true
	}
	return false
}
