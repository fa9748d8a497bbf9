package piibeam_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/textio"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piibeam"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func TestMain(m *testing.M) {
	// The runner tells every step, and of each failure that a test wants, at length.
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	ptest.Main(m)
}

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")

	store = vault.Memory()
	kek   = newKEK()
	opens atomic.Int32 // how often a worker opened the vault
	down  atomic.Bool  // the key service
)

func init() {
	register.Function1x2(cut)
	register.Function2x1(joined)
	register.Function2x1(joinedIndex)
	piibeam.Register("company", func(ctx context.Context) (*vault.Vault, error) {
		opens.Add(1)
		return vault.Open(ctx, store, kek, nil)
	})
	piibeam.Register("elsewhere", func(ctx context.Context) (*vault.Vault, error) {
		return nil, fmt.Errorf("key service: %w", vault.ErrUnavailable)
	})
	v, err := vault.OpenAdmin(context.Background(), store, kek, nil)
	if err == nil {
		err = v.Generate(context.Background(), security, advertising)
	}
	if err != nil {
		panic(err)
	}
}

// cut, joined and joinedIndex are lines of files: an id, a comma, and the rest.
func cut(line string) (string, string) {
	id, rest, _ := strings.Cut(line, ",")
	return id, rest
}
func joined(id, text string) string              { return id + "," + text }
func joinedIndex(id string, index []byte) string { return fmt.Sprintf("%s,%x", id, index) }

type aead struct{ gcm cipher.AEAD }

func (a aead) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return a.gcm.Seal(nil, nil, plaintext, aad), nil
}
func (a aead) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	if down.Load() {
		return nil, vault.ErrUnavailable
	}
	return a.gcm.Open(nil, nil, ciphertext, aad)
}

func newKEK() vault.KEK {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return vault.SharedKEK(aead{gcm})
}

func scope(t *testing.T, p purpose.Purpose) *vault.Scope {
	t.Helper()
	v, err := vault.OpenAdmin(t.Context(), store, kek, nil)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	return s
}

// lines returns the lines of a file as the second half of each by the first.
func lines(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	found := map[string]string{}
	for line := range strings.Lines(string(data)) {
		id, rest := cut(strings.TrimSuffix(line, "\n"))
		require.NotContains(t, found, id)
		found[id] = rest
	}
	return found
}

// From a file of what people typed to files of sealed values, of indexes, and of
// what could not be done; and from there to an advertiser's matches.
func TestFilesToFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var typed strings.Builder
	const n = 500
	for i := range n {
		fmt.Fprintf(&typed, "user-%d,Person.%d@Example.com\n", i, i)
	}
	typed.WriteString("user-bad,not an address\nuser-none,\n")
	require.NoError(t, os.WriteFile(file("typed.csv"), []byte(typed.String()), 0o600))
	before := opens.Load()

	both := piibeam.Job{
		Vault: "company", Kind: piibeam.Email, Purposes: []string{"security", "advertising"},
		Basis: purpose.Basis{Notice: "sign-up-v2"}, ForRow: true,
	}
	p, s := beam.NewPipelineWithRoot()
	rows := beam.ParDo(s, cut, textio.Read(s, file("typed.csv")))
	sealed, failed := piibeam.Seal(s, both, rows)
	resealed, failedAgain := piibeam.Reseal(s, both, sealed)
	indexes, failedIndex := piibeam.Index(s, both, resealed)
	textio.Write(s, file("sealed.csv"), beam.ParDo(s, joined, resealed))
	textio.Write(s, file("indexes.csv"), beam.ParDo(s, joinedIndex, indexes))
	textio.Write(s, file("failed.csv"), beam.ParDo(s, joined, failed))
	passert.Empty(s, failedAgain)
	passert.Empty(s, failedIndex)
	require.NoError(t, ptest.Run(p))
	require.LessOrEqual(t, opens.Load()-before, int32(1), "keys are opened once")

	sec := scope(t, security)
	values, tokens := lines(t, file("sealed.csv")), lines(t, file("indexes.csv"))
	require.Len(t, values, n)
	require.Len(t, tokens, n)
	for id, text := range values {
		var email pii.Email
		require.NoError(t, email.UnmarshalText([]byte(text)))
		require.Equal(t, "advertising+security", email.Purposes().String())
		provenance, _ := email.Provenance(security)
		require.Equal(t, "sign-up-v2", provenance.Notice)
		address, err := email.Reveal(t.Context(), sec.For(id))
		require.NoError(t, err)
		require.Equal(t, strings.Replace(id, "user-", "Person.", 1)+"@example.com", address)
		index, err := pii.IndexEmail(t.Context(), address, sec)
		require.NoError(t, err)
		raw, err := index.Value()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%x", raw), tokens[id])
	}
	require.Equal(t, map[string]string{
		"user-bad": "pii: sealing email: not a valid email", "user-none": "pii: sealing email: not a valid email",
	}, lines(t, file("failed.csv")))

	// Security finds its people on a list; advertising's list joins with nothing of
	// security's.
	match := func(under string) map[string]string {
		j := piibeam.Job{Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"}, ForRow: true}
		p, s := beam.NewPipelineWithRoot()
		values := beam.ParDo(s, cut, textio.Read(s, file("sealed.csv")))
		indexes, _ := piibeam.Index(s, j, values)
		list := beam.ParDo(s, cut, beam.Create(s, "1,person.7@example.com", "2,nobody@example.com", "3,PERSON.8@example.com", "4,?"))
		j.Purposes[0] = under
		matches, failed := piibeam.Match(s, j, list, indexes)
		out := file("matches-" + under + ".csv")
		textio.Write(s, out, beam.ParDo(s, joined, matches))
		passert.Count(s, failed, "entries that are none", 1)
		require.NoError(t, ptest.Run(p))
		if _, err := os.Stat(out); errors.Is(err, fs.ErrNotExist) {
			return nil // of no lines no file is written
		}
		return lines(t, out)
	}
	require.Equal(t, map[string]string{"1": "user-7", "3": "user-8"}, match("security"))
	require.Empty(t, match("advertising"))
}

// What other rows have wrong with them costs these nothing.
func TestFailedRows(t *testing.T) {
	sec, ads := scope(t, security), scope(t, advertising)
	seal := func(s *vault.Scope) string {
		email, err := pii.SealEmail(t.Context(), "alice@example.com", s)
		require.NoError(t, err)
		text, err := email.MarshalText()
		require.NoError(t, err)
		return string(text)
	}
	p, s := beam.NewPipelineWithRoot()
	values := beam.ParDo(s, cut, beam.Create(s,
		"good,"+seal(sec), "other purpose,"+seal(ads), "a person's,"+seal(sec.For("alice")),
		"plain,alice@example.com", "absent,", "relabelled,"+strings.Replace(seal(ads), "advertising", "security", 1)))
	j := piibeam.Job{Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"}}
	resealed, failed := piibeam.Reseal(s, j, values)
	passert.Count(s, resealed, "done", 1)
	passert.Equals(s, beam.ParDo(s, joined, failed),
		"other purpose,pii: re-sealing email: collected for advertising, not security",
		"a person's,pii: re-sealing email: not sealed for this subject",
		"plain,pii: decoding email: not sealed here, or altered since",
		"absent,not sealed here, or altered since",
		"relabelled,pii: re-sealing email: not sealed here, or altered since")
	require.NoError(t, ptest.Run(p))
}

// What is no row's fault fails the pipeline, and no row is lost for it.
func TestFailedBundles(t *testing.T) {
	for name, j := range map[string]piibeam.Job{
		"no such vault":     {Vault: "unheard-of", Kind: piibeam.Email, Purposes: []string{"security"}},
		"key service down":  {Vault: "elsewhere", Kind: piibeam.Email, Purposes: []string{"security"}},
		"no keys":           {Vault: "company", Kind: piibeam.Email, Purposes: []string{"billing"}},
		"no such kind":      {Vault: "company", Kind: "address", Purposes: []string{"security"}},
		"no purpose":        {Vault: "company", Kind: piibeam.Email},
		"not a purpose":     {Vault: "company", Kind: piibeam.Email, Purposes: []string{"Security!"}},
		"basis not allowed": {Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"}, Basis: purpose.Basis{Notice: "a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			rows := beam.ParDo(s, cut, beam.Create(s, strings.Repeat("x", 300)+",alice@example.com"))
			_, failed := piibeam.Seal(s, j, rows)
			passert.Empty(s, failed)
			err := ptest.Run(p)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "alice@")
		})
	}
}

// A row with a bad id, or of a person whose record in the key store does not open, fails
// alone. So does it in every transform.
func TestOneBadRowFailsAlone(t *testing.T) {
	ctx := t.Context()
	sec := scope(t, security)
	var values []string
	for _, id := range []string{"row-1", "row-2", "row-3"} {
		email, err := pii.SealEmail(ctx, id+"@example.com", sec.For(id))
		require.NoError(t, err)
		text, err := email.MarshalText()
		require.NoError(t, err)
		values = append(values, id+","+string(text))
	}
	name, err := sec.Pseudonym(ctx, "row-2")
	require.NoError(t, err)
	records, err := store.Get(ctx, "security/subjects/"+name[:2]+"/"+name)
	require.NoError(t, err)
	records[0].Data[len(records[0].Data)-1] ^= 1
	_, err = store.Put(ctx, records[0])
	require.NoError(t, err)
	values = append(values, strings.Repeat("x", 256)+","+values[0][len("row-1,"):], ","+values[0][len("row-1,"):])
	typed := []string{"row-1,a@example.com", "row-2,b@example.com", "row-3,c@example.com", strings.Repeat("x", 256) + ",d@example.com", ",e@example.com"}

	j := piibeam.Job{Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"}, ForRow: true}
	for name, run := range map[string]func(s beam.Scope) (done, failed beam.PCollection){
		"seal": func(s beam.Scope) (done, failed beam.PCollection) {
			return piibeam.Seal(s, j, beam.ParDo(s, cut, beam.CreateList(s, typed)))
		},
		"reseal": func(s beam.Scope) (done, failed beam.PCollection) {
			return piibeam.Reseal(s, j, beam.ParDo(s, cut, beam.CreateList(s, values)))
		},
		"index": func(s beam.Scope) (done, failed beam.PCollection) {
			return piibeam.Index(s, j, beam.ParDo(s, cut, beam.CreateList(s, values)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			done, failed := run(s)
			passert.Count(s, done, "done", 2)
			doing := map[string]string{"seal": "sealing", "reseal": "re-sealing", "index": "indexing"}[name]
			passert.Equals(s, beam.ParDo(s, joined, failed),
				"row-2,pii: "+doing+" email: malformed subject record: not sealed here, or altered since",
				strings.Repeat("x", 256)+",piibeam: the id of the row is empty or too long: invalid argument",
				",piibeam: the id of the row is empty or too long: invalid argument")
			require.NoError(t, ptest.Run(p))
		})
	}
}

func TestRegisterTwice(t *testing.T) {
	require.Panics(t, func() {
		piibeam.Register("company", func(context.Context) (*vault.Vault, error) { return nil, errors.New("x") })
	})
	require.Panics(t, func() { piibeam.Register("nothing", nil) })
}
