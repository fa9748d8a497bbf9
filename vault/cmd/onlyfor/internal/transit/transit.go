// Package transit is a key service for tests and examples: a server with the protocol of a
// transit engine, as package hcvault uses it, with real AES-GCM, an audit device, and the
// policies that onlyfor policy prints. It keeps its keys in memory. The module
// vault/kms/hcvault/internal/realserver tests the client with a real server.
package transit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A Server is an [http.Handler] with the protocol of a transit engine.
type Server struct {
	// Denied is added to the message of a denial.
	Denied string

	mu       sync.Mutex
	policies map[string]string // by token
	keys     map[string]cipher.AEAD
	audited  strings.Builder // as an audit device writes it
}

// Log returns the text of the audit device.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.audited.String()
}

// audit writes the record of an answer.
func (s *Server) audit(r *http.Request, status int) {
	record := map[string]any{
		"time": time.Now().UTC().Format(time.RFC3339Nano), "type": "response", "auth": map[string]any{"display_name": "token"},
		"request": map[string]any{
			"id": rand.Text(), "operation": "update", "path": strings.TrimPrefix(r.URL.Path, "/v1/"), "remote_address": "127.0.0.1",
			"data": map[string]any{"ciphertext": "hmac-sha256:0"},
		},
	}
	if status != http.StatusOK {
		record["error"] = "1 error occurred"
	}
	text, _ := json.Marshal(record)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audited.WriteString(string(text) + "\n")
}

var grantedPath = regexp.MustCompile(`path "([^"]+)" \{\n  capabilities = \["update"\]\n\}`)

// New returns a server with a key for each name.
func New(names ...string) (*Server, error) {
	s := &Server{policies: map[string]string{}, keys: map[string]cipher.AEAD{}}
	for _, name := range names {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		if s.keys[name], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Grant gives the holder of a token the policy that onlyfor policy prints.
func (s *Server) Grant(token, policy string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies[token] = policy
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	policy, known := s.policies[r.Header.Get("X-Vault-Token")]
	s.mu.Unlock()
	answer := func(status int, field string, content any) {
		s.audit(r, status)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{field: content})
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if path == "auth/token/lookup-self" && known {
		answer(http.StatusOK, "data", map[string]any{"id": "x"})
		return
	}
	granted := false
	for _, m := range grantedPath.FindAllStringSubmatch(policy, -1) {
		granted = granted || m[1] == path
	}
	if !granted {
		answer(http.StatusForbidden, "errors", []string{"permission denied " + s.Denied})
		return
	}
	var in struct {
		Plaintext      []byte `json:"plaintext"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData []byte `json:"associated_data"`
	}
	aead := s.keys[path[strings.LastIndexByte(path, '/')+1:]]
	if json.NewDecoder(r.Body).Decode(&in) != nil || aead == nil {
		answer(http.StatusBadRequest, "errors", []string{"encryption key not found"})
		return
	}
	if strings.Contains(path, "/encrypt/") {
		sealed := aead.Seal(nil, nil, in.Plaintext, in.AssociatedData)
		answer(http.StatusOK, "data", map[string]any{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(sealed), "key_version": 1})
		return
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
	if err == nil {
		sealed, err = aead.Open(nil, nil, sealed, in.AssociatedData)
	}
	if err != nil {
		answer(http.StatusBadRequest, "errors", []string{"cipher: message authentication failed"})
		return
	}
	answer(http.StatusOK, "data", map[string]any{"plaintext": base64.StdEncoding.EncodeToString(sealed)})
}
