package boundarytests

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

var alice = form{Email: "alice@example.com", Phone: "+12025550101"}

// No purpose of the shop reads or matches what was collected for another.
func TestPurposesAreSeparate(t *testing.T) {
	piitest.Separate(t, newRig(t).kit.Vault, Purposes...)
}

// Signing in uses security data and nothing else.
func TestSignInUsesSecurityOnly(t *testing.T) {
	shop := newRig(t)
	signUp(t, shop.Shop, alice)

	rec := shop.kit.Record()
	post(t, shop.Handler(), "/signin", alice)
	rec.Only(t, Security)
	require.Equal(t, []string{alice.Phone}, shop.sent)
}

// An invoice uses billing data and nothing else.
func TestInvoiceUsesBillingOnly(t *testing.T) {
	shop := newRig(t)
	id := signUp(t, shop.Shop, alice)

	rec := shop.kit.Record()
	require.NoError(t, shop.Invoice(t.Context(), id))
	rec.Only(t, Billing)
	require.Equal(t, []string{alice.Email}, shop.sent)
}

// The ad export is refused people who did not agree to ads.
func TestAdExportIsRefusedOthers(t *testing.T) {
	shop := newRig(t)
	signUp(t, shop.Shop, alice)

	rec := shop.kit.Record()
	require.NoError(t, shop.UploadAudience(t.Context()))
	rec.Denied(t, Security, Advertising)
}

// The settings page reveals nothing: it shows hints.
func TestSettingsRevealNothing(t *testing.T) {
	shop := newRig(t)
	id := signUp(t, shop.Shop, alice)

	rec := shop.kit.Record()
	shop.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/settings/"+id, nil))
	rec.Never(t, audit.Reveal)
}

// What people give us to sign in never gets to the ad platform.
func TestAdPlatformGetsNoSignInData(t *testing.T) {
	shop := newRig(t)
	piitest.Canary(t, shop.kit.Scope(Security), func(c *piitest.Contact) {
		platform := httptest.NewServer(c.Requests("ad platform", nil))
		defer platform.Close()
		shop.adPlatform = postTo(platform.URL)
		signUp(t, shop.Shop, form{Email: c.Address, Phone: c.Number})
		require.NoError(t, shop.UploadAudience(t.Context()))
	})
}

// The addresses of those who agreed do, and their numbers do not.
func TestAdPlatformGetsWhoAgreed(t *testing.T) {
	shop := newRig(t)
	var uploaded []string
	shop.adPlatform = func(_ context.Context, list []string) error { uploaded = list; return nil }
	signUp(t, shop.Shop, form{Email: alice.Email, Phone: alice.Phone, Ads: true})
	rec := shop.kit.Record()
	require.NoError(t, shop.UploadAudience(t.Context()))
	require.Contains(t, uploaded, "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976")
	rec.Only(t, Advertising)
}

// Signing up and in leaves no personal data in logs, answers, database or files.
func TestNothingLeaks(t *testing.T) {
	piitest.NoLeak(t, func(c *piitest.Contact) {
		shop := newRig(t)
		shop.log = slog.New(slog.NewJSONHandler(c.Writer("log of the shop"), &slog.HandlerOptions{Level: slog.LevelDebug}))
		pages := c.Responses("page", shop.Handler())
		f := form{Email: c.Address, Phone: c.Number}
		post(t, pages, "/signup", f)
		post(t, pages, "/signup", f) // again, which fails
		post(t, pages, "/signin", f)

		rows, err := shop.db.QueryContext(t.Context(), "SELECT * FROM people")
		require.NoError(t, err)
		c.Rows("people", rows)
		c.Search("files of the database", os.DirFS(filepath.Dir(shop.file)))
	})
}

// While the key store is down, people are told to try again later, and not that
// they do not exist.
func TestOutageIsNoRefusal(t *testing.T) {
	shop := newRig(t)
	signUp(t, shop.Shop, alice)

	outage := &piitest.Outage{}
	v, err := vault.Open(t.Context(), outage.Store(shop.kit.Store), outage.KEK(shop.kit.KEK), nil)
	require.NoError(t, err)
	restarted := shop.open(t, v)
	outage.Script(piitest.Step{Call: piitest.StoreGet, Fault: piitest.Throttle})
	if got := post(t, restarted.Handler(), "/signin", alice).Code; got != http.StatusServiceUnavailable {
		t.Errorf("sign-in while the key store is down: status %d, want 503", got)
	}
	require.Equal(t, http.StatusOK, post(t, restarted.Handler(), "/signin", alice).Code)
}

// The form takes every valid address, and no other.
func TestFormTakesWhatCanBeSealed(t *testing.T) {
	for _, s := range piitest.Emails() {
		w := post(t, newRig(t).Handler(), "/signup", form{Email: s.Text, Phone: alice.Phone})
		if accepted := w.Code == http.StatusCreated; accepted != s.Valid() {
			t.Errorf("%s: status %d", s.Rule, w.Code)
		}
	}
}

// What the shop stored last year opens today.
func TestStoredValuesStillOpen(t *testing.T) {
	kit := piitest.Golden(t, "testdata/golden.keys", Purposes...)
	const row = "testdata/golden-row.txt"
	if os.Getenv("PIITEST_UPDATE") == "1" {
		storeGoldenRow(t, kit, row)
	}
	b, err := os.ReadFile(row)
	require.NoError(t, err)
	var email pii.Email
	require.NoError(t, email.UnmarshalText(b))
	address, err := email.Reveal(t.Context(), kit.Scope(Billing).For("alice"))
	require.NoError(t, err)
	require.Equal(t, alice.Email, address)
	require.Equal(t, "pii1.email.billing~security.…", piitest.Labels(string(b)))
}
