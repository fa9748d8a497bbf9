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

// A Contact is a made-up person that nobody else has, with sinks in which the person
// must not turn up. [Canary], [NoLeak] and [NoLeakParallel] hand a Contact to the code
// under test, and search its sinks.
//
// The search finds the address and the number in any case, with separators,
// backwards, in UTF-16, with the escapes of URLs, HTML, JSON, Go and mail, in hex, in
// base64 of either alphabet and at any alignment, as lists of bytes, and within gzip.
// It finds the MD5, SHA-1, SHA-256, SHA-512 and SHA3-256 of their normal forms, which
// ad platforms match, whole or cut off after 8 bytes or more. It does not see through
// encryption, keyed or salted hashes, other compression, or masked forms such as
// hints. It finds the digits of a number without its plus sign where they stand alone
// or in the groups in which people write numbers, and not within a longer run of
// digits or a dump.
//
// Random output is not taken for the contact. A megabyte of random bytes, sealed
// values, hashes, UUIDs or times, as they are, in hexadecimal, in base64 or as a list
// of bytes, fails a test by chance less than once in 10^9 times. The exception is a
// random number of exactly ten digits, which is the contact's once in 4·10^9 times.
//
// Many goroutines may use the sinks at once, until the function that got the Contact
// returns.
type Contact struct {
	// Address is an e-mail address in lower case, under a domain that RFC 2606
	// reserves. Number is a phone number in E.164, from a range kept for fiction.
	// Type them into the forms of the service under test.
	Address, Number string

	t       testing.TB
	rules   rules
	needles needles

	mu    sync.Mutex
	sinks []*sink
}

// rules are the differences between Canary and NoLeak.
type rules struct {
	subject string // the origin of the contact, for messages
	advice  string
	// planted opens sealed values, to find out whether they are of the contact. It
	// is nil if sealed values and indexes may come out.
	planted   *vault.Scope
	elsewhere []*vault.Scope
}

const (
	nounAddress = "the e-mail address"
	nounNumber  = "the phone number"
)

// areaCodes are area codes in use, so that services that validate numbers accept
// them. The fixtures of a Kit use none of them, and all are higher than the first
// digits of the seconds of a clock and of random integers of 32 bits.
var areaCodes = strings.Fields("501 502 503 504 505 507 508 509 512 513 515 516 517 518 540 541 559 561 562 563 " +
	"573 580 601 602 603 605 606 607 608 609 612 614 615 616 618 619 620 623 626 630 " +
	"631 636 641 651 660 661 662 701 702 703 704 706 707 708 712 713 714 715 716 717 " +
	"718 719 724 727 731 732 734 740 757 760 763 765 770 801 802 803 804 805 806 808 " +
	"810 812 813 814 815 816 817 818 901 903 904 906 907 908 909 910 912 913 914 916 " +
	"918 919 920 925 931 936 937 940 941 949 952 954 956 970 972 973 978 979 985 989")

// madeUpNumber returns the nth number of a contact. Its ten digits are a number above
// 32 bits, and so are their reverse.
func madeUpNumber(n uint64) string {
	lines, area := n%50, areaCodes[n/50%uint64(len(areaCodes))]
	return fmt.Sprintf("+1%s55501%d%d", area, lines%10, 5+lines/10)
}

// numbered counts the contacts of the process, so that their numbers differ.
var numbered atomic.Uint64

func newContact(t testing.TB, r rules) *Contact {
	t.Helper()
	c := &Contact{
		// Without x: the search would take it for the 0x in front of bytes.
		Address: "canary-" + strings.ReplaceAll(strings.ToLower(rand.Text()[:20]), "x", "8") + "@example.com",
		Number:  madeUpNumber(numbered.Add(1)),
		t:       t,
		rules:   r,
	}
	c.needles.addAddress(nounAddress, c.Address)
	c.needles.addNumber(nounNumber, c.Number)
	for _, s := range c.scopes() {
		c.addIndexes(s)
	}
	return c
}

// scopes returns the scopes under which sealed values and indexes are needles.
func (c *Contact) scopes() []*vault.Scope {
	if c.rules.planted == nil {
		return nil
	}
	return append([]*vault.Scope{c.rules.planted}, c.rules.elsewhere...)
}

// addIndexes adds the indexes of the contact under s to the needles.
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
	for noun, indexes := range map[string][]pii.Index{nounAddress: emails, nounNumber: phones} {
		for _, index := range indexes {
			if b, err := index.Value(); err == nil {
				c.needles.addBytes(noun, "its index under "+s.Purpose().String(), b.([]byte))
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
	c.addSealed(nounAddress, e)
	return e
}

// Phone returns the number sealed for the purposes of the given scopes.
func (c *Contact) Phone(scopes ...vault.Sealer) pii.Phone {
	c.t.Helper()
	p, err := pii.SealPhone(byKit(c.t.Context()), c.Number, scopes...)
	if err != nil {
		c.t.Fatalf("piitest: %v", err)
	}
	c.addSealed(nounNumber, p)
	return p
}

// addSealed adds the random id of a sealed value to the needles, which finds the value
// in any encoding.
func (c *Contact) addSealed(noun string, v interface{ MarshalText() ([]byte, error) }) {
	text, err := v.MarshalText()
	if c.rules.planted == nil || err != nil {
		return
	}
	body := text[bytes.LastIndexByte(text, '.')+1:]
	if id := decode64(standard(body)); len(id) > idSize {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.needles.addBytes(noun, "sealed", id)
	}
}

var emailKind = vault.MustKind("email", "pii.Email")

var phoneKind = vault.MustKind("phone", "pii.Phone")

// isOurs opens a sealed value under the scopes of the test. It returns the noun and
// the purpose of a value of this contact, and "" for other values. unclear is true
// for a value of a single person, which may or may not be the contact.
func (c *Contact) isOurs(ctx context.Context, v vault.Sealed) (noun, under string, unclear bool) {
	for _, s := range c.scopes() {
		for _, k := range []struct {
			kind       vault.Kind
			noun, text string
		}{{emailKind, nounAddress, c.Address}, {phoneKind, nounNumber, c.Number}} {
			if v.Kind() != k.kind.String() {
				continue
			}
			text, err := s.Reveal(byKit(ctx), k.kind, v)
			if err == nil && strings.EqualFold(text, k.text) {
				return k.noun, s.Purpose().String(), false
			}
			if errors.Is(err, vault.ErrSubject) && s == c.rules.planted && !isNarrowed(ctx, s) {
				noun, under, unclear = k.noun, s.Purpose().String(), true
			}
		}
	}
	return noun, under, unclear
}

// isNarrowed reports whether s is narrowed to one person.
func isNarrowed(ctx context.Context, s *vault.Scope) bool {
	_, err := s.Pseudonym(ctx, rand.Text()) // a narrowed s refuses another person
	return errors.Is(err, vault.ErrInvalid)
}
