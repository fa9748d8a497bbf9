package pii

import (
	"context"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// An Email is an immutable sealed e-mail address, or the absence of one. It is
// one string wide and holds no plaintext; [Sealed] describes how it is stored,
// encoded and printed.
//
// Reveal returns the canonical form of the address: the local part as it was
// typed, and the domain in lower case and ASCII (A-labels, RFC 5891). Indexes
// ignore the case of the local part as well.
//
// Hint returns the first characters of the local part and of the domain, and the
// top-level domain: "a•••@e•••.com". A label of another script is shown in that
// script, "i•••@п•••.рф", if the process knows all letters that it would show, and in
// ASCII otherwise. A hint has no blank, control or format character. It can have
// letters that are written from right to left, so a page puts it into <bdi>. Many
// addresses have one hint: it shows nobody whose address this is.
type Email struct{ sealedEmail }

type sealedEmail = Sealed[email]

// SealEmail seals an e-mail address for the purposes of the given scopes.
//
// The address is one bare mailbox, as in RFC 5321, section 4.1.2: a dot-string
// of up to 64 ASCII bytes, "@", and a domain name of two labels or more, 254
// bytes in all. Blanks and invisible characters around it are dropped: blanks and
// line ends of ASCII, the spaces of Unicode, characters of no width, soft hyphens, marks
// of direction and variation selectors. The text has 1,016 bytes at most, with
// these. Quoted local parts, address literals, comments, display names, lists and
// invisible characters within are [ErrMalformed].
//
// A domain can be internationalised, in A-labels or in the script of its users.
// Capitals of any script become small letters where each has one small letter and is
// the one capital of it. Everything else that IDNA would map to another character is
// ErrMalformed, so that no two different domains share a canonical form: a Greek
// capital sigma, which has two small letters, İ, ẞ, KELVIN SIGN, full-width letters, and
// letters that are not composed (NFC). So is a label that begins with xn-- and is no
// A-label. I is the capital of i in every language: somebody of ıstanbul.example who
// types it in Turkish capitals is taken for somebody of istanbul.example. Symbols that
// UTS #46 has valid, such as ❤, are accepted, though IDNA2008 (RFC 5892) has no symbols.
// The tables are those of the Go version, so a new one can accept domains that an old
// one refuses.
//
// Dots and tags, as in alice+shop, are part of the address, even if its provider
// ignores them. An address that a provider has handed out against RFC 5321, such as
// a..b@docomo.example, needs a kind of its own; the package example on addresses as they
// are written has one.
//
// Other errors are the errors of [vault.Seal].
//
//go:noinline
func SealEmail(ctx context.Context, address string, scopes ...vault.Sealer) (Email, error) {
	// Not inlined: in the package of a caller the list of scopes would go to the heap.
	sealed, err := Seal[email](ctx, address, scopes...)
	return Email{sealed}, err
}

// ValidEmail reports whether [SealEmail] accepts the text as an e-mail address. It
// needs no scope. A form can call it before anything is sealed.
func ValidEmail(address string) bool { return Valid[email](address) }

// IndexEmail returns the blind index of an e-mail address under the scope's
// purpose, for the column of a row that is written. Look rows up with [IndexesEmail]:
// it finds people while the index key rotates too. Text that [ValidEmail] refuses is
// [ErrMalformed]; other errors are the errors of [vault.Scope.Index]. With an error,
// the index is poisoned, as [Index] describes.
func IndexEmail(ctx context.Context, address string, scope vault.Indexer) (Index, error) {
	return IndexOf[email](ctx, address, scope)
}

// IndexesEmail returns the index of an e-mail address under every index key of the
// purpose that is not retired, the index of the primary key first. Look rows up with
// WHERE email_index IN (…): there is one index, and a second while the column is computed
// anew after [vault.Admin.Rotate]. [OrNobody] makes a look-up of malformed text find
// nobody. IndexesEmail fails as [IndexEmail] does, and then returns one
// poisoned index.
func IndexesEmail(ctx context.Context, address string, scope vault.Indexer) ([]Index, error) {
	return IndexesOf[email](ctx, address, scope)
}

// Extend returns e extended to the purpose of to, as [Sealed.Extend] describes.
func (e Email) Extend(ctx context.Context, from, to *vault.Scope) (Email, error) {
	extended, err := e.sealedEmail.Extend(ctx, from, to)
	return Email{extended}, err
}

// Without returns e without its slot for p, as [Sealed.Without] describes.
func (e Email) Without(p purpose.Purpose) Email { return Email{e.sealedEmail.Without(p)} }

// WithoutExpired returns e without the purposes whose time of retention is over,
// as [Sealed.WithoutExpired] describes.
func (e Email) WithoutExpired() Email { return Email{e.sealedEmail.WithoutExpired()} }

// Withdraw is [Sealed.Withdraw].
func (e Email) Withdraw(ctx context.Context, p purpose.Purpose, by vault.Recorder) (Email, error) {
	sealed, err := e.sealedEmail.Withdraw(ctx, p, by)
	return Email{sealed}, err
}

// Sweep is [Sealed.Sweep].
func (e Email) Sweep(ctx context.Context, by vault.Recorder) (Email, error) {
	sealed, err := e.sealedEmail.Sweep(ctx, by)
	return Email{sealed}, err
}

// Reseal returns e sealed anew, as [Sealed.Reseal] describes.
func (e Email) Reseal(ctx context.Context, scopes ...*vault.Scope) (Email, error) {
	resealed, err := e.sealedEmail.Reseal(ctx, scopes...)
	return Email{resealed}, err
}

// Equal reports whether e and other are the same sealed value. It is false for two
// seals of one address: to compare people, compare indexes.
func (e Email) Equal(other Email) bool { return e == other }

var emailKind = vault.MustKind("email", "pii.Email")

// email is the [Kind] of Email.
type email struct{}

func (email) Kind() vault.Kind                  { return emailKind }
func (email) Parse(text string) (string, bool)  { return parseEmail(text) }
func (email) Canonical(plaintext string) string { return lowerASCII(plaintext) }

// ValidPlaintext judges by the rules of ASCII alone. The tables of Unicode, by which
// Parse judges an internationalised domain, differ between versions of Go. A revealed
// address has been judged by them when it was sealed.
func (email) ValidPlaintext(plaintext string) bool { return validAddress(plaintext) }

// Mask keeps two letters and the top-level domain: "a•••@e•••.com".
func (email) Mask(plaintext string) string {
	local, domain, _ := strings.Cut(plaintext, "@")
	host, _, _ := strings.Cut(domain, ".")
	return local[:1] + "•••@" + firstShown(host) + "•••." + allShown(domain[strings.LastIndexByte(domain, '.')+1:])
}

// firstShown returns the first character of a label for a hint.
func firstShown(label string) string {
	u := uLabel(label)
	if r, size := utf8.DecodeRuneInString(u); isShown(r) {
		return u[:size]
	}
	return label[:1]
}

// allShown returns a label for a hint: the U-label, if nothing in it is hidden or
// controls the text around it, and otherwise the A-label.
func allShown(label string) string {
	u := uLabel(label)
	for _, r := range u {
		if !isShown(r) {
			return label
		}
	}
	return u
}

// isShown reports whether a hint can have r beyond ASCII: letters, marks and digits,
// and none of those that have no shape of their own.
func isShown(r rune) bool {
	return r < utf8.RuneSelf ||
		unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// uLabel returns the U-label of an A-label, and every other label as it is. A stored
// label that does not decode, since a collector or a newer version sealed it, stays an
// A-label: hints do not fail because of the tables of Unicode.
func uLabel(label string) string {
	if !strings.HasPrefix(label, aLabelPrefix) {
		return label
	}
	u, err := strictIDNA.ToUnicode(label)
	if err != nil {
		return label
	}
	return u
}

const (
	maxAddress = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	maxLocal   = 64  // section 4.5.3.1.1
	maxLabel   = 63  // RFC 1035 section 2.3.4
	// An internationalised domain can be longer in UTF-8 than its A-labels are.
	maxTyped = 4 * maxAddress
)

// parseEmail returns the form of address that is sealed.
func parseEmail(address string) (string, bool) {
	// Most addresses are typed in that form. To return them here takes a third of
	// the time of the steps below, and saves a quarter of the time of IndexEmail.
	if valid, hyphens := scanAddress(address); valid && !hyphens {
		return address, true
	}
	if len(address) > maxTyped {
		return "", false
	}
	address = trim(address)
	at := strings.LastIndexByte(address, '@')
	if at < 0 || at > maxLocal {
		return "", false
	}
	domain, ok := toASCII(strictIDNA, address[at+1:])
	if !ok {
		return "", false
	}
	if address = address[:at+1] + domain; !validAddress(address) {
		return "", false
	}
	return address, true
}

// validAddress reports whether s is an address in the form that is sealed, but
// for A-labels, which it does not decode: a dot-string of RFC 5321, "@", and two
// or more LDH labels (RFC 5890, section 2.3.1) in lower case. The last label is
// no number: many programs would take it for the end of an IPv4 address.
func validAddress(s string) bool {
	valid, _ := scanAddress(s)
	return valid
}

// scanAddress is validAddress. It also reports whether the domain has two hyphens in a row,
// as every A-label does. It looks at each byte once.
func scanAddress(s string) (valid, hyphens bool) {
	if len(s) > maxAddress {
		return false, false
	}
	at := 0
	for dot := true; ; at++ {
		if at == len(s) || at > maxLocal {
			return false, false
		}
		c := s[at]
		if c == '@' && !dot {
			break
		}
		if c == '.' && !dot {
			dot = true
			continue
		}
		if c >= utf8.RuneSelf || !atext[c] {
			return false, false
		}
		dot = false
	}
	labels, start, letter := 0, at+1, false
	for i := start; ; i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			switch {
			case c >= 'a' && c <= 'z':
				letter = true
			case c >= '0' && c <= '9':
			case c == '-' && i > start:
				letter = true
				hyphens = hyphens || s[i-1] == '-'
			default:
				return false, false
			}
			continue
		}
		if i == start || i-start > maxLabel || s[i-1] == '-' {
			return false, false
		}
		labels++
		if i == len(s) {
			return labels >= 2 && letter, hyphens
		}
		start, letter = i+1, false
	}
}

// aLabelPrefix begins the A-labels (RFC 5890, section 2.3.2.1).
const aLabelPrefix = "xn--"

// atext is the set of characters that RFC 5322, section 3.2.3, gives this name.
var atext = func() (set [utf8.RuneSelf]bool) {
	for c := range set {
		set[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(c)) >= 0
	}
	return set
}()

// toASCII returns the domain in A-labels and lower case.
func toASCII(p idnaProfile, s string) (string, bool) {
	s = lowerASCII(s)
	if !isASCII(s) || strings.Contains(s, aLabelPrefix) {
		return toALabels(p, s)
	}
	return s, true
}

// fitsALabels reports whether the A-labels of a domain can be short enough for an
// address. Punycode takes time that grows with the square of a label's length, and each
// character of a label takes at least one byte of the A-label, after the prefix. So a
// label that is too long as it is typed need not be converted to be refused.
func fitsALabels(domain string) bool {
	total := 0
	for label := range strings.SplitSeq(domain, ".") {
		size := utf8.RuneCountInString(label)
		if size < len(label) {
			size += len(aLabelPrefix)
		}
		if size > maxLabel {
			return false
		}
		if total += size + len("."); total > maxAddress {
			return false
		}
	}
	return true
}

// An idnaProfile converts domains. It is an [idna.Profile], except in tests that count
// its work.
type idnaProfile interface {
	ToASCII(string) (string, error)
	ToUnicode(string) (string, error)
}

// strictIDNA converts between A-labels and U-labels. It maps no character: a label
// that UTS #46 would map is an error, and so is one that is not in NFC, breaks the rules
// for joiners (RFC 5892, appendix A), or breaks the Bidi rule (RFC 5893). Mapping makes
// twins, such as U+212A KELVIN SIGN and k.
//
// It is not all of RFC 5891: [idna.ValidateForRegistration] takes the symbols that UTS
// #46 has valid and IDNA2008 has not, and checks no contextual rules but those for
// joiners. Such a label has one A-label, and no other text becomes it.
var strictIDNA = idna.New(
	idna.ValidateLabels(true),
	idna.ValidateForRegistration(),
	idna.StrictDomainName(true),
	idna.BidiRule(),
	idna.CheckJoiners(true),
)

// toALabels converts a domain whose ASCII letters are in lower case. Each label
// must be its own A-label or U-label, but for capitals. That is a second guard against
// mapping, which holds for the tables of later Unicode versions too.
func toALabels(p idnaProfile, s string) (string, bool) {
	if !fitsALabels(s) {
		return "", false
	}
	s = strings.Map(smallLetter, s)
	ascii, err := p.ToASCII(s)
	if err != nil {
		return "", false
	}
	unicode, err := p.ToUnicode(ascii)
	if err != nil {
		return "", false
	}
	typed, aLabels, uLabels := strings.Split(s, "."), strings.Split(ascii, "."), strings.Split(unicode, ".")
	if len(typed) != len(aLabels) || len(typed) != len(uLabels) {
		return "", false
	}
	for i, label := range typed {
		if label != aLabels[i] && label != uLabels[i] {
			return "", false
		}
	}
	return ascii, true
}

// smallLetter returns the small letter of a capital beyond ASCII that can be nothing
// else: the capital has this one small letter, and the small letter has this one
// capital. [strictIDNA] refuses all other capitals.
//
// Unicode keeps the pairs of letters that it has assigned. A new version can add
// pairs, whose capitals an old version refuses.
func smallLetter(r rune) rune {
	if r == capitalSigma || unicode.Is(unicode.Cherokee, r) {
		return r
	}
	small := unicode.ToLower(r)
	if unicode.ToUpper(small) != r { // such as KELVIN SIGN, and ẞ
		return r
	}
	return small
}

// capitalSigma has two small letters, σ and ς, and domains can have both. Cherokee is the
// other exception of [smallLetter]: its capitals are the letters of domains.
const capitalSigma = 'Σ'

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lowerASCII converts A to Z alone to lower case. [strings.ToLower] would make
// twins.
func lowerASCII(s string) string {
	if !hasCapital(s) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// hasCapital reports whether s has a letter from A to Z. It looks at 8 bytes at a time, which
// saves a twentieth of an index.
func hasCapital(s string) bool {
	const ones = 0x0101010101010101
	for len(s) >= 8 {
		w := binary.LittleEndian.Uint64([]byte(s[:8]))
		low := w &^ (0x80 * ones) // the highest bit of a byte is of no letter
		if (low+(0x80-'A')*ones)&^(low+(0x80-'Z'-1)*ones)&^w&(0x80*ones) != 0 {
			return true
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}
