package realserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/audit"
	auditfile "github.com/hashicorp/vault/builtin/audit/file"
	"github.com/hashicorp/vault/helper/testhelpers/corehelpers"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	onlyfor "github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
)

// A server is a Vault with a transit engine at transit/.
type server struct {
	*httptest.Server
	core   *vault.Core
	root   *api.Client
	unseal []byte
}

func start(t testing.TB) *server {
	t.Helper()
	log := hclog.NewNullLogger()
	physical, err := inmem.NewInmem(nil, log)
	require.NoError(t, err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        physical,
		LogicalBackends: map[string]logical.Factory{"transit": transitEngine, "kv": vault.PassthroughBackendFactory},
		AuditBackends:   map[string]audit.Factory{"file": auditfile.Factory},
		BuiltinRegistry: corehelpers.NewMockBuiltinRegistry(),
		DisableMlock:    true,
		Logger:          log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { core.Shutdown() })
	ctx := context.Background()
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
	require.NoError(t, err)
	open, err := core.Unseal(made.SecretShares[0])
	require.NoError(t, err)
	require.True(t, open)

	s := &server{core: core, unseal: made.SecretShares[0]}
	s.Server = httptest.NewServer(vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core}))
	t.Cleanup(s.Close)
	s.root = s.client(t, made.RootToken)
	require.NoError(t, s.root.Sys().Mount("transit", &api.MountInput{Type: "transit"}))
	for _, p := range []purpose.Purpose{security, advertising} {
		s.write(t, "transit/keys/onlyfor-"+p.String(), nil)
	}
	return s
}

// The purposes that have transit keys from the start.
var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

// The roles.
var (
	admin  = kms.Role{Name: "key-rotation", Manages: purpose.NewSet(security, advertising)}
	secure = kms.Role{Name: "security-service", Opens: purpose.NewSet(security)}
	ads    = kms.Role{Name: "ad-service", Opens: purpose.NewSet(advertising)}
)

// keys returns the keys of purposes at transit/ or somewhere else.
func (s *server) keys(path string) kms.Keys {
	return kms.Template("hcvault://" + s.Listener.Addr().String() + "/" + path)
}

const usual = "transit/keys/onlyfor-{purpose}"

// token returns a new token with the policy that package kms writes for the role.
func (s *server) token(t testing.TB, r kms.Role) string {
	t.Helper()
	text, err := kms.HCVaultPolicy(s.keys(usual), r)
	require.NoError(t, err)
	require.NoError(t, s.root.Sys().PutPolicy(r.Name, text))
	made, err := s.root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{r.Name}})
	require.NoError(t, err)
	return made.Auth.ClientToken
}

// open returns the vault of a process with a token.
func (s *server) open(t testing.TB, store onlyfor.Store, token string) *onlyfor.Admin {
	t.Helper()
	return s.openAt(t, store, token, usual)
}

func (s *server) openAt(t testing.TB, store onlyfor.Store, token, path string) *onlyfor.Admin {
	t.Helper()
	kek, err := hcvault.New(t.Context(), s.keys(path), &hcvault.Options{Client: s.client(t, token)})
	require.NoError(t, err)
	v, err := onlyfor.OpenAdmin(t.Context(), store, kek, nil)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// stored returns a store with keys of both purposes.
func (s *server) stored(t testing.TB) onlyfor.Store {
	t.Helper()
	store := onlyfor.Memory()
	require.NoError(t, s.open(t, store, s.token(t, admin)).Generate(t.Context(), security, advertising))
	return store
}

// client returns a client with a token.
func (s *server) client(t testing.TB, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address = s.URL
	config.HttpClient = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	c, err := api.NewClient(config)
	require.NoError(t, err)
	c.SetToken(token)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return c
}

// write writes as root.
func (s *server) write(t testing.TB, path string, data map[string]any) {
	t.Helper()
	_, err := s.root.Logical().Write(path, data)
	require.NoError(t, err)
}
