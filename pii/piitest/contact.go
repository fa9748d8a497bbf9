package piitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A Contact is a made-up person whom nobody else has, and the places at which
// they must not turn up: what is written to its outlets is searched. [Canary],
// [NoLeak] and [NoLeakParallel] hand one to the code under test.
//
// The search looks for the address and the number in any case, with separators,
// backwards, in UTF-16, as URLs, HTML, JSON, Go and mail escape them, in hex, in
// base64 of either alphabet and at any alignment, as lists of bytes, and within
// gzip; and for the MD5, SHA-1, SHA-256, SHA-512 and SHA3-256 of their normal
// forms, which is how ad platforms take them, whole or cut off after 8 bytes or
// more. It does not see through encryption, keyed or salted hashes, other
// compression, or masked forms such as hints. Of a number without its plus sign it
// finds the digits where they stand alone or in groups in which numbers are written,
// and not within a longer run of digits or a dump.
//
// Random output is not taken for the contact. A megabyte of random bytes, sealed
// values, hashes, UUIDs or times, as they are, in hexadecimal, in base64 or as a list
// of bytes, fails a test by chance less than once in 10^9 times. The exception is a
// random number of exactly ten digits, which is the contact's once in 4·10^9 times.
//
// Outlets may be used from many goroutines at once, until the function that
// was handed the Contact returns.
type Contact struct {
	// Address is an e-mail address under a domain that RFC 2606 reserves, in
	// lower case, and Number a phone number out of a range kept for fiction, in
	// E.164: for the forms of the service under test.
	Address, Number string

	t      testing.TB
	rules  rules
	traces traces

	mu      sync.Mutex
	outlets []*outlet
}

// rules are what makes a test a Canary or a NoLeak.
type rules struct {
	subject string // whose contact it is, for messages
	advice  string
	// planted opens what is sealed, so that it can be told whose it is, nil if
	// sealed values and indexes may come out.
	planted   *vault.Scope
	elsewhere []*vault.Scope
}

const (
	whatAddress = "the e-mail address"
	whatNumber  = "the phone number"
)

// areaCodes are in use, so that a service which validates numbers takes them.
// None is one that the fixtures of a Kit begin with, and none is as low as the
// seconds of a clock and random integers of 32 bits are.
var areaCodes = strings.Fields("501 502 503 504 505 507 508 509 512 513 515 516 517 518 540 541 559 561 562 563 " +
	"573 580 601 602 603 605 606 607 608 609 612 614 615 616 618 619 620 623 626 630 " +
	"631 636 641 651 660 661 662 701 702 703 704 706 707 708 712 713 714 715 716 717 " +
	"718 719 724 727 731 732 734 740 757 760 763 765 770 801 802 803 804 805 806 808 " +
	"810 812 813 814 815 816 817 818 901 903 904 906 907 908 909 910 912 913 914 916 " +
	"918 919 920 925 931 936 937 940 941 949 952 954 956 970 972 973 978 979 985 989")

// madeUpNumber returns the nth of the numbers that contacts have. Backwards, too,
// each is higher than 32 bits can say.
func madeUpNumber(n uint64) string {
	lines, area := n%50, areaCodes[n/50%uint64(len(areaCodes))]
	return fmt.Sprintf("+1%s55501%d%d", area, lines%10, 5+lines/10)
}

// numbered makes contacts of one process differ in their numbers.
var numbered atomic.Uint64

func newContact(t testing.TB, r rules) *Contact {
	t.Helper()
	c := &Contact{
		// Without x, which the 0x in front of bytes would be taken for.
		Address: "canary-" + strings.ReplaceAll(strings.ToLower(rand.Text()[:20]), "x", "8") + "@example.com",
		Number:  madeUpNumber(numbered.Add(1)),
		t:       t,
		rules:   r,
	}
	c.traces.addAddress(whatAddress, c.Address)
	c.traces.addNumber(whatNumber, c.Number)
	for _, s := range c.scopes() {
		c.addIndexes(s)
	}
	return c
}

// scopes returns those whose sealed values and indexes are traces.
func (c *Contact) scopes() []*vault.Scope {
	if c.rules.planted == nil {
		return nil
	}
	return append([]*vault.Scope{c.rules.planted}, c.rules.elsewhere...)
}

func (c *Contact) addIndexes(s *vault.Scope) {
	c.t.Helper()
	ctx := byKit(c.t.Context())
	emails, err := pii.IndexesEmail(ctx, c.Address, s)
	if err != nil {
		c.t.Fatalf("piitest: %v", err)
	}
	phones, err := pii.IndexesPhone(ctx, c.Number, s)
	if err != nil {
		c.t.Fatalf("piitest: %v", err)
	}
	for what, indexes := range map[string][]pii.Index{whatAddress: emails, whatNumber: phones} {
		for _, index := range indexes {
			if b, err := index.Value(); err == nil {
				c.traces.addBytes(what, "its index under "+s.Purpose().String(), b.([]byte))
			}
		}
	}
}

// Email returns the address sealed for the purposes of the given scopes.
func (c *Contact) Email(scopes ...vault.Sealer) pii.Email {
	c.t.Helper()
	e, err := pii.SealEmail(byKit(c.t.Context()), c.Address, scopes...)
	if err != nil {
		c.t.Fatalf("piitest: %v", err)
	}
	c.addSealed(whatAddress, e)
	return e
}

// Phone returns the number sealed for the purposes of the given scopes.
func (c *Contact) Phone(scopes ...vault.Sealer) pii.Phone {
	c.t.Helper()
	p, err := pii.SealPhone(byKit(c.t.Context()), c.Number, scopes...)
	if err != nil {
		c.t.Fatalf("piitest: %v", err)
	}
	c.addSealed(whatNumber, p)
	return p
}

// addSealed looks for a sealed value by the random id in it, in whatever form.
func (c *Contact) addSealed(what string, v interface{ MarshalText() ([]byte, error) }) {
	text, err := v.MarshalText()
	if c.rules.planted == nil || err != nil {
		return
	}
	body := text[bytes.LastIndexByte(text, '.')+1:]
	if id := decode64(standard(body)); len(id) > idSize {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.traces.addBytes(what, "sealed", id)
	}
}

var emailKind = vault.MustKind("email", "pii.Email")

var phoneKind = vault.MustKind("phone", "pii.Phone")

// isOurs reports whether a sealed value is one of this contact, by opening it
// under the scopes of the test. unclear is one of a person whose it can't tell.
func (c *Contact) isOurs(ctx context.Context, v vault.Sealed) (what, under string, unclear bool) {
	for _, s := range c.scopes() {
		for _, k := range []struct {
			kind       vault.Kind
			what, text string
		}{{emailKind, whatAddress, c.Address}, {phoneKind, whatNumber, c.Number}} {
			if v.Kind() != k.kind.String() {
				continue
			}
			text, err := s.Reveal(byKit(ctx), k.kind, v)
			if err == nil && strings.EqualFold(text, k.text) {
				return k.what, s.Purpose().String(), false
			}
			if errors.Is(err, vault.ErrSubject) && s == c.rules.planted && !isNarrowed(ctx, s) {
				what, under, unclear = k.what, s.Purpose().String(), true
			}
		}
	}
	return what, under, unclear
}

// isNarrowed reports whether s is of one person.
func isNarrowed(ctx context.Context, s *vault.Scope) bool {
	_, err := s.Pseudonym(ctx, rand.Text()) // of which only s itself is narrowed to another
	return errors.Is(err, vault.ErrInvalid)
}
