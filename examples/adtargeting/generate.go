package main

import (
	"fmt"
	"strings"
)

// generatedUsers returns n made-up people, who are the same on every run. One in a
// thousand has no valid address.
func generatedUsers(n int) source {
	return source{"generated users", int64(n), func(yield func(person, error) bool) {
		for i := range n {
			if !yield(generatedUser(i), nil) {
				return
			}
		}
	}}
}

// maxList is the length of the longest list, generated or read. Unlike users, the
// list is held in memory, at some 80 bytes an entry.
const (
	maxGeneratedList = 50_000
	maxList          = 1_000_000
)

// generatedList returns a list for generatedUsers(n), half as long and at most 50,000
// entries. Four in five of its entries are users, with addresses typed in another way.
func generatedList(n int) source {
	size := min(max(n/2, 1), maxGeneratedList)
	return source{"generated list", int64(size), func(yield func(person, error) bool) {
		for i := range size {
			if !yield(generatedEntry(i, n/size*i), nil) {
				return
			}
		}
	}}
}

func generatedUser(i int) person {
	dice := mix(i)
	p := person{line: i + 1, email: madeUpEmail(i), phone: style(madeUpPhone(i), dice)}
	if dice%3 == 0 {
		p.consent = fmt.Sprintf("consent-2026-%07x", i)
	}
	if dice%1000 == 1 {
		p.email = strings.Replace(p.email, "@", " at ", 1)
	}
	return p
}

func generatedEntry(i, user int) person {
	if i%5 == 4 {
		return person{line: i + 1, email: fmt.Sprintf("stranger-%d@example.net", i), phone: madeUpPhone(maxPeople + i)}
	}
	p := person{line: i + 1}
	if i%3 != 1 {
		p.email = strings.ToUpper(madeUpEmail(user))
	}
	if i%3 != 2 {
		p.phone = madeUpPhone(user)
	}
	return p
}

var (
	madeUpNames   = []string{"amara", "bjorn", "chidi", "dmitri", "elif", "freja", "giulia", "hana", "ines", "jun", "kofi", "lucia", "mateo"}
	madeUpDomains = []string{"example.com", "example.org", "example.net", "mail.example", "harbour.test", "uni.example"}
)

func madeUpEmail(i int) string {
	return fmt.Sprintf("%s.%d@%s", madeUpNames[i%len(madeUpNames)], i, madeUpDomains[i%len(madeUpDomains)])
}

// madeUpPhone returns a different number for each i: 555-01xx in an area code while
// there are any, and then numbers of +999, a country code that is not in use.
func madeUpPhone(i int) string {
	if i < 80_000 {
		return fmt.Sprintf("+1%03d55501%02d", 200+i/100, i%100)
	}
	return fmt.Sprintf("+999%09d", i)
}

// style types a number as people do.
func style(number string, dice uint64) string {
	a, b, c := number[:len(number)-7], number[len(number)-7:len(number)-4], number[len(number)-4:]
	switch (dice >> 8) % 4 {
	case 0:
		return a + " " + b + " " + c
	case 1:
		return a + "-" + b + "-" + c
	case 2:
		return a + "." + b + "." + c
	}
	return number
}

// mix scatters the bits of i (the finaliser of SplitMix64).
func mix(i int) uint64 {
	x := uint64(i) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
