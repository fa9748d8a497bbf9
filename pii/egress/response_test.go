package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
)

// spellings are the ways in which gateways write a plaintext.
func spellings(plain string) map[string]string {
	unicode, hexRefs := "", ""
	for _, c := range plain {
		unicode += fmt.Sprintf(`\u%04x`, c)
		hexRefs += fmt.Sprintf("&#x%X;", c)
	}
	var asXML bytes.Buffer
	xml.EscapeText(&asXML, []byte(plain))
	all := map[string]string{
		"as it is": plain, "query": url.QueryEscape(plain), "path": url.PathEscape(plain), "lower-case escapes": strings.ToLower(url.QueryEscape(plain)),
		"JSON": string(must(json.Marshal(plain))), "JSON in JSON": string(must(json.Marshal(string(must(json.Marshal(plain)))))),
		"all escapes": unicode, "escapes twice": strings.ReplaceAll(unicode, `\`, `\\`), "percent twice": url.QueryEscape(url.QueryEscape(plain)),
		"slashes": `"` + strings.ReplaceAll(plain, "/", `\/`) + `"`, "HTML": html.EscapeString(plain), "XML": asXML.String(), "references": hexRefs,
		"named": strings.NewReplacer("@", "&commat;", "+", "&plus;", "'", "&apos;").Replace(plain), "lower case": strings.ToLower(plain), "upper case": strings.ToUpper(plain),
		"\\x": strings.NewReplacer("@", `\x40`, "+", `\x2B`).Replace(plain),
	}
	if digits, ok := strings.CutPrefix(plain, "+"); ok {
		all["no plus"], all["00"], all["tel"] = digits, "00"+digits, "tel:"+plain
	}
	return all
}

// An echo of a plaintext becomes the sealed text in every encoding, with any sizes of reads.
func TestEchoesAreSealedAgain(t *testing.T) {
	var answer string
	g := newGateway(t, func(w http.ResponseWriter, _ received) {
		w.Header().Set("X-Echo", strings.Map(printable, answer))
		w.Header().Set("Location", "/messages?to="+url.QueryEscape(number))
		io.WriteString(w, answer)
	})
	c := g.client(t, egress.JSON[pii.Phone]("/sms"), egress.JSON[pii.Email]("/mail"))
	body := `{"sms":"` + text(t, g.phone) + `","mail":"` + text(t, g.email) + `"}`
	for plain, sealed := range map[string]string{number: text(t, g.phone), address: text(t, g.email)} {
		for name, spelled := range spellings(plain) {
			answer = `{"to":"` + spelled + `","id":"SM1","again":"` + spelled + `"}` + spelled
			resp, got, err := post(t, c, g.URL+"/send", jsonType, body)
			require.NoError(t, err)
			require.Equal(t, 3, strings.Count(got, sealed), "%s: %s", name, got)
			noPlaintext(t, name, got)
			require.Contains(t, got, `,"id":"SM1","again":"`)
			require.Contains(t, resp.Header.Get("X-Echo"), sealed, name)
			require.Equal(t, "/messages?to="+text(t, g.phone), resp.Header.Get("Location"))
			require.EqualValues(t, -1, resp.ContentLength)
			require.Empty(t, resp.Header.Get("Content-Length"))
		}
	}
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// A response without an echo stays as it is, and so does one to a request that was not
// filled.
func TestOtherResponsesStay(t *testing.T) {
	text := `{"n":"+1415555267","m":"alice.o","x":"%2B1415555%4","y":"\u002b1415","z":"&#43;&amp;\\"}` + strings.Repeat("%2B1415555267\\u0031", 3000)
	g := newGateway(t, func(w http.ResponseWriter, _ received) { io.WriteString(w, text) })
	status := egress.Rule{Host: g.host(), Method: "GET", Path: "/"}
	tr := g.transport(t, g.rule(egress.Form[pii.Email]("To")), status)
	resp, err := tr.RoundTrip(form(g, "To="+textOf(g.email)))
	require.NoError(t, err)
	got, err := io.ReadAll(iotest.OneByteReader(resp.Body))
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	n, err := resp.Body.Read(make([]byte, 1))
	require.Equal(t, 0, n)
	require.Equal(t, io.EOF, err)
	require.NoError(t, resp.Body.Close())

	resp, err = tr.RoundTrip(must(http.NewRequest("GET", g.URL+"/", nil)))
	require.NoError(t, err)
	require.EqualValues(t, len(text), must(io.Copy(io.Discard, resp.Body)))
	require.NoError(t, resp.Body.Close())
	_, err = resp.Body.Read(make([]byte, 1))
	require.Error(t, err)
}

func textOf(v pii.Email) string { b, _ := v.MarshalText(); return string(b) }

// Compressed responses are unpacked and searched, even if the program asked for them, and
// a response in another encoding is not handed out.
func TestEncodedResponses(t *testing.T) {
	coding, contentType := "gzip", jsonType
	g := newGateway(t, func(w http.ResponseWriter, r received) {
		w.Header().Set("Content-Encoding", coding)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Accepts", r.Header.Get("Accept-Encoding"))
		if coding != "gzip" {
			io.WriteString(w, "to "+number)
			return
		}
		z := gzip.NewWriter(w)
		io.WriteString(z, "to "+number)
		z.Close()
	})
	tr := g.transport(t, g.rule(egress.Form[pii.Phone]("To")))
	for _, test := range []struct{ coding, contentType, want string }{
		{"gzip", jsonType, "to " + text(t, g.phone)},
		{"identity", "text/plain; charset=ISO-8859-1", "to " + text(t, g.phone)},
		{"br", jsonType, ""},
		{"", "text/plain; charset=utf-16", ""},
	} {
		coding, contentType = test.coding, test.contentType
		resp, err := tr.RoundTrip(with(form(g, "To="+text(t, g.phone)), func(r *http.Request) { r.Header.Set("Accept-Encoding", "br, gzip") }))
		require.NoError(t, err)
		require.Equal(t, "gzip", resp.Header.Get("X-Accepts"))
		require.Equal(t, 200, resp.StatusCode)
		got, err := io.ReadAll(resp.Body)
		require.Equal(t, test.want, string(got))
		if test.want == "" {
			require.ErrorIs(t, err, egress.ErrResponse)
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, resp.Body.Close())
	}
}

// Trailers and informational responses can echo as well.
func TestEchoesAroundTheBody(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		g := startGateway(t, http2, func(w http.ResponseWriter, _ received) {
			w.Header().Set("Link", "<tel:"+number+">")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Trailer", "X-To")
			io.WriteString(w, "ok")
			w.Header().Set("X-To", number)
		})
		tr := g.transport(t, g.rule(egress.Form[pii.Phone]("To")))
		hints := ""
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hints += fmt.Sprint(h)
			return nil
		}})
		resp, err := tr.RoundTrip(form(g, "To="+text(t, g.phone)).WithContext(ctx))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.Equal(t, text(t, g.phone), resp.Trailer.Get("X-To"), "HTTP/2: %v", http2)
		require.Equal(t, "<tel:"+text(t, g.phone)+">", resp.Header.Get("Link"))
		noPlaintext(t, "hints", hints)
		require.NoError(t, resp.Body.Close())
	}
}

// Traces, dumps, retries and middlewares see the sealed text.
func TestNobodyOutsideSeesPlaintext(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r received) { io.WriteString(w, r.body+r.Header.Get("X-Rcpt")) })
	base := g.base()
	seen := &lockedBuffer{} // hooks are called by goroutines of net/http
	base.Proxy = func(r *http.Request) (*url.URL, error) {
		fmt.Fprintf(seen, "%+v %v\n", r.Header, r.GetBody == nil && r.Body == nil)
		return nil, nil
	}
	tr, err := egress.NewTransport(base, g.rules()...)
	require.NoError(t, err)
	wrote, got := make(chan bool, 1), make(chan bool, 1)
	trace := &httptrace.ClientTrace{
		WroteHeaderField: func(k string, v []string) { fmt.Fprintln(seen, k, v) },
		WroteRequest:     func(i httptrace.WroteRequestInfo) { fmt.Fprintln(seen, i); wrote <- true },
		GotConn:          func(i httptrace.GotConnInfo) { got <- true },
	}
	middleware := roundTripper(func(r *http.Request) (*http.Response, error) {
		dump := must(httputil.DumpRequestOut(r.Clone(context.Background()), true))
		r.Body = must(r.GetBody()) // the dump has read it
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(seen, "%s\n%s\n%s\n%+v\n", dump, must(httputil.DumpResponse(resp, true)), must(io.ReadAll(must(resp.Request.GetBody()))), resp.Request.Header)
		return resp, nil
	})
	req := with(form(g, "To="+text(t, g.phone)), func(r *http.Request) { r.Header.Set("X-Rcpt", text(t, g.email)) })
	resp, err := (&http.Client{Transport: middleware}).Do(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	fmt.Fprintf(seen, "%+v %v %s %q %x %#v\n", tr, tr, tr, tr, tr, tr)
	require.True(t, <-wrote && <-got, "the trace goes on")
	noPlaintext(t, "outside", seen.String())
	require.Equal(t, 3, strings.Count(seen.String(), text(t, g.email)), seen.String())
	require.Contains(t, seen.String(), "map[] true", "the proxy function gets no header and no body")
	require.Contains(t, seen.String(), "egress.Transport("+g.host()+")")
	require.Equal(t, address, g.seen()[0].Header.Get("X-Rcpt"))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A redirect to another host does not take the value along, even if that host has a rule.
// One within the host does.
func TestRedirects(t *testing.T) {
	var location string
	other := newGateway(t, nil)
	g := newGateway(t, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.requests = append(g.requests, received{r, string(body)})
		to := location
		g.mu.Unlock()
		if r.URL.Path == "/send" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	})
	again := g.rule(egress.Form[pii.Phone]("To"))
	again.Path = "/v2/send"
	there := other.rule(egress.Form[pii.Phone]("To"))
	there.Reader = g.reader
	c := &http.Client{Transport: g.transport(t, g.rule(egress.Form[pii.Phone]("To")), again, there)}
	body := "To=" + text(t, g.phone)
	for to, want := range map[string]error{
		other.URL + "/send":                       egress.ErrRedirect,
		"http://" + g.host() + "/v2/send":         egress.ErrInsecure,
		g.URL + "/v3/send":                        egress.ErrNoRule,
		g.URL + "/v2/send?to=" + text(t, g.phone): egress.ErrUndeclared,
		g.URL + "/v2/send":                        nil,
	} {
		g.mu.Lock()
		location = to
		g.mu.Unlock()
		_, _, err := post(t, c, g.URL+"/send", formType, body)
		if want == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, want)
		noPlaintext(t, "error", err.Error())
	}
	require.Empty(t, other.seen())
	require.Len(t, g.seen(), 6)
}

// A raw gateway answers a TLS connection by hand, after it has read the request.
func rawGateway(t *testing.T, answer func(conn net.Conn, request string)) *gateway {
	t.Helper()
	g := newGateway(t, nil)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		answer(conn, string(body))
	}), TLSConfig: g.TLS.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
	server.TLSConfig.NextProtos = nil
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	g.URL = "https://" + l.Addr().String()
	return g
}

// A gateway that answers with garbage, hangs up or echoes into every part of a broken
// response gets no plaintext into an error or into the log of the process.
func TestBrokenGateways(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		answer string
		want   error // of RoundTrip, or of the body
	}{
		"garbage":             {number + " " + address, egress.ErrSend},
		"a broken status":     {"HTTP/1.1 " + number + " OK\r\n\r\n", egress.ErrSend},
		"a broken header":     {ok + address + "\r\n\r\n", egress.ErrSend},
		"a folded header":     {ok + "X: 1\r\n " + number + "\r\nContent-Length: 2\r\n\r\nok", nil},
		"a status line":       {"HTTP/1.1 400 Bad number " + number + "\r\nContent-Length: 0\r\n\r\n", nil},
		"a header name":       {ok + "X-" + number[1:] + ": 1\r\nContent-Length: 0\r\n\r\n", nil},
		"two lengths":         {ok + "Content-Length: 1\r\nContent-Length: " + number[1:] + "\r\n\r\n", egress.ErrSend},
		"a broken length":     {ok + "Content-Length: " + number + "\r\n\r\n", egress.ErrSend},
		"a broken chunk":      {ok + "Transfer-Encoding: chunked\r\n\r\n" + address + "\r\n", egress.ErrSend},
		"a broken trailer":    {ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\n" + address + "\r\n\r\n", egress.ErrSend},
		"cut off in an echo":  {ok + "Content-Length: 100\r\n\r\nto " + number[:11], egress.ErrSend},
		"no gzip":             {ok + "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + number, egress.ErrSend},
		"bytes that follow":   {ok + "Content-Length: 2\r\n\r\nok" + number + " " + address, nil},
		"a closed connection": {"", egress.ErrSend},
	} {
		t.Run(name, func(t *testing.T) {
			g := rawGateway(t, func(conn net.Conn, _ string) {
				io.WriteString(conn, test.answer)
				time.Sleep(time.Millisecond) // so that both are read at once, or not
			})
			logged := &lockedBuffer{}
			log.SetOutput(logged)
			defer log.SetOutput(io.Discard)
			tr := g.transport(t, egress.Rule{Host: g.host(), Method: "POST", Path: "/send", Reader: g.reader,
				Fields: []egress.Field{egress.JSON[pii.Phone]("/sms"), egress.JSON[pii.Email]("/mail")}})
			shown := ""
			resp, err := tr.RoundTrip(jsonBody(g, `{"sms":"`+text(t, g.phone)+`","mail":"`+text(t, g.email)+`"}`))
			if err == nil {
				var body []byte
				body, err = io.ReadAll(resp.Body)
				shown = fmt.Sprintf("%+v %q %s", resp.Header, body, resp.Status)
				resp.Body.Close()
			}
			if test.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.want)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				shown += fmt.Sprintf("%v %+v %#v", e, e, e)
			}
			tr.CloseIdleConnections()
			noPlaintext(t, "program", shown+logged.String())
			require.NotContains(t, shown, number[:11])
		})
	}
}

// A gateway that hangs, resets or answers early ends as the context says.
func TestSlowGateways(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Test") {
		case "hangs":
			<-release
		case "resets":
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).SetLinger(0)
			conn.Close()
		case "early":
			w.WriteHeader(http.StatusTooManyRequests)
		case "continue":
			if r.ContentLength > 50 {
				io.ReadAll(r.Body)
			}
		case "stops":
			io.WriteString(w, "to "+number[:11])
			http.NewResponseController(w).Flush()
			<-release
		}
	})
	defer close(release)
	big := "&x=" + strings.Repeat("a", 1<<19)
	tr := g.transport(t, g.rule(egress.Form[pii.Phone]("To")))
	send := func(ctx context.Context, test, more string, headers ...string) (*http.Response, error) {
		req := form(g, "To="+text(t, g.phone)+more).WithContext(ctx)
		req.Header.Set("X-Test", test)
		for _, h := range headers {
			req.Header.Set(h, "100-continue")
		}
		return tr.RoundTrip(req)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := send(ctx, "hangs", "")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, egress.ErrSend)
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = send(late, "hangs", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) || timeoutOf(err))

	_, err = send(t.Context(), "resets", "")
	require.ErrorIs(t, err, egress.ErrSend)
	resp, err := send(t.Context(), "early", big)
	if err == nil { // else the connection was reset while the body was on its way
		require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	} else {
		require.ErrorIs(t, err, egress.ErrSend)
	}
	resp, err = send(t.Context(), "continue", big, "Expect")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	resp, err = send(t.Context(), "stops", "")
	require.NoError(t, err)
	first, err := bufio.NewReader(resp.Body).ReadString(' ')
	require.NoError(t, err)
	require.Equal(t, "to ", first, "bytes that can't be an echo do not wait")
	read := make(chan error)
	go func() { _, err := resp.Body.Read(make([]byte, 10)); read <- err }()
	require.NoError(t, resp.Body.Close(), "ends a Read that waits")
	require.Error(t, <-read)
}

func timeoutOf(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Connections of HTTP/2 are kept. Those of HTTP/1 are not: bytes after a response would be
// in the log of the process.
func TestConnections(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		g := startGateway(t, http2, func(w http.ResponseWriter, r received) { io.WriteString(w, r.body) })
		c := g.client(t, egress.Form[pii.Phone]("To"))
		for range 5 {
			resp, got, err := post(t, c, g.URL+"/send", formType, "To="+text(t, g.phone))
			require.NoError(t, err)
			require.Equal(t, "To="+text(t, g.phone), got)
			require.Equal(t, http2, resp.ProtoMajor == 2)
		}
		require.Equal(t, "To=%2B14155552671", g.seen()[4].body)
		want := 5
		if http2 {
			want = 2
		}
		g.mu.Lock()
		require.Equal(t, want, g.conns)
		g.mu.Unlock()
	}
}
