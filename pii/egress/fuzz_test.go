package egress

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
)

const number = "+14155552671"

// A filler fills bodies as the transport does.
type filler struct {
	kit    *piitest.Kit
	rule   *compiledRule
	sealed string
}

func newFiller(t testing.TB, fields ...Field) *filler {
	security := purpose.MustParse("security")
	kit := piitest.New(t, security)
	reader, err := kit.Vault.Reader(t.Context(), security)
	require.NoError(t, err)
	phone, err := pii.SealPhone(t.Context(), number, kit.Scope(security))
	require.NoError(t, err)
	sealed, err := phone.MarshalText()
	require.NoError(t, err)
	rule, err := compile(Rule{Host: "sms.example", Method: "POST", Path: "/", Fields: fields, Reader: reader})
	require.NoError(t, err)
	return &filler{kit, rule, string(sealed)}
}

// body returns a body in which § stands for the sealed text.
func (f *filler) body(template string) []byte {
	return []byte(strings.ReplaceAll(template, "§", f.sealed))
}

// fill returns the bytes that leave, and the places that were filled.
func (f *filler) fill(t testing.TB, contentType string, body []byte) ([]byte, []place, error) {
	req, err := http.NewRequest("POST", "https://sms.example/", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	places, err := f.rule.find(req, body)
	if err != nil {
		return nil, nil, err
	}
	s, err := f.rule.open(t.Context(), places)
	require.NoError(t, err)
	defer s.release()
	out := (&Transport{}).outgoing(req, body, places, s)
	got, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	require.NoError(t, out.Body.Close())
	require.EqualValues(t, len(got), out.ContentLength)
	return got, places, nil
}

// The JSON that leaves is the tree of a naive fill, and but for the declared fields not a
// byte of it has changed. A text that encoding/json refuses is refused.
func FuzzJSON(f *testing.F) {
	filler := newFiller(f, JSON[pii.Phone]("/to"), JSON[pii.Phone]("/all/*/sms"), JSON[pii.Phone]("/a~1b/0"))
	for _, seed := range []string{
		`{"to":"§"}`, `{"all":[{"sms":"§"},{"sms":"§","x":1}]}`, `{"a/b":["§","x"],"to":"§"}`, `{"all":{"k":{"sms":"§"}}}`,
		` { "t\u006f" : "§" , "n" : [ 1.5e-3 , true , null , "\ud83d\ude00" ] } `, `{"to":"§","to":"§"}`, `["§"]`, `{"x":"§"}`, `{"to":"\u0070ii1.phone"}`, `{"all":[[[[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		body := filler.body(template)
		got, places, err := filler.fill(t, "application/json", body)
		want, valid := tree(body)
		if err != nil {
			return
		}
		require.True(t, valid, "%q", template)
		naive(want, [][]string{{"to"}, {"all", "*", "sms"}, {"a/b", "0"}}, filler.sealed)
		left, valid := tree(got)
		require.True(t, valid)
		require.Equal(t, want, left)
		require.NotContains(t, string(got), filler.sealed)
		requireOnly(t, body, got, places)
	})
}

// requireOnly fails if a byte outside the places has changed.
func requireOnly(t *testing.T, body, got []byte, places []place) {
	t.Helper()
	var want []byte
	from := 0
	for _, p := range places {
		patch, err := p.encode(nil, number)
		require.NoError(t, err)
		want = append(append(want, body[from:p.start]...), patch...)
		from = p.end
	}
	require.Equal(t, string(append(want, body[from:]...)), string(got))
}

func tree(body []byte) (v any, valid bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil, false
	}
	_, err := d.Token()
	return v, err == io.EOF
}

// naive fills the strings of a tree at the paths.
func naive(v any, paths [][]string, sealed string) {
	next := func(key string, child any) any {
		var below [][]string
		for _, p := range paths {
			switch {
			case len(p) == 0 || p[0] != "*" && p[0] != key:
			case len(p) == 1 && child == sealed:
				return number
			default:
				below = append(below, p[1:])
			}
		}
		naive(child, below, sealed)
		return child
	}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = next(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = next(string(appendIndex(i)), v[i])
		}
	}
}

func appendIndex(i int) []byte { b, _ := json.Marshal(i); return b }

// The form that leaves has the values of a naive fill, in the order of the fields.
func FuzzForm(f *testing.F) {
	filler := newFiller(f, Form[pii.Phone]("To"))
	for _, seed := range []string{"To=§", "a=1&To=§&b=2", "T%6f=§", "To=§&To=§", "x=§", "To", "To=%70ii1", "&&a==b&To=§", "a;b=c", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		body := filler.body(template)
		got, places, err := filler.fill(t, "application/x-www-form-urlencoded", body)
		want, parseErr := url.ParseQuery(string(body))
		if err != nil {
			return
		}
		require.NoError(t, parseErr)
		for i, v := range want["To"] {
			require.Equal(t, filler.sealed, v)
			want["To"][i] = number
		}
		left, err := url.ParseQuery(string(got))
		require.NoError(t, err)
		require.Equal(t, want, left)
		require.NotContains(t, string(got), filler.sealed)
		requireOnly(t, body, got, places)
	})
}

// The multipart form that leaves has the parts of a naive fill.
func FuzzMultipart(f *testing.F) {
	filler := newFiller(f, Multipart[pii.Phone]("to"))
	part := "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n§\r\n"
	for _, seed := range []string{
		part + "--b--\r\n", part + "--b--", "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Type: text/plain\r\n\r\n1\r\n--c\r\n" + part + "--b--",
		part + part + "--b--", part, "--b--", "--b\r\n\r\n\r\n--b--", strings.Replace(part, "\r\n", "\n", 1) + "--b--", "--bb" + part,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		body := filler.body(template)
		got, places, err := filler.fill(t, "multipart/form-data; boundary=b", body)
		if err != nil {
			return
		}
		want, readable := parts(body)
		if !readable { // the package of the standard library has limits of its own
			return
		}
		for i, p := range want {
			if p[0] == "to" {
				require.Equal(t, filler.sealed, p[1])
				want[i][1] = number
			}
		}
		left, readable := parts(got)
		require.True(t, readable)
		require.Equal(t, want, left)
		requireOnly(t, body, got, places)
	})
}

func parts(body []byte) (all [][2]string, readable bool) {
	for r := multipart.NewReader(bytes.NewReader(body), "b"); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all, true
		}
		if err != nil {
			return nil, false
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return nil, false
		}
		_, params, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		all = append(all, [2]string{params["name"], string(content)})
	}
}

// A response is the same whatever the sizes of its pieces, has no plaintext left, and
// without escapes it is that of a naive replacement.
func FuzzResponse(f *testing.F) {
	const other = "a.lice+x%y@example.com"
	values := map[string]string{number: "pii1.phone.x", number[1:]: "pii1.phone.x", other: "pii1.email.x"}
	for _, seed := range []string{
		"to " + number + "!", number[1:] + number, "+1" + number, `\u002b1415555267\u0031`, "%2B14155552671%", "&#43;14155552671;", other + strings.ToUpper(other),
		url.QueryEscape(url.QueryEscape(other)), `\\\\\ud83d\\\\ude00`, "&amp;&#x;", "+1415555", `a.lice\x2bx%25y@example.com`, "A.LICE+x%y@example.com",
	} {
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(5))
	}
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var e echoes
		e.add([]byte(number), []byte(values[number]))
		e.add([]byte(other), []byte(values[other]))
		want := e.replace(text)
		s := &shared{echoes: e}
		resp := &http.Response{Body: io.NopCloser(pieces{strings.NewReader(text), int(size)%9 + 1}), Header: http.Header{}}
		reseal(resp, s)
		got, err := io.ReadAll(pieces{resp.Body, int(size)/9 + 1})
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		for plain := range values {
			require.NotContains(t, string(got), plain)
		}
		if !strings.ContainsAny(text, `%\&`) {
			plain := strings.NewReplacer(number, values[number], number[1:], values[number]).Replace(text)
			require.Equal(t, plain, string(got))
		}
		require.True(t, slices.Equal(resp.Body.(*resealer).buf, make([]byte, windowSize+e.most)), "the window is cleared")
	})
}

// pieces reads a few bytes at a time.
type pieces struct {
	io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }
