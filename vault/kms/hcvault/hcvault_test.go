package hcvault_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tinkhcvault "github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

// aead returns what a process with that client wraps security's keys with.
func aead(t testing.TB, keys kms.Keys, client *api.Client) vault.ContextAEAD {
	t.Helper()
	kek, err := hcvault.New(t.Context(), keys, &hcvault.Options{Client: client})
	require.NoError(t, err)
	a, err := kek.For(t.Context(), kmstest.Security)
	require.NoError(t, err)
	return a.(vault.ContextAEAD)
}

// grantedFake returns a fake that grants everything to [kmstest.Admin].
func grantedFake(t testing.TB) *fake {
	f := newFake(t)
	f.Grant(t, kmstest.Roles()...)
	return f
}

// denied reports whether err proves that the token has no grant.
func denied(err error) bool {
	return errors.Is(err, vault.ErrAccessDenied)
}

// quiet checks that an error says nothing that was sent, set or answered.
func quiet(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	for _, secret := range []string{kmstest.Leak, "hvs.", "dataKey", "ZGF0YUtleQ"} {
		require.False(t, strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret))
	}
}

func TestNewRefusesWhatIsMisconfigured(t *testing.T) {
	client, err := api.NewClient(&api.Config{Address: "https://vault.example.com:8200"})
	require.NoError(t, err)
	for name, keys := range map[string]kms.Keys{
		"no keys":              nil,
		"no URIs":              kms.URIs{},
		"no purpose":           kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor"),
		"another service":      kms.Template("gcp-kms://projects/example/locations/europe/keyRings/onlyfor/cryptoKeys/{purpose}"),
		"another host":         kms.Template("hcvault://example.com:8200/transit/keys/{purpose}"),
		"another port":         kms.Template("hcvault://vault.example.com:8201/transit/keys/{purpose}"),
		"no port":              kms.Template("hcvault://vault.example.com/transit/keys/{purpose}"),
		"token in URI":         kms.Template("hcvault://hvs.sEcReT@vault.example.com:8200/transit/keys/{purpose}"),
		"one key for two":      kms.URIs{kmstest.Security: "hcvault://vault.example.com:8200/transit/keys/a", kmstest.Billing: "hcvault://vault.example.com:8200/transit/keys/a"},
		"one on another host":  kms.URIs{kmstest.Security: "hcvault://vault.example.com:8200/transit/keys/a", kmstest.Billing: "hcvault://example.com/transit/keys/b"},
		"host of the purpose":  kms.Template("hcvault://{purpose}.example.com:8200/transit/keys/a"),
		"path out of the API":  kms.Template("hcvault://vault.example.com:8200/../keys/{purpose}"),
		"query in the path":    kms.Template("hcvault://vault.example.com:8200/transit/keys/{purpose}?help=1"),
		"engine without mount": kms.Template("hcvault://vault.example.com:8200/keys/{purpose}"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hcvault.New(t.Context(), keys, &hcvault.Options{Client: client})
			require.ErrorIs(t, err, vault.ErrInvalid)
			quiet(t, err)
		})
	}
}

func TestNewTakesTheHostWithTheSchemesPort(t *testing.T) {
	for address, uri := range map[string]string{
		"https://vault.example.com":     "hcvault://vault.example.com:443/transit/keys/{purpose}",
		"https://vault.example.com:443": "hcvault://vault.example.com/transit/keys/{purpose}",
		"http://localhost":              "hcvault://localhost:80/transit/keys/{purpose}",
		"unix:///run/vault.sock":        "hcvault://localhost/transit/keys/{purpose}",
	} {
		client, err := api.NewClient(&api.Config{Address: address})
		require.NoError(t, err)
		_, err = hcvault.New(t.Context(), kms.Template(uri), &hcvault.Options{Client: client})
		require.NoError(t, err, address)
	}
}

func TestClientOfTheEnvironment(t *testing.T) {
	f := grantedFake(t)
	// A plain server, as the certificate of the fake is nobody's.
	plain := httptest.NewServer(f)
	t.Cleanup(plain.Close)
	keys := kms.Template("hcvault://" + plain.Listener.Addr().String() + "/team/transit/keys/onlyfor-{purpose}")
	t.Setenv("VAULT_ADDR", plain.URL)
	t.Setenv("VAULT_TOKEN", token(kmstest.Admin))
	a := aead(t, keys, nil)
	wrapped, err := a.EncryptWithContext(t.Context(), []byte("dataKey"), []byte("aad"))
	require.NoError(t, err)
	got, err := a.DecryptWithContext(t.Context(), wrapped, []byte("aad"))
	require.NoError(t, err)
	require.True(t, string(got) == "dataKey", "decrypted something else")

	t.Setenv("VAULT_ADDR", "http://"+kmstest.Leak+"\x7f") // a client would quote it
	_, err = hcvault.New(t.Context(), keys, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	quiet(t, err)
}

func TestZeroKEK(t *testing.T) {
	for _, kek := range []*hcvault.KEK{nil, {}} {
		_, err := kek.For(t.Context(), kmstest.Security)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
}

func TestPurposeWithoutKey(t *testing.T) {
	f := grantedFake(t)
	uri, err := f.Keys().Key(kmstest.Security)
	require.NoError(t, err)
	kek, err := hcvault.New(t.Context(), kms.URIs{kmstest.Security: uri.String()}, &hcvault.Options{Client: f.client(t, token(kmstest.Admin))})
	require.NoError(t, err)
	_, err = kek.For(t.Context(), kmstest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = kek.For(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
}

func TestNothingPrintsTheToken(t *testing.T) {
	f := grantedFake(t)
	kek := f.KEK(t, kmstest.Admin, f.Keys())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "hcvault.KEK", fmt.Sprintf(verb, kek))
	}
}

// The token is that of the moment: renewal is somebody else's.
func TestTokenIsReadForEachRequest(t *testing.T) {
	f := grantedFake(t)
	client := f.client(t, token(kmstest.Unknown))
	a := aead(t, f.Keys(), client)
	_, err := a.EncryptWithContext(t.Context(), []byte("dataKey"), nil)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.False(t, denied(err), "a token that is not known proves nothing")
	quiet(t, err)

	client.SetToken(token(kmstest.Admin))
	_, err = a.EncryptWithContext(t.Context(), []byte("dataKey"), nil)
	require.NoError(t, err)

	client.SetToken(token(kmstest.Nobody))
	_, err = a.EncryptWithContext(t.Context(), []byte("dataKey"), nil)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.True(t, denied(err), "a token that is known has no grant")

	client.SetToken(token(kmstest.Admin) + "\n") // as read from a file
	before := f.server.Calls()
	_, err = a.EncryptWithContext(t.Context(), []byte("dataKey"), nil)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.False(t, denied(err))
	require.Equal(t, before, f.server.Calls())
	quiet(t, err)
}

// The environment of a process may have another token and another namespace than
// its client was given.
func TestClientWinsOverEnvironment(t *testing.T) {
	f := grantedFake(t)
	var namespace string
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		namespace = r.Header.Get("X-Vault-Namespace")
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(plain.Close)
	client, err := api.NewClient(&api.Config{Address: plain.URL})
	require.NoError(t, err)
	client.SetToken(token(kmstest.Admin))
	client.SetNamespace("mine")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_TOKEN", token(kmstest.Nobody))
	t.Setenv("VAULT_NAMESPACE", "other")
	keys := kms.Template("hcvault://" + plain.Listener.Addr().String() + "/team/transit/keys/onlyfor-{purpose}")
	_, err = aead(t, keys, client).EncryptWithContext(t.Context(), []byte("dataKey"), nil)
	require.NoError(t, err)
	require.Equal(t, "mine", namespace)
}

// A Unix socket is settled in the client's transport, which requests share.
func TestUnixSocket(t *testing.T) {
	f := grantedFake(t)
	dir, err := os.MkdirTemp("", "s") // not t.TempDir, whose paths are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	plain := httptest.NewUnstartedServer(f)
	plain.Listener.Close()
	plain.Listener = l
	plain.Start()
	t.Cleanup(plain.Close)
	client, err := api.NewClient(&api.Config{Address: "unix://" + l.Addr().String()})
	require.NoError(t, err)
	client.SetToken(token(kmstest.Admin))
	a := aead(t, kms.Template("hcvault://localhost/team/transit/keys/onlyfor-{purpose}"), client)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := a.EncryptWithContext(t.Context(), []byte("dataKey"), nil)
			assert.NoError(t, err)
		})
	}
	all.Wait()
}

// constant returns keys on a server that answers every request with the same, a
// client that is set to retry and to go wherever it is sent, and the number of
// requests.
func constant(t testing.TB, status int, header http.Header, body string) (kms.Keys, *api.Client, *atomic.Int64) {
	calls := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	client, err := api.NewClient(&api.Config{
		Address: s.URL, MaxRetries: 5, MinRetryWait: time.Nanosecond, MaxRetryWait: time.Nanosecond,
		HttpClient: new(http.Client),
	})
	require.NoError(t, err)
	client.SetToken(token(kmstest.Admin))
	return kms.Template("hcvault://" + s.Listener.Addr().String() + "/transit/keys/onlyfor-{purpose}"), client, calls
}

func TestAnswers(t *testing.T) {
	const said = `{"errors":["sEcReT dataKey"]}`
	html := http.Header{"Content-Type": {"text/html"}}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("token and key were sent to another host")
	}))
	t.Cleanup(elsewhere.Close)
	away := http.Header{"Location": {elsewhere.URL + "/v1/transit/encrypt/onlyfor-security"}}
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		class  error
	}{
		"bad request":                {400, nil, said, vault.ErrNoKeys},
		"unauthorized":               {401, nil, said, vault.ErrNoKeys},
		"forbidden":                  {403, nil, said, vault.ErrNoKeys},
		"not found":                  {404, nil, said, vault.ErrNoKeys},
		"method not allowed":         {405, nil, said, vault.ErrNoKeys},
		"not found, empty list":      {404, nil, `{"errors":[]}`, vault.ErrUnavailable},
		"not yet replicated":         {412, nil, said, vault.ErrUnavailable},
		"throttling":                 {429, nil, said, vault.ErrUnavailable},
		"standby for recovery":       {472, nil, said, vault.ErrUnavailable},
		"standby for performance":    {473, nil, said, vault.ErrUnavailable},
		"internal error":             {500, nil, said, vault.ErrUnavailable},
		"not initialized":            {501, nil, said, vault.ErrUnavailable},
		"upstream is down":           {502, nil, said, vault.ErrUnavailable},
		"sealed":                     {503, nil, said, vault.ErrUnavailable},
		"page with 200":              {200, html, "<html>sEcReT</html>", vault.ErrUnavailable},
		"page with 403":              {403, html, "<html>sEcReT</html>", vault.ErrUnavailable},
		"page with 404":              {404, html, "<html>sEcReT</html>", vault.ErrUnavailable},
		"page with 503":              {503, html, "<html>sEcReT</html>", vault.ErrUnavailable},
		"other JSON with 403":        {403, nil, `{"message":"sEcReT"}`, vault.ErrUnavailable},
		"no content":                 {204, nil, "", vault.ErrUnavailable},
		"nothing":                    {200, nil, "", vault.ErrUnavailable},
		"empty object":               {200, nil, "{}", vault.ErrUnavailable},
		"empty data":                 {200, nil, `{"data":{}}`, vault.ErrUnavailable},
		"null":                       {200, nil, "null", vault.ErrUnavailable},
		"other types":                {200, nil, `{"data":{"ciphertext":1,"plaintext":{}}}`, vault.ErrUnavailable},
		"text that is no base64":     {200, nil, `{"data":{"ciphertext":"sEcReT","plaintext":"sEcReT!"}}`, vault.ErrUnavailable},
		"errors with 200":            {200, nil, said, vault.ErrUnavailable},
		"cut short":                  {200, nil, `{"data":{"ciphertext":"vault:v1:c`, vault.ErrUnavailable},
		"accepted, to be done later": {202, nil, `{"data":{"ciphertext":"vault:v1:cXE=","plaintext":"cXE="}}`, vault.ErrUnavailable},
		"longer than any answer":     {200, nil, `{"data":{"ciphertext":"vault:v1:` + strings.Repeat("cXE=", 1<<20) + `","plaintext":"` + strings.Repeat("cXE=", 1<<20) + `"}}`, vault.ErrUnavailable},
		"moved for good":             {301, away, "", vault.ErrUnavailable},
		"found elsewhere":            {302, away, "", vault.ErrUnavailable},
		"active node is elsewhere":   {307, away, "", vault.ErrUnavailable},
		"moved, all methods":         {308, away, "", vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			keys, client, calls := constant(t, c.status, c.header, c.body)
			a := aead(t, keys, client)
			_, encrypt := a.EncryptWithContext(t.Context(), []byte("dataKey"), []byte("aad"))
			_, decrypt := a.DecryptWithContext(t.Context(), []byte("vault:v1:cXE="), []byte("aad"))
			for _, err := range []error{encrypt, decrypt} {
				require.ErrorIs(t, err, c.class)
				require.NotEqual(t, errors.Is(err, vault.ErrNoKeys), errors.Is(err, vault.ErrUnavailable))
				require.False(t, denied(err), "nobody said that the token is known")
				require.Contains(t, err.Error(), "security")
				require.Contains(t, err.Error(), "/transit/keys/onlyfor-security")
				quiet(t, err)
			}
			want := 2
			if c.status == http.StatusForbidden {
				want = 4 // each asks whether the token is known
			}
			require.EqualValues(t, want, calls.Load(), "no retries")
		})
	}
}

// After a 403, only a server that says who the token is proves that it has no
// grant.
func TestProofThatTheTokenIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		proof  bool
	}{
		"known":        {200, `{"data":{"id":"sEcReT"}}`, true},
		"not known":    {403, `{"errors":["permission denied"]}`, false},
		"not allowed":  {403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, false},
		"page":         {200, "<html>sEcReT</html>", false},
		"empty object": {200, "{}", false},
		"other data":   {200, `{"data":{"keys":[]}}`, false},
		"no content":   {204, "", false},
		"redirect":     {307, `{"data":{"id":"sEcReT"}}`, false},
		"sealed":       {503, `{"errors":["Vault is sealed"]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status, body := 403, `{"errors":["permission denied"]}`
				if r.URL.Path == "/v1/auth/token/lookup-self" {
					status, body = c.status, c.body
				}
				w.WriteHeader(status)
				w.Write([]byte(body))
			}))
			defer s.Close()
			client, err := api.NewClient(&api.Config{Address: s.URL})
			require.NoError(t, err)
			client.SetToken(token(kmstest.Nobody))
			keys := kms.Template("hcvault://" + s.Listener.Addr().String() + "/transit/keys/onlyfor-{purpose}")
			_, err = aead(t, keys, client).DecryptWithContext(t.Context(), []byte("vault:v1:cXE="), nil)
			require.ErrorIs(t, err, vault.ErrNoKeys)
			require.Equal(t, c.proof, denied(err))
			quiet(t, err)
		})
	}
}

// What is in the context counts, and so does the client's own timeout.
func TestTimeouts(t *testing.T) {
	f := grantedFake(t)
	f.server.SetFault(kmstest.Hang)
	t.Run("of the context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := aead(t, f.Keys(), f.client(t, token(kmstest.Admin))).EncryptWithContext(ctx, []byte("dataKey"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		quiet(t, err)
	})
	t.Run("of the client", func(t *testing.T) {
		client := f.client(t, token(kmstest.Admin))
		client.SetClientTimeout(time.Millisecond)
		_, err := aead(t, f.Keys(), client).EncryptWithContext(t.Context(), []byte("dataKey"), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		quiet(t, err)
	})
	t.Run("over before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := aead(t, f.Keys(), f.client(t, token(kmstest.Admin))).DecryptWithContext(ctx, []byte("vault:v1:cXE="), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Tink's client has a mode that sends associated data where the server does not
// look. The vault's own test of a KEK finds it, and nothing is stored.
func TestLegacyModeIsRefused(t *testing.T) {
	f := grantedFake(t)
	logical := f.client(t, token(kmstest.Admin)).Logical()
	for name, c := range map[string]struct {
		opts  []tinkhcvault.AEADOption
		class error
	}{
		"legacy": {[]tinkhcvault.AEADOption{tinkhcvault.WithLegacyContextParamater()}, vault.ErrNoKeys},
		"ours":   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := tinkhcvault.NewAEAD("/team/transit/keys/onlyfor-security", logical, c.opts...)
			require.NoError(t, err)
			store := vault.Memory()
			v, err := vault.OpenAdmin(t.Context(), store, vault.SharedKEK(a), nil)
			require.NoError(t, err)
			defer v.Close()
			err = v.Generate(t.Context(), kmstest.Security)
			records, getErr := store.Get(t.Context(), "security/keys")
			require.NoError(t, getErr)
			if c.class == nil {
				require.NoError(t, err)
				require.Len(t, records, 1)
				return
			}
			require.ErrorIs(t, err, c.class)
			require.Empty(t, records)
		})
	}
}
