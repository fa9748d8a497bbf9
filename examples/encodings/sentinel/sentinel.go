// Package sentinel looks for personal data in output: in clear, and in every spelling
// of printers, encoders and the matching tools of ad platforms.
//
// All tests of this module use it to find leaks. Its own test plants each spelling and
// requires that it is found.
package sentinel

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Checker finds secrets in output. It is immutable.
type Checker struct {
	spellings []spelling // in lower case
}

type spelling struct {
	name string
	text []byte
}

var notDigits = regexp.MustCompile(`[^0-9]+`)

// run is the number of neighbouring bytes of a secret that are a leak, in clear and in
// spellings that random base64 can't equal. run64 is the number for base64, and for
// plain text that base64 can equal. A megabyte of sealed text has so many by chance
// less than once in 10^12 times.
const (
	run   = 8
	run64 = 11
)

// New returns a checker for secrets of eleven bytes or more. It panics if a secret is
// shorter, because a checker would find it by chance.
func New(secrets ...string) *Checker {
	c := &Checker{}
	for _, secret := range secrets {
		if len(secret) < run64 {
			panic("sentinel: secret of less than 11 bytes")
		}
		for i := 0; i+run <= len(secret); i++ {
			c.addPart([]byte(secret[i : i+run]))
		}
		for i := 0; i+run64 <= len(secret); i++ {
			c.addPart64([]byte(secret[i : i+run64]))
		}
		for _, whole := range []string{secret, strings.ToLower(secret), strings.TrimPrefix(secret, "+")} {
			c.addDigests(whole)
		}
	}
	slices.SortFunc(c.spellings, func(a, b spelling) int { return bytes.Compare(a.text, b.text) })
	c.spellings = slices.CompactFunc(c.spellings, func(a, b spelling) bool { return bytes.Equal(a.text, b.text) })
	return c
}

// Find returns the name of a spelling in which output has a part of a secret,
// such as "hexadecimal", and "" if it has none. The case of letters is ignored.
func (c *Checker) Find(output string) string {
	lower := lowerASCII([]byte(output))
	// Lists of decimal bytes have many kinds of separators.
	numbers := notDigits.ReplaceAll(lower, []byte(" "))
	for _, s := range c.spellings {
		if bytes.Contains(lower, s.text) || bytes.Contains(numbers, s.text) {
			return s.name
		}
	}
	return ""
}

func (c *Checker) add(name, text string) {
	c.spellings = append(c.spellings, spelling{name, lowerASCII([]byte(text))})
}

func (c *Checker) addPart(part []byte) {
	if strings.Trim(string(part), base64Letters) != "" {
		c.addText(string(part))
	}
	c.add("hexadecimal", hex.EncodeToString(part))
	c.add("hexadecimal with blanks", fmt.Sprintf("% x", part))
	c.add("list of bytes", list(part, "%d", " "))
	for _, format := range []string{"0x%x", "0x%02x", "%02x", "%#o"} {
		for _, separator := range []string{" ", ",", ", ", ":"} {
			c.add("list of bytes", list(part, format, separator))
		}
	}
}

// base64Letters are the letters of both alphabets.
const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"

func (c *Checker) addText(text string) {
	c.add("clear", text)
	c.add("Go-quoted", strings.Trim(fmt.Sprintf("%+q", text), `"`))
	c.add("HTML-escaped", html.EscapeString(text))
	c.add("URL-escaped", url.QueryEscape(text))
	c.add("URL-escaped path", url.PathEscape(text))
}

func (c *Checker) addPart64(part []byte) {
	c.addText(string(part))
	for shift := range 3 {
		for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			encoded := e.EncodeToString(append(make([]byte, shift), part...))
			c.add(name, encoded[(shift*8+5)/6:len(encoded)-1]) // without letters that neighbours change
		}
	}
}

func (c *Checker) addDigests(whole string) {
	sha2, sha, md := sha256.Sum256([]byte(whole)), sha1.Sum([]byte(whole)), md5.Sum([]byte(whole))
	for name, digest := range map[string][]byte{"SHA-256": sha2[:], "SHA-1": sha[:], "MD5": md[:]} {
		c.add(name, string(digest))
		c.add(name+" in hexadecimal", hex.EncodeToString(digest))
		c.add(name+" in base64", base64.RawStdEncoding.EncodeToString(digest))
		c.add(name+" in base64url", base64.RawURLEncoding.EncodeToString(digest))
	}
	c.add("base32", strings.TrimRight(base32.StdEncoding.EncodeToString([]byte(whole)), "="))
}

func list(part []byte, format, separator string) string {
	var all []string
	for _, b := range part {
		all = append(all, fmt.Sprintf(format, b))
	}
	return strings.Join(all, separator)
}

// lowerASCII changes ASCII letters only, because output need not be UTF-8.
func lowerASCII(b []byte) []byte {
	lower := bytes.Clone(b)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}
