package phonenumber

import "strings"

// maxInput is the longest input in bytes, that of package pii.
const maxInput = 64

// isEdge reports whether r is dropped around a number: blanks of all kinds, and the
// invisible marks that come with text from address books, spreadsheets and web pages.
// Package pii drops the same.
func isEdge(r rune) bool {
	switch {
	case r < 0x80:
		return r == ' ' || r == '\t' || r == '\r' || r == '\n'
	case r >= '\u2000' && r <= '\u200f', // blanks, blanks and joiners of no width, marks of direction
		r >= '\u202a' && r <= '\u202f', // marks of direction, a no-break blank
		r >= '\u2066' && r <= '\u2069', // marks of direction
		r >= '\ufe00' && r <= '\ufe0f': // variation selectors
		return true
	}
	switch r {
	case '\u00a0', '\u1680', '\u205f', '\u3000', // blanks
		'\u00ad', '\u061c', '\u2060', '\ufeff': // soft hyphen, Arabic letter mark, word joiner, byte order mark
		return true
	}
	return false
}

// separators are dropped between digits: blanks, hyphens, dashes, the minus
// sign, full stops.
const separators = " \u00a0\u2007\u2009\u202f\u3000-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d.\uff0e"

// clean returns the dialled characters, "+" and digits or digits alone, and reports
// whether the input has the form of one number. The port of libphonenumber would find
// a number in any text: it passes over text in front of a number, reads letters as
// digits, and drops an extension or, because of a blank, appends it to the number.
func clean(input string) (dialled string, ok bool) {
	var (
		out    strings.Builder
		zero   rune // of the script of the digits, 0 before the first digit
		digits int
		open   = -1 // digits before the open parenthesis, -1 if none is open
		slash  = -1 // digits before the slash, -1 if there is none
		plus   bool
		last   rune
	)
	for _, r := range strings.TrimFunc(input, isEdge) {
		last = r
		if z, isDigit := zeroOf(r); isDigit {
			if zero != 0 && z != zero {
				return "", false
			}
			// No country code begins with 0. The port would read +001 as a prefix for
			// dialling abroad, so that the country would depend on the region.
			if plus && digits == 0 && r == z {
				return "", false
			}
			zero = z
			out.WriteByte('0' + byte(r-z))
			digits++
			continue
		}
		switch {
		case r == '+' || r == '\uff0b':
			if plus || digits > 0 {
				return "", false
			}
			plus = true
			out.WriteByte('+')
		case r == '(' || r == '\uff08':
			if open >= 0 {
				return "", false
			}
			open = digits
		case r == ')' || r == '\uff09':
			if open < 0 || open == digits {
				return "", false
			}
			open = -1
		case r == '/':
			if slash >= 0 || digits == 0 || digits > maxArea || open >= 0 {
				return "", false
			}
			slash = digits
		case digits == 0 && !plus && open < 0, !strings.ContainsRune(separators, r):
			return "", false
		}
	}
	if digits < minDialled || open >= 0 || slash >= 0 && digits-slash < minDialled || strings.ContainsRune(separators, last) {
		return "", false
	}
	return out.String(), true
}

const (
	// maxArea is the largest number of digits in front of a slash: a country code of
	// two with an area code of four, or an area code with its trunk prefix. A number
	// that could be the first of two is longer.
	maxArea = 6
	// minDialled is the number of digits in the shortest national numbers, of islands
	// such as Niue.
	minDialled = 4
)

// zeroOf returns the zero of the script of digit r.
func zeroOf(r rune) (zero rune, ok bool) {
	for _, zero := range [...]rune{'0', '\uff10', '\u0660', '\u06f0'} {
		if r >= zero && r <= zero+9 {
			return zero, true
		}
	}
	return 0, false
}
