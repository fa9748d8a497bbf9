package pii_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/pii"
)

// What other projects test with is refused here, or is revealed as the corpus
// says, which is a fixed point, and has the index of its canonical form.
func TestEmailCorpus(t *testing.T) {
	security, _ := newScopes(t)
	for _, c := range readCorpus(t, "email") {
		t.Run(strings.TrimSuffix(c.file, ".txt")+"/"+c.rule, func(t *testing.T) {
			require.Equal(t, c.valid, pii.ValidEmail(c.typed))
			email, err := pii.SealEmail(ctx, c.typed, security)
			index, indexErr := pii.IndexEmail(ctx, c.typed, security)
			if !c.valid {
				require.EqualError(t, err, refusedEmailSeal)
				require.EqualError(t, indexErr, refusedEmailIndex)
				require.True(t, email.IsZero())
				requirePoisoned(t, index)
				return
			}
			require.NoError(t, err)
			require.NoError(t, indexErr)
			for _, typed := range []string{c.typed, c.revealed} {
				email, err := pii.SealEmail(ctx, typed, security)
				require.NoError(t, err)
				revealed, err := email.Reveal(ctx, security)
				require.NoError(t, err)
				require.Equal(t, c.revealed, revealed)
				of, err := email.Index(ctx, security)
				require.NoError(t, err)
				require.True(t, index.Equal(of))
			}
			requireBareMailbox(t, c.revealed)
			requireSpellingOf(t, c.typed, c.revealed)
		})
	}
}

// Every accepted way to write a mailbox has its index, and no two mailboxes
// have one: over all addresses of the corpus, each in all the spellings below
// and beside neighbours that other systems take for the same person.
func TestEmailCorpusNeverMergesTwo(t *testing.T) {
	security, _ := newScopes(t)
	byIndex := make(map[string]string)
	mailboxes := make(map[string]string) // index by folded address
	add := func(typed, mailbox string) {
		index, err := pii.IndexEmail(ctx, typed, security)
		require.NoError(t, err, "%q", typed)
		key := string(indexBytes(t, index))
		if other, taken := byIndex[key]; taken {
			require.Equal(t, other, mailbox, "two mailboxes have one index")
		}
		if known, taken := mailboxes[mailbox]; taken {
			require.Equal(t, known, key, "one mailbox has two indexes: %q", typed)
		}
		byIndex[key], mailboxes[mailbox] = mailbox, key
	}
	for _, c := range readCorpus(t, "email") {
		if !c.valid {
			continue
		}
		mailbox := foldASCII(c.revealed)
		for _, typed := range []string{c.typed, c.revealed, mailbox, upperASCII(c.typed), upperASCII(c.revealed), " \t" + c.typed + "\r\n"} {
			add(typed, mailbox)
		}
		for _, neighbour := range neighbours(mailbox) {
			if pii.ValidEmail(neighbour) {
				add(neighbour, inALabels(t, neighbour))
			}
		}
	}
	require.Greater(t, len(byIndex), 2000)
}

// neighbours returns addresses that are not this one, though some mail system
// or a careless comparison takes them for it: dots and tags at one provider,
// two domains of one provider, letters that look alike, one letter less.
func neighbours(address string) []string {
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:at], address[at+1:]
	all := []string{
		local + "+tag@" + domain, local + ".x@" + domain, "x" + local + "@" + domain, local + "-@" + domain, "_" + address, address + "x",
		local + "@x" + domain, local + "@x." + domain, local + "@gmail.com", local + "@googlemail.com", local[1:] + "@" + domain,
		strings.ReplaceAll(local, ".", "") + "@" + domain, strings.ReplaceAll(address, "-", ""), strings.ReplaceAll(address, "_", "-"),
	}
	if tagged, _, found := strings.Cut(local, "+"); found {
		all = append(all, tagged+"@"+domain)
	}
	for _, pair := range [][2]string{{"rn", "m"}, {"m", "rn"}, {"vv", "w"}, {"w", "vv"}, {"cl", "d"}, {"d", "cl"}, {"l", "1"}, {"l", "i"}, {"o", "0"}, {"0", "o"}, {"1", "l"}, {"5", "s"}, {"ss", "\u00df"}, {"ae", "\u00e4"}, {"a", "\u0430"}} {
		all = append(all, strings.Replace(address, pair[0], pair[1], 1), local+"@"+strings.Replace(domain, pair[0], pair[1], 1))
	}
	distinct := all[:0]
	for _, a := range all {
		if a != address {
			distinct = append(distinct, a)
		}
	}
	return distinct
}

// inALabels encodes the domain, in small letters: punycode is one to one.
func inALabels(t testing.TB, address string) string {
	t.Helper()
	at := strings.LastIndexByte(address, '@')
	domain, err := idna.Punycode.ToASCII(strings.Map(smallOf, address[at+1:]))
	require.NoError(t, err)
	return foldASCII(address[:at+1] + domain)
}

func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}
