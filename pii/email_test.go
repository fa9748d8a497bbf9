package pii_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// The constant messages of text that is refused.
const (
	refusedEmailSeal  = "pii: sealing email: not a valid email"
	refusedEmailIndex = "pii: indexing email: not a valid email"
)

func TestEmailVectors(t *testing.T) {
	security, _ := newScopes(t)
	for _, v := range readVectors(t, "testdata/email.txt") {
		t.Run(v.rule, func(t *testing.T) {
			email, err := pii.SealEmail(ctx, v.typed, security)
			index, indexErr := pii.IndexEmail(ctx, v.typed, security)
			require.Equal(t, v.valid, pii.ValidEmail(v.typed))
			if !v.valid {
				require.ErrorIs(t, err, pii.ErrMalformed)
				require.EqualError(t, err, refusedEmailSeal)
				require.True(t, email.IsZero())
				require.ErrorIs(t, indexErr, pii.ErrMalformed)
				require.EqualError(t, indexErr, refusedEmailIndex)
				requirePoisoned(t, index)
				return
			}
			require.NoError(t, err)
			require.NoError(t, indexErr)
			revealed, err := email.Reveal(ctx, security)
			require.NoError(t, err)
			require.Equal(t, v.revealed, revealed)
			// The index is of exactly this text: nothing else may be mixed in, or
			// stored indexes no longer match.
			want, err := security.Index(ctx, vault.MustKind("email", "pii.Email"), v.indexed)
			require.NoError(t, err)
			require.Equal(t, want[:], indexBytes(t, index))
			fromSealed, err := email.Index(ctx, security)
			require.NoError(t, err)
			require.True(t, index.Equal(fromSealed))
		})
	}
}

// Two lines of the vectors that are one person have one index, and no others.
func TestEmailVectorsDoNotCollide(t *testing.T) {
	security, _ := newScopes(t)
	byIndex := make(map[string]string)
	for _, v := range readVectors(t, "testdata/email.txt") {
		if !v.valid {
			continue
		}
		index, err := pii.IndexEmail(ctx, v.typed, security)
		require.NoError(t, err)
		key := string(indexBytes(t, index))
		if other, taken := byIndex[key]; taken {
			require.Equal(t, other, v.indexed, v.rule)
		}
		byIndex[key] = v.indexed
	}
}

func TestEmailLocalPartFoldsASCIIAlone(t *testing.T) {
	security, _ := newScopes(t)
	lower, err := pii.IndexEmail(ctx, "kiss@example.com", security)
	require.NoError(t, err)
	for _, same := range []string{"KISS@example.com", "Kiss@EXAMPLE.com", "kISs@Example.Com", "\tkiss@example.com\r\n"} {
		index, err := pii.IndexEmail(ctx, same, security)
		require.NoError(t, err)
		require.True(t, index.Equal(lower), same)
	}
	for _, other := range []string{"ki.ss@example.com", "kiss+1@example.com", "kiss-@example.com", "kis@example.com", "kiss@example.co", "kiss@exa.mple.com"} {
		index, err := pii.IndexEmail(ctx, other, security)
		require.NoError(t, err)
		require.False(t, index.Equal(lower), other)
	}
}

func TestEmailHint(t *testing.T) {
	security, _ := newScopes(t)
	for typed, want := range map[string]string{
		"alice@example.com":         "a•••@e•••.com",
		"a@b.c":                     "a•••@b•••.c",
		"Alice@mail.eu.example.org": "A•••@m•••.org",
		"+1@1.example":              "+•••@1•••.example",
		"alice@bücher.example":      "a•••@b•••.example",
		"alice@XN--BCHER-KVA.COM":   "a•••@b•••.com",
		"info@MÜLLER.example":       "i•••@m•••.example",
		"m@почта.рф":                "m•••@п•••.рф",
		"m@www.почта.рф":            "m•••@w•••.рф",
		"m@mail.example.рф":         "m•••@m•••.рф",
		"a@उदाहरण.भारत":             "a•••@उ•••.भारत",
		"a@مثال.مصر":                "a•••@م•••.مصر",
		"a@b.中-国":                   "a•••@b•••.中-国",
		"a@❤.example":               "a•••@x•••.example",        // a symbol
		"a@i❤.example":              "a•••@i•••.example",        // a letter before it
		"a@b.❤":                     "a•••@b•••.xn--qei",        // a symbol in what is shown whole
		"a@b.න\u0dca\u200dර":        "a•••@b•••.xn--r0cu8bz95j", // a joiner
		"alice@例子.中国":               "a•••@例•••.中国",
	} {
		email, err := pii.SealEmail(ctx, typed, security)
		require.NoError(t, err)
		hint, err := email.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, want, hint)
	}
}

// Whoever has the keys can seal any text as an e-mail, past [pii.SealEmail].
func TestEmailHintOfWhatIsNoAddress(t *testing.T) {
	security, _ := newScopes(t)
	for _, plaintext := range []string{"@", "a@", "@b", "no address", "a@b", "é@ü", "\xff@\xff", "@@@", "a@b.c\nlevel=ERROR", "@b.c", "a@.", strings.Repeat("a@b.c", 200)} {
		value, err := vault.Seal(ctx, vault.MustKind("email", "pii.Email"), plaintext, security)
		require.NoError(t, err)
		text, err := value.MarshalText()
		require.NoError(t, err)
		var email pii.Email
		require.NoError(t, email.UnmarshalText(text))
		hint, err := email.Hint(ctx, security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.Empty(t, hint)
	}
}

func TestEmailLengthIsCheckedFirst(t *testing.T) {
	security, _ := newScopes(t)
	huge := strings.Repeat("é", 32<<20)
	for _, typed := range []string{huge, huge + "@example.com", "alice@" + huge, "alice@" + huge + ".example", strings.Repeat(" ", 64<<20) + testAddress, strings.Repeat("A", 64<<20)} {
		require.Less(t, allocated(func() {
			_, err := pii.SealEmail(ctx, typed, security)
			require.EqualError(t, err, refusedEmailSeal)
			_, err = pii.IndexEmail(ctx, typed, security)
			require.EqualError(t, err, refusedEmailIndex)
		}), uint64(64<<10), "bytes were allocated for 64 MB of nonsense")
	}
}

func FuzzEmail(f *testing.F) {
	for _, v := range readVectors(f, "testdata/email.txt") {
		f.Add(v.typed)
	}
	for _, c := range readCorpus(f, "email") {
		f.Add(c.typed)
	}
	security, _ := newScopes(f)
	f.Fuzz(func(t *testing.T, typed string) {
		email, err := pii.SealEmail(ctx, typed, security)
		index, indexErr := pii.IndexEmail(ctx, typed, security)
		// A blank before it keeps an address from the fast path.
		if slow := pii.ValidEmail(" " + typed); len(typed) < 1000 {
			require.Equal(t, err == nil, slow)
		}
		if err != nil {
			require.EqualError(t, err, refusedEmailSeal)
			require.EqualError(t, indexErr, refusedEmailIndex)
			require.True(t, email.IsZero())
			requirePoisoned(t, index)
			return
		}
		require.NoError(t, indexErr)
		revealed, err := email.Reveal(ctx, security)
		require.NoError(t, err)
		requireBareMailbox(t, revealed)
		requireSpellingOf(t, typed, revealed)

		again, err := pii.SealEmail(ctx, revealed, security)
		require.NoError(t, err, "the canonical form is an address")
		twice, err := again.Reveal(ctx, security)
		require.NoError(t, err)
		require.Equal(t, revealed, twice)

		for _, same := range []string{revealed, strings.ToUpper(revealed), " " + revealed + "\n"} {
			sameIndex, err := pii.IndexEmail(ctx, same, security)
			require.NoError(t, err)
			require.True(t, index.Equal(sameIndex))
		}
		fromSealed, err := email.Index(ctx, security)
		require.NoError(t, err)
		require.True(t, index.Equal(fromSealed))
		hint, err := email.Hint(ctx, security)
		require.NoError(t, err)
		require.NotContains(t, hint, revealed)
	})
}

// requireBareMailbox fails unless s is what mail, databases and logs take
// without surprise.
func requireBareMailbox(t testing.TB, s string) {
	t.Helper()
	require.LessOrEqual(t, len(s), 254)
	require.Equal(t, 1, strings.Count(s, "@"))
	require.False(t, strings.ContainsAny(s, `"(),:;<>[\]`))
	for i := range len(s) {
		require.True(t, s[i] > ' ' && s[i] < 0x7f, "not printable ASCII")
	}
	local, domain, _ := strings.Cut(s, "@")
	require.True(t, len(local) >= 1 && len(local) <= 64)
	require.Equal(t, strings.ToLower(domain), domain)
	labels := strings.Split(domain, ".")
	require.GreaterOrEqual(t, len(labels), 2)
	for _, label := range labels {
		require.True(t, len(label) >= 1 && len(label) <= 63)
	}
	require.NotEmpty(t, strings.Trim(labels[len(labels)-1], "0123456789"))
}

// requireSpellingOf fails unless typed is the canonical address but for characters
// that are dropped around it, capitals in the domain, and labels written in
// their own script. Punycode maps scripts to A-labels one to one, so no
// other address has this canonical form.
func requireSpellingOf(t testing.TB, typed, canonical string) {
	t.Helper()
	typed = trimmed(typed)
	at := strings.LastIndexByte(typed, '@')
	local, domain, _ := strings.Cut(canonical, "@")
	require.Equal(t, typed[:at], local)
	typedLabels, labels := strings.Split(foldASCII(typed[at+1:]), "."), strings.Split(domain, ".")
	require.Len(t, typedLabels, len(labels))
	for i, label := range labels {
		if typedLabels[i] != label {
			own, err := idna.Punycode.ToUnicode(label)
			require.NoError(t, err)
			require.Equal(t, own, strings.Map(smallOf, typedLabels[i]))
		}
	}
}

func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
