package piitest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

func sum256(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] }
func sum1(s string) []byte   { b := sha1.Sum([]byte(s)); return b[:] }
func sumMD5(s string) []byte { b := md5.Sum([]byte(s)); return b[:] }

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// escaped writes every byte in the format.
func escaped(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }

// tracesOf are ways in which text gets out, and what of a message names them.
var tracesOf = map[string]struct {
	out  func(text string) string
	want string
}{
	"as it is":           {func(s string) string { return "row " + s + "\n" }, "as text"},
	"capital letters":    {strings.ToUpper, "as text"},
	"in a URL":           {func(s string) string { return "https://ads.example/?q=" + url.QueryEscape(s) }, "as text"},
	"every byte escaped": {func(s string) string { return "%" + strings.Join(strings.Fields(fmt.Sprintf("% X", s)), "%") }, "as text"},
	"escaped twice": {func(s string) string {
		return url.QueryEscape("%" + strings.Join(strings.Fields(fmt.Sprintf("% x", s)), "%"))
	}, "as text"},
	"in HTML": {func(s string) string { return "<td>" + template.HTMLEscapeString(s) + "</td>" }, "as text"},
	"every letter HTML": {func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "&#%d;", r)
		}
		return b.String()
	}, "as text"},
	"every letter JSON": {func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		return b.String()
	}, "as text"},
	"Go syntax escapes": {func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, `\x%02x`, r)
		}
		return b.String()
	}, "as text"},
	"UTF-16": {func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}, "as text"},
	"quoted-printable": {func(s string) string {
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		io.WriteString(w, strings.Repeat("-", 60)+s)
		w.Close()
		return b.String()
	}, "as text"},
	"quoted-printable, every letter": {escaped("=%02X"), "as text"},
	"octal escapes":                  {escaped(`\%03o`), "as text"},
	"long Unicode escapes":           {escaped(`\U%08x`), "as text"},
	"JavaScript escapes":             {escaped(`\u{%x}`), "as text"},
	"escape of browsers":             {escaped("%%u%04X"), "as text"},
	"code points":                    {func(s string) string { return fmt.Sprintf("%U", []byte(s)) }, "as text"},
	"backwards": {func(s string) string {
		b := []byte(s)
		slices.Reverse(b)
		return string(b)
	}, "as text, backwards"},
	// What looks like an escape and is none: %ca, =ca, %30.
	"in a LIKE":              {func(s string) string { return "WHERE x LIKE '%" + s + "%'" }, "as text"},
	"in a LIKE with escapes": {func(s string) string { return "LIKE '%" + strings.ReplaceAll(s, "-", `\u002d`) }, "as text"},
	"in a form":              {func(s string) string { return "x=" + s }, "as text"},
	"hex in a LIKE":          {func(s string) string { return "LIKE '%" + hex.EncodeToString([]byte(s)) + "%'" }, "in hex"},
	"letters apart":          {func(s string) string { return strings.Join(strings.Split(s, ""), " ") }, "as text"},
	"hex":                    {func(s string) string { return "id=" + hex.EncodeToString([]byte(s)) }, "in hex"},
	"hex in capitals":        {func(s string) string { return fmt.Sprintf("%X", s) }, "in hex"},
	"hex with colons":        {func(s string) string { return strings.ReplaceAll(fmt.Sprintf("% x", s), " ", ":") }, "in hex"},
	"hex, other half":        {func(s string) string { return "a" + hex.EncodeToString([]byte(s)) }, "in hex"},
	"hex dump":               {func(s string) string { return fmt.Sprintf("%#v", []byte(s)) }, "as a list of bytes"},
	"bytes in octal":         {func(s string) string { return fmt.Sprintf("%o", []byte(s)) }, "as a list of bytes"},
	"bytes in binary":        {func(s string) string { return fmt.Sprintf("%b", []byte(s)) }, "as a list of bytes"},
	"bytes as YAML":          {func(s string) string { return strings.ReplaceAll(fmt.Sprint([]byte(s)), " ", "\n  - ") }, "as a list of bytes"},
	"bytes dumped":           {func(s string) string { return hex.Dump([]byte("seven, " + s)) }, "in hex"},
	"bytes in decimal":       {func(s string) string { return fmt.Sprint([]byte(s)) }, "as a list of bytes"},
	"bytes in JSON": {func(s string) string {
		var n []int
		for _, c := range []byte(s) {
			n = append(n, int(c))
		}
		return jsonOf(n)
	}, "as a list of bytes"},
	"base64":             {func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, "in base64"},
	"base64url":          {func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe\xff" + s)) }, "in base64"},
	"base64 after one":   {func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x" + s)) }, "in base64"},
	"base64 after two":   {func(s string) string { return base64.StdEncoding.EncodeToString([]byte("xy" + s + "z")) }, "in base64"},
	"base64 behind text": {func(s string) string { return "token/" + base64.RawURLEncoding.EncodeToString([]byte(s)) }, "in base64"},
	"base64 in a URL":    {func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("??>>" + s))) }, "in base64"},
	"base64 in lines": {func(s string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte(strings.Repeat(".", 40) + s)}))
	}, "in base64"},
	"base64 in JSON": {func(s string) string {
		return jsonOf(string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte(strings.Repeat(".", 40) + s)})))
	}, "in base64"},
	"gzip":                {zipped, "in gzip"},
	"SHA-256":             {func(s string) string { return string(sum256(s)) }, "SHA-256 of it"},
	"SHA-256 in hex":      {func(s string) string { return fmt.Sprintf("%x", sum256(s)) }, "in hex"},
	"SHA-256 in capitals": {func(s string) string { return fmt.Sprintf("%X", sum256(s)) }, "SHA-256 of it"},
	"SHA-256, cut off":    {func(s string) string { return fmt.Sprintf("%x", sum256(s))[:16] }, "SHA-256 of it"},
	"SHA-256 with echo":   {func(s string) string { return fmt.Sprintf("%x", sum256(s+"\n")) }, "SHA-256 of it"},
	"SHA-256 in base64":   {func(s string) string { return base64.StdEncoding.EncodeToString(sum256(s)) }, "in base64"},
	"SHA-256 in a token": {func(s string) string {
		return "eyJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+hex.EncodeToString(sum256(s))+`"}`)) + ".sig"
	}, "in base64, in hex"},
	"SHA-256 as bytes": {func(s string) string { return fmt.Sprint(sum256(s)) }, "as a list of bytes"},
	"SHA-1":            {func(s string) string { return fmt.Sprintf("%x", sum1(s)) }, "SHA-1 of it"},
	"MD5":              {func(s string) string { return fmt.Sprintf("%x", sumMD5(s)) }, "MD5 of it"},
	"MD5 as a UUID": {func(s string) string {
		h := fmt.Sprintf("%x", sumMD5(s))
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}, "MD5 of it"},
	"SHA-512":  {func(s string) string { b := sha512.Sum512([]byte(s)); return fmt.Sprintf("%x", b) }, "SHA-512 of it"},
	"SHA3-256": {func(s string) string { b := sha3.Sum256([]byte(s)); return fmt.Sprintf("%x", b) }, "SHA3-256 of it"},
}

func TestCanaryFindsEveryTrace(t *testing.T) {
	kit := piitest.New(t, security)
	for name, test := range tracesOf {
		t.Run(name, func(t *testing.T) {
			for what, text := range map[string]func(*piitest.Contact) string{
				"the e-mail address": func(c *piitest.Contact) string { return c.Address },
				"the phone number":   func(c *piitest.Contact) string { return c.Number },
			} {
				complains(t, func(tb testing.TB) {
					piitest.Canary(tb, kit.Scope(security), func(c *piitest.Contact) {
						io.WriteString(c.Writer("export"), test.out(text(c)))
					})
				}, "piitest: export (canary_test.go:", what+" that was planted for security: ", test.want,
					"nothing collected for security may come out here")
			}
			// The same of somebody else is none.
			require.Empty(t, failures(t, func(tb testing.TB) {
				piitest.Canary(tb, kit.Scope(security), func(c *piitest.Contact) {
					c.Search("export", test.out("canary-somebody-else@example.com"))
					c.Search("export", test.out("+13035559999"))
					c.Search("export", test.out("")+test.out("@example.com"))
				})
			}))
		})
	}
}

func TestCanaryFindsNormalForms(t *testing.T) {
	kit := piitest.New(t, security)
	hash := func(s string) string { return fmt.Sprintf("%x", sum256(s)) }
	for name, out := range map[string]func(c *piitest.Contact) string{
		"local part":                func(c *piitest.Contact) string { return strings.TrimSuffix(c.Address, "@example.com") },
		"column that is too narrow": func(c *piitest.Contact) string { return c.Address[:20] },
		"hash of local part":        func(c *piitest.Contact) string { return hash(strings.TrimSuffix(c.Address, "@example.com")) },
		"hash in capitals":          func(c *piitest.Contact) string { return hash(strings.ToUpper(c.Address)) },
		"national number": func(c *piitest.Contact) string {
			return "(" + c.Number[2:5] + ") " + c.Number[5:8] + "-" + c.Number[8:]
		},
		"hash of digits":           func(c *piitest.Contact) string { return hash(c.Number[1:]) },
		"hash of 00 and digits":    func(c *piitest.Contact) string { return hash("00" + c.Number[1:]) },
		"hash of national digits":  func(c *piitest.Contact) string { return hash(c.Number[2:]) },
		"hash of a written number": func(c *piitest.Contact) string { return hash(c.Number[2:5] + "-" + c.Number[5:8] + "-" + c.Number[8:]) },
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) {
				piitest.Canary(tb, kit.Scope(security), func(c *piitest.Contact) { c.Search("export", out(c)) })
			}, "export (canary_test.go:")
		})
	}
}

func TestCanaryFindsSealedValuesAndIndexes(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	ctx, forSecurity, forAds := t.Context(), kit.Scope(security), kit.Scope(advertising)
	value := func(v interface{ MarshalBinary() ([]byte, error) }) []byte { b, _ := v.MarshalBinary(); return b }
	for name, test := range map[string]struct {
		out  func(c *piitest.Contact)
		want string
	}{
		"sealed by the contact": {func(c *piitest.Contact) { c.Search("export", c.Email(forSecurity)) }, "sealed"},
		"in binary":             {func(c *piitest.Contact) { c.Search("export", value(c.Phone(forSecurity))) }, "the phone number that was planted for security: sealed"},
		"sealed by the service": {func(c *piitest.Contact) {
			e, _ := pii.SealEmail(ctx, strings.ToUpper(c.Address[:8])+c.Address[8:], forSecurity)
			c.Search("export", struct{ E pii.Email }{e})
		}, "sealed for security"},
		"sealed at the end of a sentence": {func(c *piitest.Contact) {
			e, _ := pii.SealPhone(ctx, c.Number, forSecurity)
			b, _ := e.MarshalText()
			c.Search("export", "It was "+string(b)+".")
		}, "sealed for security"},
		"sealed again for another": {func(c *piitest.Contact) {
			e, _ := pii.SealEmail(ctx, c.Address, forAds)
			c.Search("export", struct{ E pii.Email }{e})
		}, "sealed for advertising"},
		"index": {func(c *piitest.Contact) {
			x, _ := pii.IndexEmail(ctx, c.Address, forSecurity)
			c.Search("export", x)
		}, "its index under security"},
		"another's index in hex": {func(c *piitest.Contact) {
			x, _ := pii.IndexPhone(ctx, c.Number, forAds)
			b, _ := x.Value()
			c.Search("export", fmt.Sprintf("%x", b))
		}, "its index under advertising, in hex"},
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) { piitest.Canary(tb, forSecurity, test.out, forAds) }, test.want)
			// To NoLeak, ciphertext is no leak.
			require.Empty(t, failures(t, func(tb testing.TB) { piitest.NoLeakParallel(tb, test.out) }))
		})
	}
	t.Run("somebody else's", func(t *testing.T) {
		piitest.Canary(t, forSecurity, func(c *piitest.Contact) {
			c.Search("export", struct{ E pii.Email }{kit.Email(forSecurity, forAds)})
			c.Search("export", "pii1. is how it begins, and pii1.email.security.AAAA is none")
			x, _ := pii.IndexEmail(ctx, "other@example.com", forSecurity)
			c.Search("export", x)
		}, forAds)
	})
	t.Run("of one person", func(t *testing.T) {
		service := func(c *piitest.Contact) {
			e, _ := pii.SealEmail(ctx, c.Address, forSecurity.For("user-1"))
			c.Search("export", struct{ E pii.Email }{e})
		}
		complains(t, func(tb testing.TB) { piitest.Canary(tb, forSecurity, service) }, "narrow the scope that Canary is given with For")
		complains(t, func(tb testing.TB) { piitest.Canary(tb, forSecurity.For("user-1"), service) }, "the e-mail address that was planted for security: sealed for security")
		piitest.Canary(t, forSecurity.For("user-2"), func(c *piitest.Contact) {
			c.Search("export", struct{ E pii.Email }{kit.Email(forSecurity.For("user-1"))})
			c.Search("export", struct{ E pii.Email }{kit.Email(forSecurity)})
		})
	})
}

func TestCanaryDoesNotCountInRecordings(t *testing.T) {
	kit := piitest.New(t, security)
	scope, rec := kit.Scope(security), kit.Record()
	piitest.Canary(t, scope, func(c *piitest.Contact) {
		c.Search("export", struct{ E pii.Email }{kit.Email(scope)})
		c.Email(scope)
	})
	rec.Only(t)
}

// detailed is an error whose text is not in its Error, and which fmt does not look
// into when it is within another.
type detailed struct{ input string }

func (*detailed) Error() string { return "invalid" }

func TestOutlets(t *testing.T) {
	kit := piitest.New(t, security)
	for name, test := range map[string]struct {
		out  func(t testing.TB, c *piitest.Contact)
		want string
	}{
		"writer, in two writes": {func(_ testing.TB, c *piitest.Contact) {
			w := c.Writer("log")
			io.WriteString(w, c.Address[:12])
			io.WriteString(w, c.Address[12:])
		}, "log ("},
		"string":       {func(_ testing.TB, c *piitest.Contact) { c.Search("result", c.Address) }, "result ("},
		"bytes":        {func(_ testing.TB, c *piitest.Contact) { c.Search("result", []byte(c.Address)) }, "as text"},
		"reader":       {func(_ testing.TB, c *piitest.Contact) { c.Search("result", strings.NewReader(c.Address)) }, "as text"},
		"struct":       {func(_ testing.TB, c *piitest.Contact) { c.Search("result", struct{ a string }{c.Address}) }, "as text"},
		"pointer":      {func(_ testing.TB, c *piitest.Contact) { c.Search("result", &[]*struct{ A string }{{c.Address}}) }, "as text"},
		"error":        {func(_ testing.TB, c *piitest.Contact) { c.Search("error", fmt.Errorf("%q", c.Address)) }, "as text"},
		"error within": {func(_ testing.TB, c *piitest.Contact) { c.Search("error", fmt.Errorf("no: %w", &detailed{c.Address})) }, "as text"},
		"errors joined": {func(_ testing.TB, c *piitest.Contact) {
			c.Search("error", errors.Join(io.EOF, &detailed{c.Address}))
		}, "as text"},
		"file": {func(_ testing.TB, c *piitest.Contact) {
			c.Search("files", fstest.MapFS{"a/b.db": {Data: []byte(c.Address)}})
		}, "files ("},
		"name of a file": {func(_ testing.TB, c *piitest.Contact) {
			c.Search("files", fstest.MapFS{c.Address: {}})
		}, "files ("},
		"rows": {func(_ testing.TB, c *piitest.Contact) {
			c.Rows("users", &rows{cells: [][]any{{1, "x"}, {2, []byte(c.Address)}}})
		}, "users, column b ("},
		"posted": {func(t testing.TB, c *piitest.Contact) {
			far := httptest.NewServer(c.Requests("ad platform", nil))
			defer far.Close()
			r, err := http.Post(far.URL, "text/plain", strings.NewReader(c.Address))
			require.NoError(t, err)
			r.Body.Close()
			require.Equal(t, http.StatusNoContent, r.StatusCode)
		}, "ad platform ("},
		"in a query": {func(t testing.TB, c *piitest.Contact) {
			c.Requests("ad platform", nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?e="+url.QueryEscape(c.Address), nil))
		}, "ad platform ("},
		"in a header": {func(t testing.TB, c *piitest.Contact) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-User", c.Address)
			c.Requests("ad platform", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		}, "ad platform ("},
		"answered": {func(t testing.TB, c *piitest.Contact) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, c.Address[:12])
				io.WriteString(w, c.Address[12:])
			})
			c.Responses("page", h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}, "page ("},
		"answered in a header": {func(t testing.TB, c *piitest.Contact) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/?e="+url.QueryEscape(c.Address), http.StatusFound)
			})
			c.Responses("page", h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
		}, "page ("},
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) {
				piitest.Canary(tb, kit.Scope(security), func(c *piitest.Contact) { test.out(t, c) })
			}, test.want)
			complains(t, func(tb testing.TB) {
				piitest.NoLeakParallel(tb, func(c *piitest.Contact) { test.out(t, c) })
			}, test.want, "made up for this test", "log and store the sealed value")
		})
	}
}

func TestOutletsPassOn(t *testing.T) {
	piitest.NoLeakParallel(t, func(c *piitest.Contact) {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			w.WriteHeader(http.StatusTeapot)
			w.Write(b)
			require.NoError(t, http.NewResponseController(w).Flush())
			w.(http.Flusher).Flush()
		})
		w := httptest.NewRecorder()
		c.Responses("page", c.Requests("form", echo)).ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("a body")))
		require.Equal(t, http.StatusTeapot, w.Code)
		require.Equal(t, "a body", w.Body.String())
		require.True(t, w.Flushed)

		broken := httptest.NewRequest("POST", "/", iotest.ErrReader(io.ErrUnexpectedEOF))
		c.Requests("form", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})).ServeHTTP(w, broken)
	})
}

// rows is what *sql.Rows has.
type rows struct {
	cells [][]any
	at    int
	err   error
}

func (r *rows) Columns() ([]string, error) { return []string{"a", "b"}, nil }
func (r *rows) Next() bool                 { r.at++; return r.at <= len(r.cells) }
func (r *rows) Scan(dest ...any) error {
	for i, cell := range r.cells[r.at-1] {
		*dest[i].(*any) = cell
	}
	return nil
}
func (r *rows) Err() error   { return r.err }
func (r *rows) Close() error { return nil }

func TestCanaryFails(t *testing.T) {
	kit := piitest.New(t, security)
	scope := kit.Scope(security)
	canary := func(f func(c *piitest.Contact)) func(testing.TB) {
		return func(tb testing.TB) { piitest.Canary(tb, scope, f) }
	}
	for name, test := range map[string]struct {
		f    func(testing.TB)
		want []string
	}{
		"nil scope": {func(tb testing.TB) { piitest.Canary(tb, nil, nil) }, []string{"needs the scope of the purpose"}},
		"closed vault": {func(tb testing.TB) {
			kit := piitest.New(tb, security)
			scope := kit.Scope(security)
			kit.Vault.Close()
			piitest.Canary(tb, scope, func(*piitest.Contact) {})
		}, []string{"vault is closed"}},
		"shown nothing":        {canary(func(*piitest.Contact) {}), []string{"was shown nothing of what came out", "c.Writer, c.Requests or c.Responses"}},
		"nobody to seal for":   {canary(func(c *piitest.Contact) { c.Writer("log"); c.Email() }), []string{"invalid argument"}},
		"no phone to seal for": {canary(func(c *piitest.Contact) { c.Writer("log"); c.Phone() }), []string{"invalid argument"}},
		"reader that breaks off": {canary(func(c *piitest.Contact) { c.Search("export", iotest.ErrReader(io.ErrUnexpectedEOF)) }),
			[]string{"export can't be read to the end"}},
		"file that is none": {canary(func(c *piitest.Contact) { c.Search("files", fstest.MapFS{"a": {Mode: 1 << 27}}) }), []string{"files can't be read to the end"}},
		"rows that break off": {canary(func(c *piitest.Contact) { c.Rows("users", &rows{err: io.ErrUnexpectedEOF}) }),
			[]string{"the rows of users can't be read to the end"}},
		"many forms": {canary(func(c *piitest.Contact) {
			c.Search("export", fmt.Sprintf("%s %x %x %x %x %x", c.Address, c.Address, sum256(c.Address), sum1(c.Address), sumMD5(c.Address), sum256(c.Address+"\n")))
		}), []string{"and 1 more: nothing collected for security"}},
	} {
		t.Run(name, func(t *testing.T) { complains(t, test.f, test.want...) })
	}
	t.Run("leak before the test ends early", func(t *testing.T) {
		log := failures(t, func(tb testing.TB) {
			piitest.Canary(tb, scope, func(c *piitest.Contact) {
				c.Search("export", c.Address)
				tb.Fatal("piitest: of the code under test")
			})
		})
		require.Len(t, log, 2)
		require.Contains(t, log[1], "export (")
	})
	t.Run("both at two sinks", func(t *testing.T) {
		log := failures(t, canary(func(c *piitest.Contact) {
			c.Search("first", c.Address+c.Number)
			c.Search("second", c.Address+c.Number)
		}))
		require.Len(t, log, 4)
	})
}

func TestContactsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		piitest.NoLeakParallel(t, func(c *piitest.Contact) {
			require.False(t, seen[c.Address] || seen[c.Number])
			seen[c.Address], seen[c.Number] = true, true
			require.True(t, pii.ValidEmail(c.Address))
			require.True(t, pii.ValidPhone(c.Number))
		})
	}
}

var _ vault.Sealer = (*vault.Scope)(nil)

func BenchmarkSearch(b *testing.B) {
	line := []byte("2026-11-23T10:00:00Z level=INFO msg=\"request served\" path=/v1/users/4711 status=200 bytes=5120 id=9f86d081884c7d659a2feaa0\n")
	data := bytes.Repeat(line, 1<<20/len(line))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		piitest.NoLeakParallel(b, func(c *piitest.Contact) { c.Search("log", data) })
	}
}
