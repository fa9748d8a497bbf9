package boundarytests

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

// A rig is a shop with a vault and a database of its own.
type rig struct {
	*Shop
	kit  *piitest.Kit
	file string
	sent []string // numbers and addresses
}

func newRig(t *testing.T) *rig {
	r := &rig{kit: piitest.New(t, Security, Billing, Advertising), file: filepath.Join(t.TempDir(), "shop.db")}
	r.Shop = r.open(t, r.kit.Vault)
	return r
}

// open starts the shop, as often as it is called.
func (r *rig) open(t *testing.T, v *vault.Vault) *Shop {
	s := &Shop{
		log:        slog.New(slog.NewTextHandler(io.Discard, nil)),
		text:       func(number, _ string) { r.sent = append(r.sent, number) },
		mail:       func(address, _ string) { r.sent = append(r.sent, address) },
		adPlatform: func(context.Context, []string) error { return nil },
	}
	require.NoError(t, s.Open(t.Context(), v, r.file))
	t.Cleanup(func() { s.db.Close() })
	return s
}

// post sends a form to a page and returns the answer.
func post(t *testing.T, h http.Handler, page string, f form) *httptest.ResponseRecorder {
	body, err := json.Marshal(f)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", page, bytes.NewReader(body)))
	return w
}

// signUp signs a person up and returns their id.
func signUp(t *testing.T, s *Shop, f form) string {
	w := post(t, s.Handler(), "/signup", f)
	require.Equal(t, http.StatusCreated, w.Code)
	return strings.Trim(w.Body.String(), "\"\n")
}

// postTo is an ad platform's client.
func postTo(url string) func(context.Context, []string) error {
	return func(ctx context.Context, list []string) error {
		r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(strings.Join(list, "\n")))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
}

// storeGoldenRow writes what the shop stores of alice's address.
func storeGoldenRow(t *testing.T, kit *piitest.Kit, file string) {
	email, err := pii.SealEmail(t.Context(), alice.Email,
		kit.Scope(Security).For("alice").Under(forSignIn), kit.Scope(Billing).For("alice").Under(forInvoices))
	require.NoError(t, err)
	text, err := email.MarshalText()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
}
