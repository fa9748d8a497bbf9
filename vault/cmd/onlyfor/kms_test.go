package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A transit is a server with the protocol of a transit engine, as vault/kms/hcvault uses it,
// with real AES-GCM, and policies of which it understands what onlyfor policy prints. The
// module vault/kms/hcvault/internal/realserver tests the client with a real server.
type transit struct {
	mu       sync.Mutex
	policies map[string]string // by token
	keys     map[string]cipher.AEAD
	audited  strings.Builder // as an audit device writes it
}

// log returns the text of the audit device.
func (tr *transit) log() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.audited.String()
}

// audit writes the record of an answer.
func (tr *transit) audit(r *http.Request, status int) {
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
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.audited.WriteString(string(text) + "\n")
}

var grantedPath = regexp.MustCompile(`path "([^"]+)" \{\n  capabilities = \["update"\]\n\}`)

func newTransit(t *testing.T, names ...string) (*transit, *httptest.Server) {
	tr := &transit{policies: map[string]string{}, keys: map[string]cipher.AEAD{}}
	for _, name := range names {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		tr.keys[name], err = cipher.NewGCMWithRandomNonce(block)
		require.NoError(t, err)
	}
	server := httptest.NewServer(tr)
	t.Cleanup(server.Close)
	return tr, server
}

func (tr *transit) grant(token, policy string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.policies[token] = policy
}

func (tr *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tr.mu.Lock()
	policy, known := tr.policies[r.Header.Get("X-Vault-Token")]
	tr.mu.Unlock()
	answer := func(status int, field string, content any) {
		tr.audit(r, status)
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
		answer(http.StatusForbidden, "errors", []string{"permission denied " + password})
		return
	}
	var in struct {
		Plaintext      []byte `json:"plaintext"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData []byte `json:"associated_data"`
	}
	aead := tr.keys[path[strings.LastIndexByte(path, '/')+1:]]
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

// The first deployment with a key service: policies that the command prints, keys, a value,
// and the proof that each role is kept out of the other purpose.
func TestKeyService(t *testing.T) {
	sh := newShell(t)
	tr, server := newTransit(t, "onlyfor-security", "onlyfor-advertising")
	sh.run("", "init").exits(well) // the configuration; its keys are not used
	host := strings.TrimPrefix(server.URL, "http://")
	sh.write("onlyfor.toml", strings.NewReplacer(`local = "onlyfor-data/kek"`, `service = "hcvault://`+host+`/transit/keys/onlyfor-{purpose}"`,
		`dir = "onlyfor-data/keys"`, `dir = "keys"`, `pins = "onlyfor-data/pins"`, `pins = "pins"`).Replace(sh.read("onlyfor.toml")))
	sh.config(`
[[role]]
name = "ops"
manages = ["security", "advertising"]
[[role]]
name = "ads"
opens = ["advertising"]
`)
	for _, role := range []string{"ops", "ads"} {
		tr.grant("token-of-"+role, sh.run("", "policy", role).exits(well).stdout)
	}
	as := func(role string) *shell {
		return &shell{t: t, dir: sh.dir, env: []string{"VAULT_ADDR=" + server.URL, "VAULT_TOKEN=token-of-" + role}}
	}
	as("ads").run("", "keys", "generate").exits(hindered)
	as("ops").run("", "keys", "generate").exits(well)
	as("ops").run("", "keys").exits(well).says("security, wrapped by hcvault://" + host + "/transit/keys/onlyfor-security")
	as("ops").run("", "keys", "rewrap").exits(well)

	security := as("ops").run(address, "seal", "email", "-p", "security").exits(well).out()
	ads := as("ops").run(address, "seal", "email", "-p", "advertising").exits(well).out()
	require.Equal(t, address, as("ads").runFreely(ads, "reveal", "-p", "advertising", "--reason", "x").exits(well).out())
	as("ads").run(security, "reveal", "-p", "security", "--reason", "x").exits(hindered).says("This process was not granted")

	as("ops").run("", "doctor", "--role", "ops").exits(well).says("ok security: opens, and its KEK binds the purpose")
	as("ads").run("", "doctor", "--role", "ads").exits(well).says("ok advertising: opens", "ok security: is shut for role ads: proven")
	as("ops").run("", "doctor", "--role", "ads").exits(found).says("failed security: ", "can open keys that it must not have")
	as("nobody").run("", "doctor", "--role", "ads").exits(hindered)
}
