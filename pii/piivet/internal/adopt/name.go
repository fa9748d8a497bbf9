package adopt

import (
	"slices"
	"strings"
	"unicode"
)

// A Kind is the kind of personal data that a field looks like.
type Kind string

// The kinds.
const (
	Email Kind = "email"
	Phone Kind = "phone"
)

// Type returns the sealed type for values of the kind.
func (k Kind) Type() string {
	if k == Phone {
		return "pii.Phone"
	}
	return "pii.Email"
}

// heads are the last words of names of addresses and numbers.
var heads = map[string]Kind{
	"email": Email, "emails": Email, "mail": Email, "mails": Email,
	"phone": Phone, "phones": Phone, "telephone": Phone, "mobile": Phone, "cellphone": Phone, "msisdn": Phone,
	"landline": Phone,
}

// tails are words that may follow the head. Any other word after the head makes the name
// one of another thing: the time of an e-mail, its template, its domain.
var tails = []string{
	"address", "addresses", "addr", "number", "numbers", "no", "num", "nr", "e164", "value",
	"canonical", "normalized", "lower", "lowercase", "raw", "plain", "primary", "secondary", "work", "home", "private",
	"1", "2", "3",
}

// others are words before the head that make the name one of another thing.
var others = []string{
	"has", "is", "no", "use", "enable", "enabled", "disable", "allow", "verify", "verified", "verification", "send", "sends",
	"require", "skip", "notify", "template", "subject", "body", "hash", "hashed", "encrypted", "masked", "sealed", "token", "by", "via", "with",
}

// NameOf returns the kind of value that a field or column of the given name holds: one
// address or number, or several.
func NameOf(name string) (kind Kind, ok bool) {
	words := split(name)
	for len(words) > 1 && slices.Contains(tails, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return "", false
	}
	last := len(words) - 1
	kind, ok = heads[words[last]]
	if !ok && last > 0 && words[last-1] == "e" && words[last] == "mail" {
		kind, ok = Email, true
	}
	if !ok {
		return "", false
	}
	for _, w := range words[:last] {
		if slices.Contains(others, w) {
			return "", false
		}
	}
	if words[0] == "i" && last == 1 {
		return "", false // IPhone
	}
	if words[last] == "mobile" && last > 0 && !slices.Contains([]string{"user", "contact", "customer", "person", "owner"}, words[last-1]) {
		return "", false // "is mobile", "layout mobile"
	}
	return kind, true
}

// split returns the words of a name in lower case. "PhoneNumber", "phone_number" and
// "PHONENUMBER" have the same words, as far as they can be told apart.
func split(name string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(runes[i-1]),
			unicode.IsUpper(r) && i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]),
			unicode.IsDigit(r) && i > 0 && !unicode.IsDigit(runes[i-1]) && !strings.EqualFold(string(runes[i-1]), "e"):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return join(words)
}

// join joins words that are also written as one, and splits compounds into head and tail.
func join(words []string) []string {
	var out []string
	for _, w := range words {
		if n := len(out); n > 0 {
			switch out[n-1] + w {
			case "email", "emails", "cellphone", "telephone":
				out[n-1] += w
				continue
			}
		}
		for _, whole := range []struct{ written, head, tail string }{
			{"emailaddress", "email", "address"}, {"mailaddress", "mail", "address"}, {"emailaddr", "email", "addr"},
			{"phonenumber", "phone", "number"}, {"mobilenumber", "phone", "number"}, {"mobilephone", "mobile", "phone"}, {"phoneno", "phone", "no"},
		} {
			if w == whole.written {
				out = append(out, whole.head)
				w = whole.tail
				break
			}
		}
		out = append(out, w)
	}
	return out
}

// HasWord reports whether one of the words of a name is in the list.
func HasWord(name string, list []string) bool {
	return slices.ContainsFunc(split(name), func(w string) bool { return slices.Contains(list, w) })
}
