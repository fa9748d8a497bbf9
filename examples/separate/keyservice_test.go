package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A transitServer is the little of a Vault that the program asks for, with real
// AES-GCM, and with policies of which it understands what kms.HCVaultPolicy
// writes. What a real one does is tested with TestRealServer.
type transitServer struct {
	mu       sync.Mutex
	keys     map[string]cipher.AEAD // by path
	policies map[string][]string    // paths
	tokens   map[string][]string    // names of policies
	revoked  int
}

const rootToken = "root-of-the-test"

var updates = regexp.MustCompile(`path "([^"]+)" \{\n  capabilities = \["update"\]\n\}`)

func (s *transitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		Policy         string   `json:"policy"`
		Policies       []string `json:"policies"`
		Token          string   `json:"token"`
		Plaintext      []byte   `json:"plaintext"`
		Ciphertext     string   `json:"ciphertext"`
		AssociatedData []byte   `json:"associated_data"`
	}
	json.NewDecoder(r.Body).Decode(&in)
	token, path := r.Header.Get("X-Vault-Token"), strings.TrimPrefix(r.URL.Path, "/v1/")
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}
	root, policies := token == rootToken, s.tokens[token]
	allowed := root
	for _, name := range policies {
		for _, allows := range s.policies[name] {
			allowed = allowed || allows == path
		}
	}
	engine, name, _ := strings.Cut(path, "/keys/")
	switch {
	case path == "auth/token/lookup-self" && (root || policies != nil):
		answer(http.StatusOK, map[string]any{"data": map[string]any{"id": token, "policies": policies}})
	case !allowed:
		answer(http.StatusForbidden, map[string]any{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
	case strings.HasPrefix(path, "sys/policies/acl/"):
		var paths []string
		for _, m := range updates.FindAllStringSubmatch(in.Policy, -1) {
			paths = append(paths, m[1])
		}
		s.policies[strings.TrimPrefix(path, "sys/policies/acl/")] = paths
		w.WriteHeader(http.StatusNoContent)
	case path == "auth/token/create":
		token := "token-" + rand.Text()
		s.tokens[token] = in.Policies
		answer(http.StatusOK, map[string]any{"auth": map[string]any{"client_token": token}})
	case path == "auth/token/revoke":
		delete(s.tokens, in.Token)
		s.revoked++
		w.WriteHeader(http.StatusNoContent)
	case engine == "transit" && name != "":
		key := make([]byte, 32)
		rand.Read(key)
		block, _ := aes.NewCipher(key)
		s.keys[name], _ = cipher.NewGCMWithRandomNonce(block)
		answer(http.StatusOK, map[string]any{"data": map[string]any{}})
	case strings.HasPrefix(path, "transit/encrypt/"):
		out := s.keys[strings.TrimPrefix(path, "transit/encrypt/")].Seal(nil, nil, in.Plaintext, in.AssociatedData)
		text, _ := json.Marshal(out)
		answer(http.StatusOK, map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + strings.Trim(string(text), `"`)}})
	case strings.HasPrefix(path, "transit/decrypt/"):
		var ciphertext []byte
		json.Unmarshal([]byte(`"`+strings.TrimPrefix(in.Ciphertext, "vault:v1:")+`"`), &ciphertext)
		out, err := s.keys[strings.TrimPrefix(path, "transit/decrypt/")].Open(nil, nil, ciphertext, in.AssociatedData)
		if err != nil {
			answer(http.StatusBadRequest, map[string]any{"errors": []string{"cipher: message authentication failed"}})
			return
		}
		answer(http.StatusOK, map[string]any{"data": map[string]any{"plaintext": out}})
	default:
		answer(http.StatusNotFound, map[string]any{"errors": []string{}})
	}
}

func TestKeyService(t *testing.T) {
	s := &transitServer{keys: map[string]cipher.AEAD{}, policies: map[string][]string{}, tokens: map[string][]string{}}
	server := httptest.NewServer(s)
	defer server.Close()
	withServer(t, server.URL, rootToken)
	require.Equal(t, 4, s.revoked, "tokens handed out")
	require.Empty(t, s.tokens)

	t.Run("a grant too many", func(t *testing.T) {
		code, stdout, _ := play(t, "-users=false", "-kms", template(server.URL), "-break")
		require.Equal(t, exitGaveWay, code)
		require.Equal(t, "SUCCEEDED it worked", row(stdout, adsService, "open a scope, lookup, reader of security"))
		require.Equal(t, "SUCCEEDED it worked", row(stdout, adsService, "reveal the addresses of accounts"))
	})
	t.Run("a token that may not make keys", func(t *testing.T) {
		t.Setenv("VAULT_TOKEN", "unknown")
		code, stdout, stderr := play(t, "-users=false", "-kms", template(server.URL))
		require.Equal(t, exitTrouble, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "separate: making hcvault://")
		require.Contains(t, stderr, "permission denied")
	})
	t.Run("a server that is down", func(t *testing.T) {
		server.Close()
		t.Setenv("VAULT_MAX_RETRIES", "0")
		code, stdout, stderr := play(t, "-users=false", "-kms", template(server.URL))
		require.Equal(t, exitTrouble, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "separate: making hcvault://")
	})
}

// TestRealServer needs a Vault or OpenBao that has a transit engine at transit/:
// README.md says how to start one.
func TestRealServer(t *testing.T) {
	address, token := os.Getenv("ONLYFOR_TRANSIT_ADDR"), os.Getenv("ONLYFOR_TRANSIT_TOKEN")
	if address == "" {
		t.Skip("ONLYFOR_TRANSIT_ADDR and ONLYFOR_TRANSIT_TOKEN name no Vault or OpenBao server")
	}
	withServer(t, address, token)
}

func template(address string) string {
	_, host, _ := strings.Cut(address, "://")
	return "hcvault://" + host + "/transit/keys/separate-{purpose}"
}

// withServer runs the program with the keys in a key service.
func withServer(t *testing.T, address, token string) {
	t.Helper()
	t.Setenv("VAULT_ADDR", address)
	t.Setenv("VAULT_TOKEN", token)
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"-users=false", "-kms", template(address)}, &out, &errs)
	require.Equal(t, exitHeld, code, "%s\n%s", out.String(), errs.String())
	requireTable(t, out.String(), "refused no usable keys", "not tried there is none: the key service keeps it")
	require.Contains(t, out.String(), "the key service knows each by a token of its own")
	require.Contains(t, out.String(), worked)
	require.Empty(t, errs.String())
}
