package hcvault_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

// A fake is a server with a transit engine at team/transit: its protocol, with
// real AES-GCM, and policies of which it understands what kms.HCVaultPolicy
// writes. The module internal/realserver shows that a real one does the same.
type fake struct {
	server *kmstest.Server
	keys   kmstest.Keyring

	mu       sync.Mutex
	policies map[string]string // by token
	sealed   bool
}

func newFake(t testing.TB) *fake {
	f := &fake{policies: make(map[string]string)}
	f.server = kmstest.NewServer(t, "application/json", f)
	for _, p := range []string{"security", "advertising", "billing"} {
		f.keys.Make("team/transit/keys/onlyfor-" + p)
	}
	return f
}

func (f *fake) Server() *kmstest.Server   { return f.server }
func (f *fake) Keyring() *kmstest.Keyring { return &f.keys }
func (f *fake) Keys() kms.Keys            { return f.at("team/transit/keys/onlyfor-{purpose}") }
func (f *fake) Elsewhere() kms.Keys       { return f.at("other/transit/keys/onlyfor-{purpose}") }

func (f *fake) at(path string) kms.Keys {
	return kms.Template("hcvault://" + f.server.Listener.Addr().String() + "/" + path)
}

func (f *fake) Grant(t testing.TB, roles ...kms.Role) {
	policies := map[string]string{token(kmstest.Nobody): ""}
	for _, r := range kmstest.Roles() {
		policies[token(r.Name)] = "" // who had a grant is still known
	}
	for _, r := range roles {
		text, err := kms.HCVaultPolicy(f.Keys(), r)
		require.NoError(t, err)
		policies[token(r.Name)] = text
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policies = policies
}

func (f *fake) KEK(t testing.TB, role string, keys kms.Keys) vault.KEK {
	kek, err := hcvault.New(t.Context(), keys, &hcvault.Options{Client: f.client(t, token(role))})
	require.NoError(t, err)
	return kek
}

// client returns a client as a service has one.
func (f *fake) client(t testing.TB, token string) *api.Client {
	config := api.DefaultConfig()
	config.Address = f.server.URL
	config.HttpClient.Transport = f.server.Client().Transport.(*http.Transport).Clone()
	c, err := api.NewClient(config)
	require.NoError(t, err)
	c.SetToken(token)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return c
}

// token returns the token of a role, which no error may repeat.
func token(role string) string { return "hvs." + kmstest.Leak + "." + role }

var granted = regexp.MustCompile(`path "([^"]+)" \{\n  capabilities = \["update"\]\n\}`)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	policy, known := f.policies[r.Header.Get("X-Vault-Token")]
	sealed := f.sealed
	f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case f.server.Fault() == kmstest.Empty:
		say(w, http.StatusOK, map[string]any{})
	case f.server.Fault() == kmstest.Throttle:
		refuse(w, http.StatusTooManyRequests, "request path: rate limit quota exceeded")
	case f.server.Fault() == kmstest.Internal:
		refuse(w, http.StatusInternalServerError, "internal error")
	case sealed:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
	case path == "auth/token/lookup-self" && r.Method == http.MethodGet && known:
		say(w, http.StatusOK, map[string]any{"id": kmstest.Leak})
	case !known:
		refuse(w, http.StatusForbidden, "permission denied")
	case r.Method != http.MethodPut && r.Method != http.MethodPost:
		refuse(w, http.StatusMethodNotAllowed, "unsupported operation")
	default:
		for _, m := range granted.FindAllStringSubmatch(policy, -1) {
			if m[1] == path {
				f.transit(w, r, path)
				return
			}
		}
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	}
}

func (f *fake) transit(w http.ResponseWriter, r *http.Request, path string) {
	action := "decrypt"
	if strings.Contains(path, "/encrypt/") {
		action = "encrypt"
	}
	name := strings.Replace(path, "/"+action+"/", "/keys/", 1)
	var in struct {
		Plaintext      []byte `json:"plaintext"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData []byte `json:"associated_data"`
		Context        []byte `json:"context"` // of no effect, as these keys are not derived
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	if action == "encrypt" {
		out, err := f.keys.Encrypt(name, in.Plaintext, in.AssociatedData)
		if err != nil {
			refuse(w, http.StatusBadRequest, reason(err))
			return
		}
		say(w, http.StatusOK, map[string]any{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(out), "key_version": 1})
		return
	}
	sealed, ok := strings.CutPrefix(in.Ciphertext, "vault:v1:")
	ciphertext, err := base64.StdEncoding.DecodeString(sealed)
	if !ok || err != nil {
		refuse(w, http.StatusBadRequest, "invalid ciphertext")
		return
	}
	out, err := f.keys.Decrypt(name, ciphertext, in.AssociatedData)
	if err != nil {
		refuse(w, http.StatusBadRequest, reason(err))
		return
	}
	say(w, http.StatusOK, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(out)})
}

// reason returns what a transit engine says.
func reason(err error) string {
	switch {
	case errors.Is(err, kmstest.ErrNoKey):
		return "encryption key not found"
	case errors.Is(err, kmstest.ErrDisabled):
		return "ciphertext or signature version is disallowed by policy (too old)"
	}
	return "cipher: message authentication failed"
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []string{text + " " + kmstest.Leak}})
}

func say(w http.ResponseWriter, status int, data map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer := map[string]any{"request_id": "b1c2", "lease_id": "", "renewable": false, "lease_duration": 0, "warnings": nil}
	if len(data) > 0 {
		answer["data"] = data
	}
	json.NewEncoder(w).Encode(answer)
}
