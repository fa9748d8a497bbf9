package report_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/net/html"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A recorded is a process that keeps an audit log.
type recorded struct {
	dir      string
	log      *auditlog.Log
	verifier note.Verifier
	vault    *vault.Vault
}

func record(t testing.TB, service string) *recorded {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, "example.com/audit/"+service)
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	r := &recorded{dir: filepath.Join(t.TempDir(), "audit")}
	r.verifier, err = note.NewVerifier(public)
	require.NoError(t, err)
	r.log, err = auditlog.Open(t.Context(), r.dir, signer, &auditlog.Options{Service: service})
	require.NoError(t, err)
	kit := piitest.New(t, security, advertising)
	r.vault, err = vault.Open(t.Context(), kit.Store, kit.KEK, &vault.Options{Audit: r.log})
	require.NoError(t, err)
	t.Cleanup(func() { r.log.Close() })
	return r
}

func (r *recorded) scope(t testing.TB, p purpose.Purpose) *vault.Scope {
	s, err := r.vault.Scope(t.Context(), p)
	require.NoError(t, err)
	return s
}

func (r *recorded) asLog() report.Log { return report.Log{Dir: os.DirFS(r.dir), Verifier: r.verifier} }

// work uses values of two notices, in ways that are allowed and refused.
func (r *recorded) work(t testing.TB, address, number string) {
	ctx, scope, ads := audit.WithCaller(t.Context(), "caller-"+address), r.scope(t, security), r.scope(t, advertising)
	old, err := pii.SealPhone(ctx, number, scope.Under(purpose.Basis{Notice: "2fa-v2"}))
	require.NoError(t, err)
	mail, err := pii.SealEmail(ctx, address, scope.Under(purpose.Basis{Notice: "2fa-v3"}))
	require.NoError(t, err)
	for range 3 {
		_, err = old.Reveal(ctx, scope)
		require.NoError(t, err)
	}
	_, err = old.Reveal(ctx, ads)
	require.ErrorIs(t, err, purpose.ErrMismatch)
	_, err = mail.Reveal(ctx, scope)
	require.NoError(t, err)
	_, err = pii.IndexPhone(ctx, number, scope)
	require.NoError(t, err)
	require.NoError(t, r.vault.Close())
	require.NoError(t, r.log.Close())
}

// values sums the values of the uses that f accepts.
func values(r *report.UsesReport, f func(report.Use) bool) (n int64) {
	for _, u := range r.Uses {
		if f(u) {
			n += u.Values
		}
	}
	return n
}

func TestUses(t *testing.T) {
	p := record(t, "mailer")
	p.work(t, "alice@example.com", "+12025550101")
	r, err := report.Uses(t.Context(), report.Query{Notice: "2fa-v2"}, nil, p.asLog())
	require.NoError(t, err)
	require.True(t, r.OK(), r.Logs)
	require.Len(t, r.Logs, 1)
	require.Equal(t, "example.com/audit/mailer", r.Logs[0].Origin)
	require.NotEmpty(t, r.Logs[0].Hash)
	require.NotEmpty(t, r.Logs[0].NotExcluded, "nobody kept a head")
	is := func(action, outcome, notice string) func(report.Use) bool {
		return func(u report.Use) bool {
			return u.Action == action && u.Outcome == outcome && u.Notice == notice && u.Service == "mailer" && u.Month == time.Now().UTC().Format("2006-01")
		}
	}
	require.EqualValues(t, 3, values(r, is("reveal", "allowed", "2fa-v2")))
	require.EqualValues(t, 1, values(r, is("seal", "allowed", "2fa-v2")))
	require.Zero(t, values(r, is("reveal", "allowed", "2fa-v3")))
	// An index of a text and a value of another purpose tell no notice.
	require.EqualValues(t, 1, values(r, is("index", "allowed", "")))
	require.EqualValues(t, 1, values(r, is("reveal", "denied", "")))

	all, err := report.Uses(t.Context(), report.Query{}, nil, p.asLog())
	require.NoError(t, err)
	require.EqualValues(t, 1, values(all, is("reveal", "allowed", "2fa-v3")))
	ads, err := report.Uses(t.Context(), report.Query{Purpose: advertising}, nil, p.asLog())
	require.NoError(t, err)
	require.EqualValues(t, 1, values(ads, func(report.Use) bool { return true }))
	later, err := report.Uses(t.Context(), report.Query{Since: time.Now().Add(time.Hour)}, nil, p.asLog())
	require.NoError(t, err)
	require.Empty(t, later.Uses)
}

// A log that somebody edited proves nothing, and every form of the report says so.
func TestEditedLog(t *testing.T) {
	p := record(t, "mailer")
	p.work(t, "alice@example.com", "+12025550101")
	bodies, err := fs.Glob(os.DirFS(p.dir), "bodies/*.log")
	require.NoError(t, err)
	path := filepath.Join(p.dir, bodies[0])
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	edited := bytes.Replace(data, []byte(`"outcome":"denied"`), []byte(`"outcome":"failed"`), 1)
	require.NotEqual(t, data, edited)
	require.NoError(t, os.WriteFile(path, edited, 0o600))

	r, err := report.Uses(t.Context(), report.Query{}, nil, p.asLog())
	require.NoError(t, err)
	require.False(t, r.OK())
	var out, page bytes.Buffer
	require.NoError(t, r.WriteText(&out))
	require.Contains(t, out.String(), "DOES NOT VERIFY")
	require.NoError(t, report.WriteHTML(&page, nil, r, nil))
	require.Contains(t, page.String(), "its numbers prove nothing")
}

func TestUsesOfNoLog(t *testing.T) {
	for _, log := range []report.Log{{}, {Dir: os.DirFS(t.TempDir())}} {
		_, err := report.Uses(t.Context(), report.Query{}, nil, log)
		require.ErrorIs(t, err, auditlog.ErrArgument)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	p := record(t, "mailer")
	p.work(t, "alice@example.com", "+12025550101")
	_, err := report.Uses(stopped, report.Query{}, nil, p.asLog())
	require.Error(t, err)
}

const registerJSON = `{"purposes": [
	{"name": "security", "declared": [{"var": "p.Security", "doc": "Security is for signing in.", "at": "p.go:3"}], "notices": [],
	 "uses": [{"op": "reveal", "place": "mailer.Send", "doc": "Send sends <b>codes</b>.", "at": ["m.go:9"]},
		{"op": "send", "place": "mailer.New", "kinds": ["phone"], "host": "api.sms.example", "fields": [{"kind": "phone", "place": "form field <b>To</b>"}], "at": ["m.go:3"]},
		{"op": "send", "place": "mailer.Open", "host": "", "at": ["m.go:5", "m.go:6"]}]},
	{"name": "support", "declared": [], "notices": [], "uses": []}
], "unknown": [{"op": "reveal", "place": "x.Y", "at": []}], "exceptions": [], "packages": [], "others": 1}`

func TestRopa(t *testing.T) {
	w := newTown(t)
	affected, err := report.Affected(t.Context(), report.Query{}, nil, source(w.values, nil))
	require.NoError(t, err)
	r, err := report.Ropa(affected, strings.NewReader(registerJSON), report.Controller{Name: "Example Ltd", Contact: "privacy@example.com"}, map[string]report.Statement{
		"security": {Categories: []string{"members"}, Recipients: []string{"an SMS gateway"}, Transfers: []string{"none"}, Measures: []string{"sealed by purpose"}},
	})
	require.NoError(t, err)
	require.Len(t, r.Activities, 3, "of values, of the source, of statements")
	ads, of := r.Activities[0], r.Activities[1]
	require.Equal(t, "security", of.Purpose)
	require.Equal(t, "Security is for signing in.", of.Description)
	require.Equal(t, []string{"email", "phone"}, of.Kinds)
	require.Equal(t, []string{"2fa-v2", "2fa-v3"}, of.Notices)
	require.Equal(t, []string{"consent", "legitimate-interests"}, of.Grounds)
	require.Equal(t, []string{"contacts", "users"}, of.Tables)
	require.EqualValues(t, 36501, of.RetentionDays, "values have days, and no retention ends too early")
	require.EqualValues(t, 1, of.Unlimited)
	require.Equal(t, count(3, 5), count(of.People, of.Values))
	require.Equal(t, []report.Place{
		{Operation: "reveal", Name: "mailer.Send", Doc: "Send sends <b>codes</b>."}, {Operation: "send", Name: "mailer.New"}, {Operation: "send", Name: "mailer.Open"},
	}, of.Places)
	require.Equal(t, []report.Host{
		{Fields: []report.Field{}, Place: "mailer.Open", At: "m.go:5, m.go:6"},
		{Name: "api.sms.example", Fields: []report.Field{{Kind: "phone", Place: "form field <b>To</b>"}}, Place: "mailer.New", At: "m.go:3"},
	}, of.Hosts, "the recipients that the source names")
	require.Equal(t, []string{"an SMS gateway", "a host that is not constant in the source, at m.go:5, m.go:6", "api.sms.example (phone in form field <b>To</b>)"}, of.AllRecipients())
	require.Empty(t, ads.Hosts)
	require.Contains(t, r.Missing, "security: the name of the recipient of mailer.Open, which is not constant in the source, at m.go:5, m.go:6")
	require.Equal(t, 1, r.Unknown)
	require.Equal(t, count(1, 1), count(ads.People, ads.Values))
	require.Contains(t, r.Missing, "advertising: the recipients")
	require.Contains(t, r.Missing, "security: an end of retention of 1 values")
	require.NotContains(t, r.Missing, "security: the recipients")

	for _, malformed := range []string{"", "{", "[]", "{}", `{"purposes": 1}`} {
		_, err := report.Ropa(affected, strings.NewReader(malformed), report.Controller{}, nil)
		require.ErrorIs(t, err, report.ErrRegister, malformed)
	}
	without, err := report.Ropa(affected, nil, report.Controller{}, nil)
	require.NoError(t, err)
	require.Contains(t, without.Missing, "the controller's name and contact")
	require.Contains(t, without.Missing, "security: the recipients")
	unstated, err := report.Ropa(affected, strings.NewReader(registerJSON), report.Controller{}, nil)
	require.NoError(t, err)
	require.NotContains(t, unstated.Missing, "security: the recipients", "the source names them")
	require.Contains(t, unstated.Missing, "support: the recipients")
	var text bytes.Buffer
	require.NoError(t, unstated.WriteText(&text))
	require.Regexp(t, `(?m)^  recipients +a host that is not constant .*, api\.sms\.example \(phone in form field <b>To</b>\)$`, text.String())
}

// all makes each report, and writes it in each form.
func all(t testing.TB, w *town, log report.Log) map[string]string {
	affected, err := report.Affected(t.Context(), report.Query{}, &report.Options{Verify: w.open}, source(w.values, nil))
	require.NoError(t, err)
	uses, err := report.Uses(t.Context(), report.Query{}, nil, log)
	require.NoError(t, err)
	ropa, err := report.Ropa(affected, strings.NewReader(registerJSON), report.Controller{Name: "<script>alert(1)</script>"}, nil)
	require.NoError(t, err)
	out := map[string]string{}
	write := func(name string, f func(io.Writer) error) {
		var b bytes.Buffer
		require.NoError(t, f(&b))
		out[name] = b.String()
	}
	write("affected.txt", affected.WriteText)
	write("uses.txt", uses.WriteText)
	write("ropa.txt", ropa.WriteText)
	write("affected.html", func(w io.Writer) error { return report.WriteHTML(w, affected, uses, nil) })
	write("ropa.html", func(w io.Writer) error { return report.WriteHTML(w, nil, nil, ropa) })
	write("uses.html", func(w io.Writer) error { return report.WriteHTML(w, nil, uses, nil) })
	write("empty.html", func(w io.Writer) error { return report.WriteHTML(w, nil, nil, nil) })
	for name, v := range map[string]any{"affected.json": affected, "uses.json": uses, "ropa.json": ropa} {
		write(name, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
	}
	return out
}

// Pages have neither scripts nor anything that is loaded, and all text in them is escaped.
func TestPages(t *testing.T) {
	w := newTown(t)
	w.values = append(w.values, report.Value{Table: `users"><img src=x onerror=alert(1)>`, Key: "1", Text: w.values[0].Text})
	p := record(t, "mailer")
	p.work(t, "alice@example.com", "+12025550101")
	for name, text := range all(t, w, p.asLog()) {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			root, err := html.Parse(strings.NewReader(text))
			require.NoError(t, err)
			headings, tags := 0, map[string]int{}
			for n := range root.Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				tags[n.Data]++
				if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
					level := int(n.Data[1] - '0')
					require.LessOrEqual(t, level, headings+1, "headings go down by one")
					headings = level
				}
				for _, a := range n.Attr {
					require.NotContains(t, []string{"src", "srcset", "action", "style"}, a.Key)
					require.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
					if a.Key == "href" {
						require.Equal(t, "data:,", a.Val)
					}
				}
			}
			require.Equal(t, 1, tags["h1"])
			for _, tag := range []string{"script", "img", "iframe", "form", "object", "embed", "b"} {
				require.Zero(t, tags[tag], tag)
			}
			require.NotContains(t, text, "<nil>")
			require.NotContains(t, text, "ZgotmplZ")
		})
	}
}

// No report holds a value, an index, or the id of a person or a caller.
func TestReportsHoldNobody(t *testing.T) {
	piitest.NoLeak(t, func(c *piitest.Contact) {
		p := record(t, "mailer")
		p.work(t, c.Address, c.Number)
		w := newTown(t)
		scope := w.kit.Scope(security)
		mail, err := pii.SealEmail(t.Context(), c.Address, scope.Under(purpose.Basis{Notice: "2fa-v2"}))
		require.NoError(t, err)
		w.values = append(w.values, report.Value{Table: "users", Key: "row-of-somebody", Subject: "id-of-somebody", Text: text(t, mail)})
		for name, text := range all(t, w, p.asLog()) {
			c.Search(name, text)
			require.NotContains(t, text, "of-somebody", name)
			require.NotContains(t, text, "caller-", name)
			require.NotContains(t, text, "pii1.", name)
		}
	})
}

// Characters of a log that move a cursor or forge a line come out as others.
func TestHostileNames(t *testing.T) {
	w := newTown(t)
	for i := range w.values {
		w.values[i].Table = "users\n\x1b[2J\u202eevil\tcell"
	}
	r, err := report.Affected(t.Context(), report.Query{}, nil, source(w.values, nil))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	for _, c := range []string{"\x1b", "\u202e", "\t"} {
		require.NotContains(t, b.String(), c)
	}
	require.NotContains(t, b.String(), "users\n")
}
