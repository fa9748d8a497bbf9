package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/pii"
)

// This file compares plain addresses in a normal form, as everybody did before and
// as ad platforms ask advertisers to hash them. The story computes the expected
// results with it, without the library that is on trial, but for the numbering plans.

// invisible are the blanks, characters of no width, soft hyphens, marks of direction and
// variation selectors that are dropped around a text.
const invisible = " \t\r\n\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000" +
	joiners + "\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" +
	"\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d\ufe0e\ufe0f"

// joiners can be part of a domain behind a letter beyond ASCII.
const joiners = "\u200c\u200d"

// trim drops the invisible characters around a text.
func trim(text string) string {
	text = strings.TrimLeft(text, invisible)
	trimmed := strings.TrimRight(text, invisible)
	rest := text[len(trimmed):]
	if last, _ := utf8.DecodeLastRuneInString(trimmed); last >= utf8.RuneSelf && len(rest) >= 3 && strings.Contains(joiners, rest[:3]) {
		trimmed += rest[:3]
	}
	return trimmed
}

// normalEmail returns the address in lower case and ASCII.
func normalEmail(address string) string {
	address = strings.Map(lower, trim(address))
	local, domain, found := strings.Cut(address, "@")
	if !found {
		return ""
	}
	domain, err := idna.ToASCII(domain)
	if err != nil {
		return ""
	}
	return local + "@" + domain
}

// lower changes letters of ASCII, and of other scripts those that are the one capital
// of their small letter: to change more would merge people. The Greek sigma has two small
// letters, and Cherokee domains are written in capitals.
func lower(r rune) rune {
	small := unicode.ToLower(r)
	if unicode.ToUpper(small) != r || r == 'Σ' || unicode.Is(unicode.Cherokee, r) {
		return r
	}
	return small
}

// international matches a number with its country code. It allows separators and pairs
// of parentheses between digits, but no "(0)", which is dialled at home only.
var international = regexp.MustCompile(`^\+[1-9]([0-9 .-]|\([1-9]([0-9 .-]*[0-9])?\))*$`)

// normalPhone returns "+" and the digits, or "" if the text is no phone number.
func normalPhone(number string) string {
	typed := trim(number)
	if len(number) > 64 || !international.MatchString(typed) || !strings.ContainsAny(typed[len(typed)-1:], "0123456789") {
		return ""
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, typed)
	// Whether a digit behind the country code is kept by mistake takes the numbering plans,
	// of which the library has a table: the one thing that is asked of it here.
	if number = "+" + digits; !pii.ValidPhone(number) {
		return ""
	}
	return number
}

// A plainList is the advertiser's list in normal form, as 64-bit hashes. The
// probability that any of a million entries collides with any of a million users is
// 1 in 10 million.
type plainList struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newPlainList(list source) (*plainList, error) {
	l := &plainList{maphash.MakeSeed(), make(map[uint64]struct{})}
	entries := 0
	for p, err := range list.people {
		if errors.As(err, new(lineError)) {
			continue // reported by the ad team, which reads the list too
		}
		if err != nil {
			return nil, err
		}
		if entries++; entries > maxList {
			return nil, errLongList
		}
		for _, normal := range []string{normalEmail(p.email), normalPhone(p.phone)} {
			if normal != "" {
				l.hashes[maphash.String(l.seed, normal)] = struct{}{}
			}
		}
	}
	if len(l.hashes) == 0 {
		return nil, fmt.Errorf("%s: nobody on it to look for", list.name)
	}
	return l, nil
}

var errLongList = errors.New("list has more than " + number(maxList) + " entries")

// has reports whether the address or the number is on the list.
func (l *plainList) has(email, phone string) bool {
	_, byEmail := l.hashes[maphash.String(l.seed, normalEmail(email))]
	_, byPhone := l.hashes[maphash.String(l.seed, normalPhone(phone))]
	return byEmail || byPhone
}

// asciiUpper returns the text in upper case, "" if it is not ASCII.
func asciiUpper(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return ""
		}
	}
	return strings.ToUpper(s)
}
