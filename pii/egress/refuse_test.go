package egress_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A refusal is a request that must not leave.
type refusal struct {
	want error
	make func(g *gateway) *http.Request
}

// form, jsonBody and get make requests.
func form(g *gateway, body string) *http.Request { return request(g, formType, body) }

func jsonBody(g *gateway, body string) *http.Request { return request(g, jsonType, body) }

func request(g *gateway, contentType, body string) *http.Request {
	r := must(http.NewRequest("POST", g.URL+"/send", strings.NewReader(body)))
	r.Header.Set("Content-Type", contentType)
	return r
}

func with(r *http.Request, change func(*http.Request)) *http.Request {
	change(r)
	return r
}

// rules are the rules that every refusal is tried with, one for each format.
func (g *gateway) rules() []egress.Rule {
	json := g.rule(egress.JSON[pii.Phone]("/to"), egress.JSON[pii.Email]("/all/*/mail"))
	json.Path = "/json"
	multi := g.rule(egress.Multipart[pii.Email]("to"))
	multi.Path = "/multipart"
	status := egress.Rule{Host: g.host(), Method: "GET", Path: "/messages/*"}
	return []egress.Rule{g.rule(egress.Form[pii.Phone]("To"), egress.Header[pii.Email]("X-Rcpt")), json, multi, status}
}

func toJSON(g *gateway, body string) *http.Request {
	return with(jsonBody(g, body), func(r *http.Request) { r.URL.Path = "/json" })
}

const boundary = "b0undary"

func part(name, content string) string {
	return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content + "\r\n"
}

const lastPart = "--" + boundary + "--\r\n"

func toMultipart(g *gateway, body string) *http.Request {
	return with(request(g, "multipart/form-data; boundary="+boundary, body), func(r *http.Request) { r.URL.Path = "/multipart" })
}

func refusals(t *testing.T) map[string]refusal {
	phone := func(g *gateway) string { return text(t, g.phone) }
	email := func(g *gateway) string { return text(t, g.email) }
	sms := func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&Body=x") }
	escaped := func(s string) string { return strings.Replace(s, "pii1.", `pii1\u002e`, 1) }
	percent := func(s string) string { return strings.Replace(s, "pii1.", "p%69i1.", 1) }
	is := func(want error, f func(g *gateway) *http.Request) refusal { return refusal{want, f} }
	return map[string]refusal{
		// Where it goes.
		"plain http": is(egress.ErrInsecure, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.URL.Scheme = "http" }) }),
		"another host": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.Host = "localhost" })
		}),
		"another port": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.Host = "127.0.0.1" })
		}),
		"a host with a dot": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.Host = strings.Replace(g.host(), ":", ".:", 1) })
		}),
		"another Host header": is(egress.ErrNoRule, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.Host = "evil.example" }) }),
		"another method":      is(egress.ErrNoRule, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.Method = "PUT" }) }),
		"another path":        is(egress.ErrNoRule, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.URL.Path = "/sends" }) }),
		"a path that is cleaned": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return must(http.NewRequest("GET", g.URL+"/messages/..", nil))
		}),
		"a slash that is escaped": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return must(http.NewRequest("GET", g.URL+"/messages/a%2fb", nil))
		}),
		"a dot that is escaped": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return must(http.NewRequest("GET", g.URL+"/messages/%2e%2e", nil))
		}),
		"an opaque URL": is(egress.ErrNoRule, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.Opaque = "//evil.example/" })
		}),
		"a redirect from another host": is(egress.ErrRedirect, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) {
				r.Response = &http.Response{Request: must(http.NewRequest("POST", "https://other.example/", nil))}
			})
		}),

		// A sealed value elsewhere.
		"in the path": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return must(http.NewRequest("GET", g.URL+"/messages/"+phone(g), nil)) }),
		"in the query": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.RawQuery = "to=" + phone(g) })
		}),
		"in the query with escapes": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.URL.RawQuery = "to=" + percent(phone(g)) })
		}),
		"in another header": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header.Set("X-To", phone(g)) })
		}),
		"in a declared header of another spelling": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header["x-rcpt"] = []string{email(g)} })
		}),
		"in another field":              is(egress.ErrUndeclared, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&Body=to "+phone(g)) }),
		"in another field with escapes": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&Body="+percent(email(g))) }),
		"in another field, escaped twice": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return form(g, "To="+phone(g)+"&Body="+strings.Replace(email(g), "pii1.", "p%2569i1.", 1))
		}),
		"in the name of a field": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&"+phone(g)+"=1") }),
		"in another JSON string": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","text":"`+email(g)+`"}`) }),
		"in JSON with escapes": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return toJSON(g, `{"to":"`+phone(g)+`","text":"`+escaped(email(g))+`"}`)
		}),
		"in a JSON key":              is(egress.ErrUndeclared, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","`+email(g)+`":1}`) }),
		"in a JSON key with escapes": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","`+escaped(email(g))+`":1}`) }),
		"in a sibling of the pointer": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return toJSON(g, `{"all":[{"mail":"`+email(g)+`","name":"`+email(g)+`"}]}`)
		}),
		"above the pointer": is(egress.ErrUndeclared, func(g *gateway) *http.Request { return toJSON(g, `{"all":["`+email(g)+`"]}`) }),
		"below the pointer": is(egress.ErrNotSealed, func(g *gateway) *http.Request { return toJSON(g, `{"to":["`+phone(g)+`"]}`) }),
		"in another part": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return toMultipart(g, part("to", email(g))+part("text", email(g))+lastPart)
		}),
		"in a preamble":  is(egress.ErrBody, func(g *gateway) *http.Request { return toMultipart(g, email(g)+"\r\n"+part("to", email(g))+lastPart) }),
		"in an epilogue": is(egress.ErrBody, func(g *gateway) *http.Request { return toMultipart(g, part("to", email(g))+lastPart+email(g)) }),
		"in the body of a plain rule": is(egress.ErrUndeclared, func(g *gateway) *http.Request {
			return must(http.NewRequest("GET", g.URL+"/messages/1", strings.NewReader(escaped(phone(g)))))
		}),

		// A declared field with something else.
		"a plain number":           is(egress.ErrNotSealed, func(g *gateway) *http.Request { return form(g, "To=%2B14155552671") }),
		"an empty field":           is(egress.ErrNotSealed, func(g *gateway) *http.Request { return form(g, "To=") }),
		"a name and a value":       is(egress.ErrNotSealed, func(g *gateway) *http.Request { return form(g, "To=Ann+"+phone(g)) }),
		"two values in one":        is(egress.ErrNotSealed, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+","+phone(g)) }),
		"a value that was altered": is(egress.ErrNotSealed, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"A") }),
		"another kind":             is(egress.ErrKind, func(g *gateway) *http.Request { return form(g, "To="+email(g)) }),
		"a header twice": is(egress.ErrNotSealed, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header["X-Rcpt"] = []string{email(g), email(g)} })
		}),
		"an object":      is(egress.ErrNotSealed, func(g *gateway) *http.Request { return toJSON(g, `{"to":{"x":1}}`) }),
		"a number":       is(egress.ErrNotSealed, func(g *gateway) *http.Request { return toJSON(g, `{"to":14155552671}`) }),
		"null":           is(egress.ErrNotSealed, func(g *gateway) *http.Request { return toJSON(g, `{"to":null}`) }),
		"a forged value": is(vault.ErrCorrupt, func(g *gateway) *http.Request { return form(g, "To="+flipped(phone(g))) }),

		// A body that two readers understand in two ways.
		"a field twice":          is(egress.ErrBody, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&To="+phone(g)) }),
		"a field twice, escaped": is(egress.ErrBody, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&T%6f=x") }),
		"a semicolon":            is(egress.ErrBody, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+";To=x") }),
		"a broken escape":        is(egress.ErrBody, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&x=%zz") }),
		"another content type":   is(egress.ErrBody, func(g *gateway) *http.Request { return jsonBody(g, "To="+phone(g)) }),
		"no content type": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header.Del("Content-Type") })
		}),
		"two content types": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header.Add("Content-Type", jsonType) })
		}),
		"a content type in lower case": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header["content-type"] = []string{jsonType} })
		}),
		"another character set": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header.Set("Content-Type", formType+"; charset=utf-16") })
		}),
		"a compressed body": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
		}),
		"trailers": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(sms(g), func(r *http.Request) { r.Trailer = http.Header{"X-To": nil} })
		}),
		"JSON: a key twice":          is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","to":"x"}`) }),
		"JSON: a key twice, escaped": is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","t\u006f":"x"}`) }),
		"JSON: a key twice in many":  is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{`+manyKeys(40)+`"to":"`+phone(g)+`","k7":1}`) }),
		"JSON: a parent twice":       is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"all":[{"mail":"`+email(g)+`"}],"all":[]}`) }),
		"JSON: cut off":              is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`"`) }),
		"JSON: two values":           is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`"} {}`) }),
		"JSON: a comma too many":     is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`",}`) }),
		"JSON: nested deeply": is(egress.ErrBody, func(g *gateway) *http.Request {
			return toJSON(g, `{"to":"`+phone(g)+`","x":`+strings.Repeat("[", 101)+strings.Repeat("]", 101)+"}")
		}),
		"JSON: half a surrogate":  is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","x":"\ud800"}`) }),
		"JSON: no UTF-8":          is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","x":"`+"\xff"+`"}`) }),
		"JSON: a comment":         is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`"/**/}`) }),
		"JSON: a byte order mark": is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, "\ufeff"+`{"to":"`+phone(g)+`"}`) }),
		"JSON: an octal number":   is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, `{"to":"`+phone(g)+`","x":01}`) }),
		"JSON: empty":             is(egress.ErrBody, func(g *gateway) *http.Request { return toJSON(g, ``) }),
		"multipart: cut off":      is(egress.ErrBody, func(g *gateway) *http.Request { return toMultipart(g, part("to", email(g))) }),
		"multipart: twice":        is(egress.ErrBody, func(g *gateway) *http.Request { return toMultipart(g, part("to", email(g))+part("to", "x")+lastPart) }),
		"multipart: another boundary": is(egress.ErrBody, func(g *gateway) *http.Request {
			return with(toMultipart(g, part("to", email(g))+lastPart), func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") })
		}),
		"multipart: a file": is(egress.ErrBody, func(g *gateway) *http.Request { return toMultipart(g, part(`to"; filename="x`, email(g))+lastPart) }),
		"multipart: a transfer encoding": is(egress.ErrBody, func(g *gateway) *http.Request {
			return toMultipart(g, strings.Replace(part("to", email(g)), "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)+lastPart)
		}),
		"multipart: two dispositions": is(egress.ErrBody, func(g *gateway) *http.Request {
			return toMultipart(g, strings.Replace(part("x", "1"), "\r\n\r\n", "\r\nContent-Disposition: form-data; name=to\r\n\r\n", 1)+lastPart)
		}),

		// Sizes.
		"a body that is too large": is(egress.ErrTooLarge, func(g *gateway) *http.Request { return form(g, "To="+phone(g)+"&x="+strings.Repeat("a", 1<<20)) }),
		"a large body of unknown size": is(egress.ErrTooLarge, func(g *gateway) *http.Request {
			return with(form(g, "To="+phone(g)+"&x="+strings.Repeat("a", 1<<20)), func(r *http.Request) { r.ContentLength = -1 })
		}),
		"a body shorter than its length": is(egress.ErrBody, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.ContentLength++ }) }),
		"a body longer than its length":  is(egress.ErrBody, func(g *gateway) *http.Request { return with(sms(g), func(r *http.Request) { r.ContentLength-- }) }),
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	return b.String()
}

// flipped returns the text of another sealed value, which nobody has sealed.
func flipped(text string) string {
	b := []byte(text)
	if at := len(b) - 20; b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

// A closing body says that it was closed, as [http.RoundTripper] demands.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// No byte of a refused request leaves, nothing is recorded as sent but values of a request
// that was refused later, and the error shows no value.
func TestRefusals(t *testing.T) {
	g := newGateway(t, nil)
	tr := g.transport(t, g.rules()...)
	for name, r := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			req := r.make(g)
			var body closing
			if req.Body != nil {
				body.Reader = req.Body
				req.Body = &body
			}
			_, err := tr.RoundTrip(req)
			require.ErrorIs(t, err, r.want)
			require.True(t, strings.HasPrefix(err.Error(), "egress: "), err)
			noPlaintext(t, "error", fmt.Sprintf("%v %+v %#v", err, err, err))
			require.NotContains(t, err.Error(), "pii1.")
			require.True(t, req.Body == nil || body.closed, "the body was closed")
			require.Empty(t, g.seen())
			require.Zero(t, g.conns)
		})
	}
	for _, e := range g.kit.Audit.Events() {
		require.NotEqual(t, audit.Allowed, e.Outcome)
	}
	_, err := (&egress.Transport{}).RoundTrip(form(g, ""))
	require.ErrorIs(t, err, egress.ErrNoRule)
}

// The same requests with one value where it belongs go out.
func TestEachRuleWorks(t *testing.T) {
	g := newGateway(t, nil)
	tr := g.transport(t, g.rules()...)
	for _, req := range []*http.Request{
		with(form(g, "To="+text(t, g.phone)), func(r *http.Request) { r.Header.Set("X-Rcpt", text(t, g.email)) }),
		toJSON(g, `{"to":"`+strings.ReplaceAll(text(t, g.phone), ".", `\u002e`)+`","all":[{"mail":"`+text(t, g.email)+`"}],"x":["`+"\u00e9\\ud83d\\ude00"+`",-0.5e+7,true,{}]}`),
		toMultipart(g, part("subject", "Hi")+part("to", text(t, g.email))+lastPart),
		with(form(g, "To="+text(t, g.phone)), func(r *http.Request) { r.ContentLength = -1 }),
		must(http.NewRequest("GET", g.URL+"/messages/SM1", nil)),
	} {
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Same(t, req, resp.Request)
	}
	all := g.seen()
	require.Equal(t, "To=%2B14155552671", all[0].body)
	require.Equal(t, address, all[0].Header.Get("X-Rcpt"))
	require.Equal(t, `{"to":"`+number+`","all":[{"mail":"`+address+`"}],"x":["`+"\u00e9\\ud83d\\ude00"+`",-0.5e+7,true,{}]}`, all[1].body)
	require.Equal(t, part("subject", "Hi")+part("to", address)+lastPart, all[2].body)
	require.Equal(t, all[0].body, all[3].body)
	require.EqualValues(t, len(all[3].body), all[3].ContentLength)
	require.Empty(t, all[4].body)
}

// A purpose, a person and an auditor are the vault's to refuse.
func TestTheVaultRefuses(t *testing.T) {
	g := newGateway(t, nil)
	ctx := context.Background()
	own, err := pii.SealPhone(ctx, number, g.kit.Scope(security).For("alice"))
	require.NoError(t, err)
	theirs, err := pii.SealPhone(ctx, "+14155550000", g.kit.Scope(security).For("bob"))
	require.NoError(t, err)
	campaign, err := pii.SealPhone(ctx, number, g.kit.Scope(ads))
	require.NoError(t, err)
	tr := g.transport(t, g.rule(egress.Form[pii.Phone]("To")))
	send := func(ctx context.Context, v pii.Phone) error {
		resp, err := tr.RoundTrip(form(g, "To="+text(t, v)).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	alice := egress.WithSubject(ctx, "alice")
	g.kit.Audit.Reset()
	require.ErrorIs(t, send(ctx, campaign), purpose.ErrMismatch)
	require.EqualError(t, send(ctx, campaign), "egress: form field To: pii: sending phone: collected for advertising, not security")
	require.ErrorIs(t, send(ctx, own), vault.ErrSubject)
	require.ErrorIs(t, send(alice, theirs), vault.ErrCorrupt, "of somebody who has no key, or another one")
	require.ErrorIs(t, send(alice, g.phone), vault.ErrSubject)
	require.ErrorIs(t, send(egress.WithSubject(ctx, ""), own), vault.ErrInvalid)
	for _, e := range g.kit.Audit.Events() {
		require.Equal(t, audit.Send, e.Action)
		require.NotEqual(t, audit.Allowed, e.Outcome)
		require.Equal(t, g.host(), e.Recipient)
	}
	require.Empty(t, g.seen())

	require.NoError(t, g.kit.Admin.Suspend(ctx, security, vault.Suspension{Actions: []audit.Action{audit.Reveal}}))
	require.ErrorIs(t, send(alice, own), vault.ErrSuspended)
	require.NoError(t, g.kit.Admin.Resume(ctx, security, ""))
	done, cancel := context.WithCancel(alice)
	cancel()
	require.ErrorIs(t, send(done, own), context.Canceled)
	require.Empty(t, g.seen())
	require.NoError(t, send(alice, own))
	require.Len(t, g.seen(), 1)
}

// While events can't be recorded, nothing leaves.
func TestNothingLeavesUnrecorded(t *testing.T) {
	g := newGateway(t, nil)
	for name, auditor := range map[string]auditFunc{
		"fails":  func(audit.Event) error { return fmt.Errorf("down: %s", number) },
		"panics": func(audit.Event) error { panic(number) },
	} {
		v, err := vault.Open(t.Context(), g.kit.Store, g.kit.KEK, &vault.Options{Audit: auditor, Timeout: time.Minute})
		require.NoError(t, err)
		t.Cleanup(func() { v.Close() })
		failing = false
		reader, err := v.Reader(t.Context(), security)
		require.NoError(t, err)
		failing = true
		rule := g.rule(egress.Form[pii.Phone]("To"))
		rule.Reader = reader
		_, err = g.transport(t, rule).RoundTrip(form(g, "To="+text(t, g.phone)))
		require.ErrorIs(t, err, vault.ErrUnavailable, name)
		noPlaintext(t, name, err.Error())
	}
	require.Empty(t, g.seen())
}

// failing makes an auditFunc fail, once the keys are open.
var failing bool

type auditFunc func(audit.Event) error

func (f auditFunc) Audit(_ context.Context, e audit.Event) error {
	if !failing {
		return nil
	}
	return f(e)
}

// A naive proxy replaces sealed text wherever it stands, as relays with tokens in free text do.
func naiveProxy(t testing.TB, g *gateway, body []byte) []byte {
	for _, v := range [][]byte{[]byte(text(t, g.phone)), []byte(text(t, g.email))} {
		if bytes.Contains(body, v) {
			plain, err := g.phone.Reveal(t.Context(), g.reader)
			if bytes.Equal(v, []byte(text(t, g.email))) {
				plain, err = g.email.Reveal(t.Context(), g.reader)
			}
			require.NoError(t, err)
			body = bytes.ReplaceAll(body, v, []byte(plain))
		}
	}
	return body
}

// Mallory has a copy of Alice's sealed address, from an export for example, and types it
// where her own name belongs. The welcome message goes to Mallory's own address, with her
// name in it. A proxy that replaces sealed text anywhere mails her Alice's address.
func TestATypedSealedValueGetsNothing(t *testing.T) {
	g := newGateway(t, nil)
	mallory, err := pii.SealEmail(t.Context(), "mallory@example.com", g.kit.Scope(security))
	require.NoError(t, err)
	welcome := func(name string) string {
		return string(must(jsonOf(map[string]any{"to": mallory, "text": "Welcome, " + name})))
	}
	stolen := text(t, g.email)
	require.Contains(t, string(naiveProxy(t, g, []byte(welcome(stolen)))), "Welcome, "+address, "the attack works elsewhere")

	c := g.client(t, egress.JSON[pii.Email]("/to"))
	_, _, err = post(t, c, g.URL+"/send", jsonType, welcome(stolen))
	require.ErrorIs(t, err, egress.ErrUndeclared)
	require.Empty(t, g.seen())
	_, _, err = post(t, c, g.URL+"/send", jsonType, welcome("Mallory"))
	require.NoError(t, err)
	require.Equal(t, `{"text":"Welcome, Mallory","to":"mallory@example.com"}`, g.seen()[0].body)
}
