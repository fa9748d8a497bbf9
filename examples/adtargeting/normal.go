package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// This file compares plain addresses in a normal form, as everybody did before and
// as ad platforms ask advertisers to hash them. The story computes the expected
// results with it, without the library that is on trial.

const blanks = " \t\r\n"

// normalEmail returns the address in lower case and ASCII.
func normalEmail(address string) string {
	address = strings.Map(lower, strings.Trim(address, blanks))
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

// lower changes ASCII letters only: to change more would merge people.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// international matches a number with its country code. It allows separators and pairs
// of parentheses between digits, but no "(0)", which is dialled at home only.
var international = regexp.MustCompile(`^\+[1-9]([0-9 .-]|\([1-9]([0-9 .-]*[0-9])?\))*$`)

// normalPhone returns "+" and the digits, or "" if the text is no phone number.
func normalPhone(number string) string {
	typed := strings.Trim(number, blanks)
	if len(number) > 64 || !international.MatchString(typed) || !strings.ContainsAny(typed[len(typed)-1:], "0123456789") {
		return ""
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, typed)
	if len(digits) < 7 || len(digits) > 15 {
		return ""
	}
	return "+" + digits
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
