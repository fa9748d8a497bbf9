package apis_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tests"
)

var advertising = purpose.MustParse("advertising")

// newBoundary returns an app with keys of its own, and its handler.
func newBoundary(t *testing.T) (*piitest.Kit, *tests.TestApp, http.Handler) {
	kit := piitest.New(t, core.PurposeSecurity, advertising)
	app, err := tests.NewTestAppWithConfig(core.BaseAppConfig{EncryptionEnv: "pb_test_env", Security: kit.Scope(core.PurposeSecurity)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Cleanup)
	app.Settings().Logs.MaxDays = 1 // requests are logged, as in production
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		t.Fatal(err)
	}
	users.MFA.Enabled = false
	if err := app.Save(users); err != nil {
		t.Fatal(err)
	}
	router, err := apis.NewRouter(app)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := router.BuildMux()
	if err != nil {
		t.Fatal(err)
	}
	return kit, app, handler
}

func send(t *testing.T, h http.Handler, method, target, body, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func signUp(t *testing.T, h http.Handler, address string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, "POST", "/api/collections/users/records",
		`{"email":"`+address+`","password":"1234567890","passwordConfirm":"1234567890"}`, "")
}

func want(t *testing.T, w *httptest.ResponseRecorder, code int, text string) {
	t.Helper()
	if w.Code != code || !strings.Contains(w.Body.String(), text) {
		t.Fatalf("want %d and %q, got %d: %s", code, text, w.Code, w.Body)
	}
}

// TestBoundaryNothingLeaks signs a person up, resets the password and sends a code: the address is in no answer to
// others, no log, no token and no file of the database.
func TestBoundaryNothingLeaks(t *testing.T) {
	_, app, h := newBoundary(t)
	piitest.NoLeak(t, func(c *piitest.Contact) {
		w := signUp(t, h, c.Address)
		want(t, w, 200, `"collectionName":"users"`)
		c.Search("the answer", w.Body.String())
		for _, route := range []string{"request-password-reset", "request-verification", "request-otp"} {
			w := send(t, h, "POST", "/api/collections/users/"+route, `{"email":"`+c.Address+`"}`, "")
			if w.Code/100 != 2 {
				t.Fatalf("%s: %d: %s", route, w.Code, w.Body)
			}
			c.Search(route, w.Body.String())
		}
		want(t, send(t, h, "POST", "/api/collections/users/auth-with-password",
			`{"identity":"`+strings.ToUpper(c.Address[:1])+c.Address[1:]+`","password":"1234567890"}`, ""), 200, c.Address)
		if app.TestMailer.TotalSend() != 3 {
			t.Fatalf("%d mails, want 3", app.TestMailer.TotalSend())
		}
		for _, mail := range app.TestMailer.Messages() {
			if mail.To[0].Address != c.Address {
				t.Error("a mail went to somebody else")
			}
			c.Search("the text of a mail", mail.HTML)
			for _, token := range regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.`).FindAllString(mail.HTML, -1) {
				c.Search("a token", token)
			}
		}
		tables := []string{}
		if err := app.DB().NewQuery("SELECT name FROM sqlite_master WHERE type = 'table'").Column(&tables); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			rows, err := app.DB().NewQuery("SELECT * FROM `" + table + "`").Rows()
			if err != nil {
				t.Fatal(err)
			}
			c.Rows(table, rows)
		}
		files, err := filepath.Glob(filepath.Join(app.DataDir(), "*.db*"))
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c.Search(filepath.Base(file), content)
		}
	})
}

// TestBoundaryAdsFindNobody is the case of the library: an advertiser's list against the user table.
func TestBoundaryAdsFindNobody(t *testing.T) {
	ctx := context.Background()
	kit, app, h := newBoundary(t)
	want(t, signUp(t, h, "alice@example.com"), 200, "")
	for p, people := range map[purpose.Purpose]int{advertising: 0, core.PurposeSecurity: 1} {
		index, err := pii.IndexEmail(ctx, "alice@example.com", kit.Scope(p))
		if err != nil {
			t.Fatal(err)
		}
		var found int
		err = app.DB().NewQuery("SELECT count(*) FROM users WHERE email_index = {:index}").Bind(map[string]any{"index": index}).Row(&found)
		if err != nil || found != people {
			t.Fatalf("%s finds %d people, want %d: %v", p, found, people, err)
		}
	}
	alice, err := app.FindAuthRecordByEmail("users", "Alice@Example.com")
	if err != nil {
		t.Fatal(err)
	}
	_, err = alice.Email().Reveal(ctx, kit.Scope(advertising))
	if !errors.Is(err, purpose.ErrMismatch) {
		t.Fatalf("revealed for advertising: %v", err)
	}
}

// TestBoundaryOtherPeople tries to get at other people's addresses through the service's own ways in.
func TestBoundaryOtherPeople(t *testing.T) {
	_, app, h := newBoundary(t)
	want(t, signUp(t, h, "alice@example.com"), 200, "")
	want(t, signUp(t, h, "ALICE@example.com"), 400, "validation_not_unique")
	want(t, signUp(t, h, "root@localhost"), 400, "validation_is_email")

	alice, err := app.FindAuthRecordByEmail("users", "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := alice.Email().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	want(t, signUp(t, h, string(sealed)), 400, "email") // a sealed value from a backup, typed as one's own address

	root, err := app.FindFirstRecordByFilter(core.CollectionNameSuperusers, "id != ''")
	if err != nil {
		t.Fatal(err)
	}
	token, err := root.NewAuthToken()
	if err != nil {
		t.Fatal(err)
	}
	list := func(query string) *httptest.ResponseRecorder {
		return send(t, h, "GET", "/api/collections/users/records?"+query, "", token)
	}
	want(t, list("filter="+url.QueryEscape(`email = "Alice@example.com"`)), 200, `"email":"alice@example.com"`)
	want(t, list("filter="+url.QueryEscape(`email:lower = "alice@example.com"`)), 200, `"totalItems":1`)
	want(t, list("filter="+url.QueryEscape(`email ~ "alice@example.com"`)), 200, `"totalItems":1`)
	want(t, list("filter="+url.QueryEscape(`email ~ "alice"`)), 200, `"totalItems":0`)
	want(t, list("filter="+url.QueryEscape(`email > "a"`)), 400, "")
	want(t, list("sort=email"), 400, "")

	fresh := core.NewAuthCollection("fresh") // its table and its indexes are made by the service, not by the migration
	if err := app.Save(fresh); err != nil {
		t.Fatal(err)
	}
	for i, address := range []string{"bob@example.com", "carol@example.com", "Bob@example.com"} {
		record := core.NewRecord(fresh)
		record.SetEmail(address)
		record.SetRandomPassword()
		if err := app.Save(record); (err != nil) != (i == 2) {
			t.Fatalf("address %d: %v", i, err)
		}
	}

	_, err = app.DB().NewQuery("UPDATE users SET email = 'alice@example.com'").Execute()
	if err == nil {
		t.Fatal("the column takes plaintext")
	}
}
