package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/registry"
)

// registerOf returns the entries of the register by place, in the notation of the
// comments in the test programs.
func registerOf(t *testing.T, patterns ...string) map[string][]string {
	t.Helper()
	code, out, errs := piivetRun(t, append([]string{"-report", "-json"}, patterns...)...)
	require.Equal(t, nothing, code, errs)
	var r registry.Registry
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	all := map[string][]string{}
	add := func(purpose string, uses []registry.Use) {
		for _, u := range uses {
			line := string(u.Op) + " " + purpose
			if u.Op == inventory.Collect || len(u.Notices) > 0 {
				line += " notice=" + strings.ReplaceAll(strings.Join(u.Notices, ","), " ", "-")
			}
			if len(u.To) > 0 {
				line += " to=" + strings.Join(u.To, ",")
			}
			if to := u.Recipient(); to != "" {
				line += " host=" + strings.ReplaceAll(to, " ", "-")
			}
			for _, f := range u.Fields {
				line += " " + f.Kind + "=" + strings.ReplaceAll(f.Place, " ", "-")
			}
			all[u.Place] = append(all[u.Place], line)
		}
	}
	for _, p := range r.Purposes {
		add(p.Name, p.Uses)
	}
	add("?", r.Unknown)
	for _, lines := range all {
		slices.Sort(lines)
	}
	return all
}

func TestPlacesSayWhatTheyAreFor(t *testing.T) {
	programs(t)
	code, out, errs := piivetRun(t, "-report", "-json", "./register/more")
	require.Equal(t, nothing, code, errs)
	var r registry.Registry
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	docs := map[string]string{}
	for _, p := range r.Purposes {
		for _, u := range p.Uses {
			docs[u.Place] = u.Doc
			for _, at := range u.At {
				require.Regexp(t, `^register/more/more\.go:\d+$`, at)
			}
		}
	}
	require.Equal(t, "fixed collects on a basis of a package that was not looked at.", docs["example.com/register/more.fixed"])
	// Which has no scopes itself, but a function in it.
	require.Equal(t, "later does it in a function of its own.", docs["example.com/register/more.later"])
}

// The register tells the notices whose values were collected before they were sealed.
func TestRegisterTellsStatedTimes(t *testing.T) {
	programs(t)
	code, out, errs := piivetRun(t, "-report", "-json", "./register/...")
	require.Equal(t, nothing, code, errs)
	var r registry.Registry
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	stated := map[string]string{}
	for _, p := range r.Purposes {
		for _, n := range p.Notices {
			stated[n.Notice] = n.Collected
		}
	}
	for notice, want := range map[string]string{
		"import-v1": purposes.AtRunTime, "import-v2": purposes.AtRunTime, "now-v1": "", "2fa-prompt-v3": "",
		"import-v3": "2019-03-01", "import-v4": purposes.AtRunTime, "import-v5": purposes.AtRunTime,
	} {
		got, ok := stated[notice]
		require.True(t, ok, notice)
		require.Equal(t, want, got, notice)
	}

	code, out, errs = piivetRun(t, "-report", "./register/...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, "    import-v1, collected earlier, at a time that is stated\n")
	require.Contains(t, out, "    import-v3, collected on 2019-03-01, as stated\n")
	require.Contains(t, out, "    now-v1\n")
	code, out, errs = piivetRun(t, "-report", "-html", "./register/...")
	require.Equal(t, nothing, code, errs)
	require.Regexp(t, "<code>import-v2</code>.*<td>earlier, at a stated time</td>", out)
	require.Regexp(t, "<code>import-v3</code>.*<td>2019-03-01, as stated</td>", out)
	require.Regexp(t, "<code>now-v1</code>.*<td>when sealed</td>", out)
}

// TestReceivingIsAUse is about a newsletter that gets the addresses of security
// through an accessor of the users package.
func TestReceivingIsAUse(t *testing.T) {
	programs(t)
	places := map[string]bool{}
	for place, lines := range registerOf(t, "./newsletter/...") {
		places[place] = slices.Contains(lines, "receive security")
	}
	require.Equal(t, map[string]bool{
		"example.com/newsletter/users.(*Store).Address": false,
		"example.com/newsletter/cmd.main":               false,
		"example.com/newsletter/cmd.remind":             true,
		"example.com/newsletter/mailer.Send":            true, // of a package that does not import the library
		"example.com/newsletter/newsletter.Upload":      true, // through Lower, which is folded
		"example.com/newsletter/newsletter.Ask":         true, // through an interface of its own
	}, places)

	lock := filepath.Join(t.TempDir(), "piivet.lock")
	code, _, errs := piivetRun(t, "-update", lock, "./newsletter/users", "./newsletter/purposes")
	require.Equal(t, nothing, code, errs)
	code, out, errs := piivetRun(t, "-check", lock, "./newsletter/...")
	require.Equal(t, found, code, errs)
	require.Contains(t, out, "newsletter/newsletter/newsletter.go:16: new use of personal data: security receive example.com/newsletter/newsletter.Upload, through users.Store.")

	_, out, errs = piivetRun(t, "-report", "./newsletter/...")
	require.Contains(t, out, "mailer.Send (email; sends (smtp.SendMail); through users.Store.Address)", errs)
	require.Contains(t, out, "newsletter.Upload (email; posts (http.PostForm); through users.Store.Address, users.Store.Lower)")

	code, out, errs = piivetRun(t, "-rules", "boundary", "./newsletter/...")
	require.Equal(t, found, code, errs)
	require.Regexp(t, `main.go:\d+:\d+: plaintext of security reaches example.com/newsletter/newsletter.Upload, which is for marketing only`, out)
	require.Regexp(t, `main.go:\d+:\d+: plaintext of security reaches example.com/newsletter/newsletter.Ask, which is for marketing only`, out)
}

// A host of a rule of package egress is a recipient, so that a new host is new in the lock
// file, and so is a new kind of value that a known host gets.
func TestHostsOfRulesAreRecipients(t *testing.T) {
	programs(t)
	lock := filepath.Join(t.TempDir(), "piivet.lock")
	code, _, errs := piivetRun(t, "-update", lock, "./register/...")
	require.Equal(t, nothing, code, errs)
	text, err := os.ReadFile(lock)
	require.NoError(t, err)
	require.Contains(t, string(text), "\nsecurity send example.com/register/gateway.New api.sms.example phone\n")
	require.Contains(t, string(text), "\nsecurity send example.com/register/gateway.mail ? email\n")
	code, out, errs := piivetRun(t, "-check", lock, "./register/...")
	require.Equal(t, nothing, code, errs+out)
	for line, other := range map[string]string{
		"gateway.New api.sms.example phone": "gateway.New api.other.example phone", // a host
		"gateway.New api.sms.example email": "",                                    // a kind
	} {
		require.Contains(t, string(text), line)
		require.NoError(t, os.WriteFile(lock, []byte(strings.Replace(string(text), line, cmp.Or(other, "gateway.New api.other.example email"), 1)), 0o600))
		code, out, errs = piivetRun(t, "-check", lock, "./register/...")
		require.Equal(t, found, code, errs)
		require.Contains(t, out, "new use of personal data: security send example.com/register/"+line+"\n")
	}

	code, out, errs = piivetRun(t, "-report", "./register/...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, "gateway.New (to api.sms.example; email in header X-Reply-To; phone in form field To)")
	require.Regexp(t, `gateway\.mail \(to a host that is not constant; email in JSON value /personalizations/\*/to/\*/email\)  register/gateway/gateway\.go:\d+\n`, out)
	code, out, errs = piivetRun(t, "-report", "-html", "./register/...")
	require.Equal(t, nothing, code, errs)
	require.Contains(t, out, `<span class="tag">to api.sms.example</span>`)
	require.Contains(t, out, `<span class="tag">form field To (phone)</span>`)
}
