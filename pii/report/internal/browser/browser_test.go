package browser

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

// pages returns the pages of a service: values under three notices over some years, one of
// them with the longest name, and a log with uses and refusals.
func pages(t *testing.T) map[string][]byte {
	ctx := t.Context()
	secret, public, err := note.GenerateKey(rand.Reader, "example.com/audit/a-service-with-a-long-name")
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := auditlog.Open(ctx, dir, signer, &auditlog.Options{Service: "mailer"})
	require.NoError(t, err)
	kit := piitest.New(t, security, advertising)
	v, err := vault.Open(ctx, kit.Store, kit.KEK, &vault.Options{Audit: l})
	require.NoError(t, err)
	scope, err := v.Scope(ctx, security)
	require.NoError(t, err)
	ads, err := v.Scope(ctx, advertising)
	require.NoError(t, err)

	var values []report.Value
	for i := range 200 {
		notice := []string{"2fa-prompt-v2", "2fa-prompt-v3", strings.Repeat("w", purpose.MaxLen)}[i%3]
		basis := purpose.Basis{Notice: notice, Legal: purpose.Consent, Consent: "consent-form-7", Collected: time.Date(2013, time.Month(5+i/3), 17, 0, 0, 0, 0, time.UTC)}
		phone, err := pii.SealPhone(ctx, fmt.Sprintf("+12025550%03d", i), scope.Under(basis))
		require.NoError(t, err)
		_, err = phone.Reveal(ctx, scope)
		require.NoError(t, err)
		_, err = phone.Reveal(ctx, ads)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		text, err := phone.MarshalText()
		require.NoError(t, err)
		values = append(values, report.Value{Table: "accounts.users_with_a_long_name", Key: fmt.Sprint(i), Text: text})
	}
	require.NoError(t, l.Close())

	affected, err := report.Affected(ctx, report.Query{}, nil, each(values))
	require.NoError(t, err)
	uses, err := report.Uses(ctx, report.Query{}, nil, report.Log{Dir: os.DirFS(dir), Verifier: verifier})
	require.NoError(t, err)
	ropa, err := report.Ropa(affected, nil, report.Controller{Name: "Example Ltd"}, map[string]report.Statement{"security": {Description: "Signing in, and recovery of accounts."}})
	require.NoError(t, err)
	all := map[string][]byte{}
	for name, parts := range map[string]struct {
		affected *report.AffectedReport
		uses     *report.UsesReport
		ropa     *report.RopaReport
	}{"affected": {affected, uses, nil}, "ropa": {nil, nil, ropa}} {
		var page bytes.Buffer
		require.NoError(t, report.WriteHTML(&page, parts.affected, parts.uses, parts.ropa))
		all[name] = page.Bytes()
	}
	return all
}

func each(values []report.Value) iter.Seq2[report.Value, error] {
	return func(yield func(report.Value, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// contrasts returns a line for each element with text whose colour differs from its
// background by less than WCAG 2.2 asks for, 4.5 to 1.
const contrasts = `(() => {
	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
	const light = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2] };
	const faint = [];
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.tagName === 'title') continue;
		let back = e;
		while (back && parse(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
		const style = getComputedStyle(e);
		const a = light(parse(e instanceof SVGElement ? style.fill : style.color)), b = light(parse(getComputedStyle(back ?? document.body).backgroundColor));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) faint.push(e.tagName + ' ' + ratio.toFixed(2));
	}
	return faint;
})()`

// browser returns a tab of a new browser, as the parent of further tabs. The sandbox of
// Chromium can't be made by root or in a container, and the browser opens pages of this test
// alone.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := os.Getenv("ONLYFOR_CHROMIUM")
	if program == "" {
		t.Skip("ONLYFOR_CHROMIUM is not set to the program of a Chromium")
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)...)
	t.Cleanup(stop)
	tab, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(tab))
	return tab
}

// A look is what a browser knows about a page.
type look struct {
	width, scroll int64 // of the window and of the page
	faint         []string
	headings      string
	screenshot    []byte
	trouble       []string
}

// lookAt opens a page in a tab of its own.
func lookAt(t *testing.T, browser context.Context, url string, width int64, scheme string) (l look) {
	t.Helper()
	tab, stop := chromedp.NewContext(browser)
	defer stop()
	seen := &trouble{page: url}
	require.NoError(t, chromedp.Listen(tab, seen.note))
	call := func(_ any, err error) { require.NoError(t, err) }
	call(chromedp.Call(tab, network.Enable, network.EnableParams{}))
	call(chromedp.Call(tab, log.Enable, cdp.Empty{}))
	call(chromedp.Call(tab, runtime.Enable, cdp.Empty{}))
	call(chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600}))
	call(chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(url)))
	var err error
	l.width, err = chromedp.Run(tab, chromedp.Evaluate[int64](`innerWidth`))
	require.NoError(t, err)
	l.scroll, err = chromedp.Run(tab, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
	require.NoError(t, err)
	l.faint, err = chromedp.Run(tab, chromedp.Evaluate[[]string](contrasts))
	require.NoError(t, err)
	l.headings, err = chromedp.Run(tab, chromedp.Evaluate[string](`[...document.querySelectorAll('h1, h2, h3, h4')].map(h => h.tagName[1]).join('')`))
	require.NoError(t, err)
	l.screenshot, err = chromedp.Run(tab, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	l.trouble = seen.all()
	return l
}

// A page fits on phones and desktops, in light and dark, without an error in the console.
// It loads nothing beside itself.
func TestPages(t *testing.T) {
	first := browser(t)
	all := pages(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := all[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	}))
	t.Cleanup(server.Close)
	for name := range all {
		for _, scheme := range []string{"light", "dark"} {
			for size, width := range map[string]int64{"phone": 360, "desktop": 1280} {
				t.Run(name+"-"+size+"-"+scheme, func(t *testing.T) {
					l := lookAt(t, first, server.URL+"/"+name, width, scheme)
					require.NoError(t, os.WriteFile(filepath.Join(t.ArtifactDir(), "page.png"), l.screenshot, 0o600))
					require.Equal(t, width, l.width)
					require.LessOrEqual(t, l.scroll, width, "the page is wider than the window")
					require.Empty(t, l.faint)
					require.True(t, strings.HasPrefix(l.headings, "12"), l.headings)
					require.Equal(t, 1, strings.Count(l.headings, "1"))
					require.Empty(t, l.trouble)
				})
			}
		}
	}
}

// The tests above find a page that is wrong.
func TestBadPage(t *testing.T) {
	first := browser(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprint(w, `<!doctype html><body style="background: #fff"><p style="color: #999; width: 2000px">faint</p><img src="/other.png"><script>nothing()</script>`)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	l := lookAt(t, first, server.URL+"/", 1280, "light")
	require.Equal(t, []string{"P 2.85"}, l.faint)
	require.Greater(t, l.scroll, l.width)
	found := strings.Join(l.trouble, "\n")
	require.Contains(t, found, "request for "+server.URL+"/other.png")
	require.Contains(t, found, "exception")
}

// trouble is all that a browser complains of, and all requests but that for the page.
type trouble struct {
	page string
	mu   sync.Mutex
	list []string
}

func (s *trouble) note(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL != s.page && !strings.HasPrefix(e.Request.URL, "data:") {
			s.list = append(s.list, "request for "+e.Request.URL)
		}
	case *log.EventEntryAdded:
		s.list = append(s.list, "console: "+e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		s.list = append(s.list, "console: "+string(e.Type))
	case *runtime.EventExceptionThrown:
		s.list = append(s.list, "exception: "+e.ExceptionDetails.Text)
	}
}

func (s *trouble) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}
