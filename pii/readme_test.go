package pii_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// purposes stands for the package that README.md has readers declare.
var purposes = struct{ Security, Advertising purpose.Purpose }{
	Security:    purpose.MustParse("security"),
	Advertising: purpose.MustParse("advertising"),
}

// The code in README.md does what README.md says.
func TestReadme(t *testing.T) {
	ctx := context.Background()
	logger := slog.New(slog.DiscardHandler)
	t.Chdir(t.TempDir())
	var user struct {
		ID         string
		Email      pii.Email
		EmailIndex pii.Index
		Phone      pii.Phone
	}
	user.ID = "user-1"
	form := struct{ Email, Phone string }{"alice@example.com", "+1 415 555 2671"}

	admin, err := vault.OpenAdmin(ctx, vault.Dir("keys"), vault.LocalKEK("kek"), &vault.Options{Audit: audit.Slog(logger)})
	require.NoError(t, err)
	defer admin.Close()
	err = admin.Generate(ctx, purposes.Security, purposes.Advertising) // once; keys that exist are left alone
	require.NoError(t, err)
	v := admin.Vault()                               // for the service: a Vault changes no keys
	security, err := v.Scope(ctx, purposes.Security) // the key service says yes or no here
	require.NoError(t, err)
	advertising, err := v.Scope(ctx, purposes.Advertising)
	require.NoError(t, err)

	prompt := security.Under(purpose.Basis{Notice: "2fa-prompt-v3"})

	user.Phone, err = pii.SealPhone(ctx, form.Phone, prompt) // goes into the database as it is
	require.NoError(t, err)

	number, err := user.Phone.Reveal(ctx, security) // +14155552671
	require.NoError(t, err)
	require.Equal(t, "+14155552671", number)
	_, err = user.Phone.Reveal(ctx, advertising) // pii: revealing phone: collected for security, not advertising
	require.EqualError(t, err, "pii: revealing phone: collected for security, not advertising")

	mine, err := pii.IndexPhone(ctx, "+1 415 555 2671", security)
	require.NoError(t, err)
	theirs, err := pii.IndexPhone(ctx, "+1 415 555 2671", advertising)
	require.NoError(t, err)
	require.False(t, mine.Equal(theirs))
	require.Equal(t, "pii.Phone(security)", fmt.Sprint(user.Phone))

	user.Email, user.EmailIndex, err = pii.SealEmailIndexed(ctx, form.Email, security)
	require.NoError(t, err)
	user.Phone, err = pii.SealOptionalPhone(ctx, form.Phone, security) // "" is NULL
	require.NoError(t, err)
	wanted, err := pii.OrNobody(pii.IndexesEmail(ctx, form.Email, security)) // WHERE email_index IN (…); no address is nobody's
	require.NoError(t, err)
	require.True(t, wanted[0].Equal(user.EmailIndex))

	address, consent := "alice@example.com", purpose.Basis{Legal: purpose.Consent, Consent: "consent-81f3"}
	user.Email, err = pii.SealEmail(ctx, address, security, advertising.Under(consent))
	require.NoError(t, err)
	user.Email, err = user.Email.Withdraw(ctx, purposes.Advertising, v) // needs no key, and is an event in the audit log
	require.NoError(t, err)

	// further use takes both scopes and a record of consent, and is one event in the audit log
	user.Email, err = user.Email.Extend(ctx, security, advertising.Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-81f3"}))
	require.NoError(t, err)
	_, err = user.Email.Reveal(ctx, advertising)
	require.NoError(t, err)

	own := security.For(user.ID) // a key for each person, whose id is made first …
	user.Phone, err = pii.SealPhone(ctx, form.Phone, own)
	require.NoError(t, err)
	erasures, err := v.Erase(ctx, user.ID, purposes.Security) // … which can be destroyed, and with it every copy in every backup
	require.NoError(t, err)
	require.Len(t, erasures, 1)
	_, err = user.Phone.Reveal(ctx, own)
	require.ErrorIs(t, err, vault.ErrErased)
}

// TestReadmeSends runs the statements of README.md on sending without revealing.
func TestReadmeSends(t *testing.T) {
	kit := piitest.New(t, purposes.Security)
	ctx, v := t.Context(), kit.Vault

	reader, err := v.Reader(ctx, purposes.Security) // the purpose that fills the fields
	require.NoError(t, err)
	transport, err := egress.NewTransport(nil, egress.Rule{
		Host: "api.sms.example", Method: "POST", Path: "/v1/messages",
		Fields: []egress.Field{egress.Form[pii.Phone]("To")},
		Reader: reader,
	})
	require.NoError(t, err)
	client := &http.Client{Transport: transport}
	to, err := kit.Phone(kit.Scope(purposes.Security)).MarshalText()
	require.NoError(t, err)
	_, err = client.PostForm("https://api.sms.example/v1/messages", url.Values{"Body": {string(to)}})
	require.ErrorIs(t, err, egress.ErrUndeclared)
}

// TestSignUpLeaksNothing is the test that README.md shows.
func TestSignUpLeaksNothing(t *testing.T) {
	kit := piitest.New(t, purposes.Security, purposes.Advertising)
	piitest.NoLeak(t, func(c *piitest.Contact) { // captures the output of the process, and of loggers made at its start
		w := httptest.NewRecorder()
		newService(kit.Scope(purposes.Security)).ServeHTTP(w, signUp(c.Address, c.Number))
		c.Search("answer", w.Body.String()) // and c.Rows for each table
		require.Equal(t, http.StatusCreated, w.Code)
	})
}

// newService stands for the service of the reader.
func newService(security *vault.Scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		email, err := pii.SealEmail(r.Context(), r.FormValue("email"), security)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		slog.Info("signed up", "email", email)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, email)
	})
}

func signUp(address, number string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{"email": {address}, "phone": {number}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// Every statement that README.md shows is one that runs above.
func TestReadmeIsRun(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	runs := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		runs[statement(line)] = true
	}
	shown := 0
	for i, block := range strings.Split(string(readme), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "go\n") || strings.Contains(block, "type User") || strings.Contains(block, "package purposes") {
			continue
		}
		for line := range strings.Lines(strings.TrimPrefix(block, "go\n")) {
			s := statement(line)
			if !strings.Contains(s, "=") && !strings.Contains(s, "piitest") {
				continue // braces, and what only prints
			}
			require.True(t, runs[s], "README.md shows what no test runs: %s", s)
			shown++
		}
	}
	require.Greater(t, shown, 12)
}

// statement returns a line of code without its indentation and comment.
func statement(line string) string {
	code, _, _ := strings.Cut(line, "// ")
	return strings.Join(strings.Fields(code), " ")
}
