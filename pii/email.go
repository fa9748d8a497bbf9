package pii

import (
	"context"
	"strings"
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
type Email struct{ sealedEmail }

type sealedEmail = Sealed[email]

// SealEmail seals an e-mail address for the purposes of the given scopes.
//
// The address is one bare mailbox, as in RFC 5321, section 4.1.2: a dot-string
// of up to 64 ASCII bytes, "@", and a domain name of two labels or more, 254
// bytes in all. Blanks around it are dropped. Quoted local parts, address
// literals, comments, display names and lists are [ErrMalformed]. An
// internationalised domain that IDNA mapping would turn into another one is
// ErrMalformed too, so that no two different addresses share a canonical form.
//
// Dots and tags, as in alice+shop, are part of the address, even if its provider
// ignores them.
//
// Other errors are the errors of [vault.Seal].
func SealEmail(ctx context.Context, address string, scopes ...vault.Sealer) (Email, error) {
	sealed, err := Seal[email](ctx, address, scopes...)
	return Email{sealed}, err
}

// ValidEmail reports whether [SealEmail] accepts the text as an e-mail address. It
// needs no scope. A form can call it before anything is sealed.
func ValidEmail(address string) bool { return Valid[email](address) }

// IndexEmail returns the blind index of an e-mail address under the scope's
// purpose, for WHERE email_index = $1. Text that [ValidEmail] refuses is
// [ErrMalformed]; other errors are the errors of [vault.Scope.Index]. With an error,
// the index is poisoned, as [Index] describes.
func IndexEmail(ctx context.Context, address string, scope vault.Indexer) (Index, error) {
	return IndexOf[email](ctx, address, scope)
}

// IndexesEmail returns the index of an e-mail address under every index key of the
// purpose that is not retired, the index of the primary key first. Use it with
// WHERE email_index IN (…) while the column is computed anew after
// [vault.Vault.RotateIndex]. It fails as [IndexEmail] does, and then returns one
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

// Mask keeps two letters and the top-level domain: "a•••@e•••.com".
func (email) Mask(plaintext string) string {
	local, domain, _ := strings.Cut(plaintext, "@")
	return local[:1] + "•••@" + domain[:1] + "•••" + domain[strings.LastIndexByte(domain, '.'):]
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
	if validAddress(address) && !strings.Contains(address, aLabelPrefix) {
		return address, true
	}
	if len(address) > maxTyped {
		return "", false
	}
	address = strings.Trim(address, blanks)
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", false
	}
	domain, ok := toASCII(address[at+1:])
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
//
// It looks at each byte once.
func validAddress(s string) bool {
	if len(s) > maxAddress {
		return false
	}
	at := 0
	for dot := true; ; at++ {
		if at == len(s) || at > maxLocal {
			return false
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
			return false
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
			default:
				return false
			}
			continue
		}
		if i == start || i-start > maxLabel || s[i-1] == '-' {
			return false
		}
		labels++
		if i == len(s) {
			return labels >= 2 && letter
		}
		start, letter = i+1, false
	}
}

// aLabelPrefix begins the A-labels (RFC 5890, section 2.3.2.1).
const aLabelPrefix = "xn--"

// blanks are characters that forms and files put around a value by accident.
const blanks = " \t\r\n"

// atext is the set of characters that RFC 5322, section 3.2.3, gives this name.
var atext = func() (set [utf8.RuneSelf]bool) {
	for c := range set {
		set[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(c)) >= 0
	}
	return set
}()

// toASCII returns the domain in A-labels and lower case.
func toASCII(s string) (string, bool) {
	s = lowerASCII(s)
	if !isASCII(s) || strings.Contains(s, aLabelPrefix) {
		return toALabels(s)
	}
	return s, true
}

// strictIDNA converts between A-labels and U-labels. It maps no character: a label
// that is not a U-label as it stands is an error. Mapping makes twins, such as
// U+212A KELVIN SIGN and k.
var strictIDNA = idna.New(
	idna.ValidateLabels(true),
	idna.ValidateForRegistration(),
	idna.StrictDomainName(true),
	idna.BidiRule(),
	idna.CheckJoiners(true),
)

// toALabels converts a domain whose ASCII letters are in lower case. Each label
// must be its own A-label or U-label. That is a second guard against mapping,
// which holds for the tables of later Unicode versions too.
func toALabels(s string) (string, bool) {
	ascii, err := strictIDNA.ToASCII(s)
	if err != nil {
		return "", false
	}
	unicode, err := strictIDNA.ToUnicode(ascii)
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
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
