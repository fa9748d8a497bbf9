package piitest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Ten digits are no proof of a phone number. One in 5,000 megabytes of random digits
// has the digits of the contact, forwards or backwards, and so has one in 500,000
// megabytes of random hexadecimal. Digits therefore count only where they stand as
// people and programs write numbers.

// groupings are the groups in which ten digits are written: one group, the groups of a
// North American number, and thousands. Dumps of bytes, UUIDs and times have other
// groups.
var groupings = []string{"10", "3 3 4", "3 7", "6 4", "1 3 3 3"}

// countryCodes are the digits that people dial in front of the ten digits.
var countryCodes = []string{"", "1", "001", "0111"}

// numberContext is the number of bytes that the function alone looks at before a
// number, and after it.
const numberContext = 64

// alone reports whether the ten digits of text[from:to] are a number, rather than a
// part of a longer number or of a dump. There are only separators between them.
func alone(text []byte, from, to int, backwards bool) bool {
	before := text[max(0, from-numberContext):from]
	digits := text[from:to]
	after := text[to:min(len(text), to+numberContext)]
	if backwards {
		before, digits, after = reversed(after), reversed(digits), reversed(before)
	}
	if bytes.Count(digits, []byte{0}) >= 9 { // UTF-16
		before, digits, after = withoutZeros(before), withoutZeros(digits), withoutZeros(after)
	}
	groups, between := grouped(digits)
	switch {
	case slices.Contains(groupings, groups):
	case groups == "1 1 1 1 1 1 1 1 1 1" && between != nil: // spaced out
		before = reversed(closed(reversed(before), reversed(between)))
		after = closed(after, between)
	case strings.Count(groups, " ") == 1 && bytes.ContainsAny(digits, "\r\n"): // a line ends within it
	case groups == "1 9" && isExponent(after): // 5.035550155e+09
	default:
		return false
	}
	return standsBetween(before, after)
}

// standsBetween reports whether digits between before and after are a number of their
// own.
func standsBetween(before, after []byte) bool {
	prefix := trailing(before, isDecimal)
	before = before[:len(before)-len(prefix)]
	if len(prefix) <= 4 && bytes.HasSuffix(before, []byte("+")) {
		return true // dumps have no signs
	}
	if isExponent(after) {
		after = nil
	}
	suffix := leading(after, isDecimal)
	after = after[len(suffix):]
	// In a binary format, a tag or a length may look like a digit.
	if !slices.Contains(countryCodes, string(prefix)) && !(len(prefix) <= 2 && len(before) > 0 && isBinary(before[len(before)-1])) {
		return false
	}
	if len(suffix) > 0 && !(len(suffix) <= 2 && len(after) > 0 && isBinary(after[0])) {
		return false
	}
	word := slices.Concat(trailing(before, isAlphanumeric), leading(after, isAlphanumeric))
	inHex := len(word) > 0 && len(leading(bytes.ToLower(word), isHex)) == len(word)
	return !inHex && !bytes.HasSuffix(before, []byte("0x"))
}

// grouped returns the lengths of the groups of digits, such as "3 3 4", and the
// separator between the groups, nil if there are several.
func grouped(digits []byte) (groups string, between []byte) {
	same := true
	for len(digits) > 0 {
		group := leading(digits, isDecimal)
		digits = digits[len(group):]
		separator := leading(digits, func(c byte) bool { return !isDecimal(c) })
		digits = digits[len(separator):]
		groups += strconv.Itoa(len(group))
		if len(digits) > 0 {
			groups += " "
			same = same && (between == nil || bytes.Equal(between, separator))
			between = separator
		}
	}
	if !same {
		between = nil
	}
	return groups, between
}

// closed returns the letters and digits at the beginning of text that stand one by one
// with between before each, and a blank after them.
func closed(text, between []byte) (word []byte) {
	for {
		rest, ok := bytes.CutPrefix(text, between)
		if !ok || len(leading(rest, isAlphanumeric)) != 1 {
			return append(word, ' ')
		}
		word, text = append(word, rest[0]), rest[1:]
	}
}

// isExponent reports whether text begins with the exponent of a floating-point number.
func isExponent(text []byte) bool {
	return bytes.HasPrefix(bytes.ToLower(text), []byte("e+"))
}

// isBinary reports whether c occurs in binary data alone.
func isBinary(c byte) bool { return c < ' ' && !isSpace(c) || c >= 0x7f }

func isDecimal(c byte) bool { return c >= '0' && c <= '9' }

// leading returns the longest beginning of text whose bytes are all of a class.
func leading(text []byte, class func(byte) bool) []byte {
	n := 0
	for n < len(text) && class(text[n]) {
		n++
	}
	return text[:n]
}

// trailing returns the longest end of text whose bytes are all of a class.
func trailing(text []byte, class func(byte) bool) []byte {
	n := len(text)
	for n > 0 && class(text[n-1]) {
		n--
	}
	return text[n:]
}

func reversed(text []byte) []byte {
	text = bytes.Clone(text)
	slices.Reverse(text)
	return text
}

func withoutZeros(text []byte) []byte { return bytes.ReplaceAll(text, []byte{0}, nil) }
