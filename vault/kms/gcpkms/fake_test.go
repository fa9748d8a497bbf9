package gcpkms_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	cloudkms "cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/gcpkms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

const keys = kms.Template("gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")

var all = []purpose.Purpose{kmstest.Security, kmstest.Advertising, kmstest.Billing}

// A fake speaks the protocol of Cloud KMS, gRPC: it checks tokens and checksums,
// enforces the IAM policies of keys and encrypts with the authenticated data
// bound.
type fake struct {
	cloudkms.UnimplementedKeyManagementServiceServer
	*kmstest.Server
	ring    kmstest.Keyring
	corrupt atomic.Bool // answers get damaged after their checksum was taken

	mu       sync.Mutex
	policies map[string]policy // by the name of the key
}

type policy struct {
	Version  int `json:"version"`
	Bindings []struct {
		Role    string   `json:"role"`
		Members []string `json:"members"`
	} `json:"bindings"`
}

func newFake(t testing.TB) *fake {
	f := &fake{}
	s := grpc.NewServer()
	t.Cleanup(s.Stop)
	cloudkms.RegisterKeyManagementServiceServer(s, f)
	f.Server = kmstest.NewServer(t, "application/grpc", http.HandlerFunc(s.ServeHTTP))
	for _, p := range all {
		f.ring.Make(nameOf(p))
	}
	return f
}

func nameOf(p purpose.Purpose) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(keys), "gcp-kms://"), "{purpose}", p.String())
}

func start(t testing.TB) kmstest.Service { return service{newFake(t)} }

// service is what the cases see of a fake.
type service struct{ *fake }

func (s service) Server() *kmstest.Server   { return s.fake.Server }
func (s service) Keyring() *kmstest.Keyring { return &s.ring }
func (service) Keys() kms.Keys              { return keys }
func (service) Elsewhere() kms.Keys {
	return kms.Template(strings.Replace(string(keys), "europe-west3", "europe-west1", 1))
}

func memberOf(role string) string {
	return "serviceAccount:" + role + "@example.iam.gserviceaccount.com"
}

// Grant takes the policies as they are written, and sets them.
func (f *fake) Grant(t testing.TB, roles ...kms.Role) {
	for i := range roles {
		roles[i].Member = memberOf(roles[i].Name)
	}
	policies := map[string]policy{}
	for _, p := range all {
		text, err := kms.GCPPolicy(keys, p, roles...)
		require.NoError(t, err)
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var pol policy
		require.NoError(t, d.Decode(&pol))
		policies[nameOf(p)] = pol
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policies = policies
}

const token = "token-" + kmstest.Leak + "-"

// options are for a process with the credentials of a role, reach those for one
// that has its own.
func (f *fake) options(role string) []option.ClientOption {
	return append(f.reach(), option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token + role})))
}

func (f *fake) reach() []option.ClientOption {
	roots := x509.NewCertPool()
	roots.AddCert(f.Certificate())
	return []option.ClientOption{
		option.WithEndpoint(f.Listener.Addr().String()),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com"}))),
	}
}

func (f *fake) KEK(t testing.TB, role string, keys kms.Keys) vault.KEK {
	kek, err := gcpkms.New(t.Context(), keys, &gcpkms.Options{Client: f.options(role)})
	require.NoError(t, err)
	t.Cleanup(func() { kek.Close() })
	return kek
}

func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

// refuse quotes what it was asked, as services and proxies do.
func refuse(code codes.Code) error { return status.Error(code, kmstest.Leak+"\nrefused") }

// enter fails unless the caller of ctx may use the key for an action.
func (f *fake) enter(ctx context.Context, key, action string) error {
	switch f.Fault() {
	case kmstest.Throttle:
		return refuse(codes.ResourceExhausted)
	case kmstest.Internal:
		return refuse(codes.Internal)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	bearer := md.Get("authorization")
	if len(bearer) != 1 || !strings.HasPrefix(bearer[0], "Bearer "+token) {
		return refuse(codes.Unauthenticated)
	}
	role := strings.TrimPrefix(bearer[0], "Bearer "+token)
	if role == kmstest.Unknown {
		return refuse(codes.Unauthenticated)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pol, ok := f.policies[key]
	if !ok {
		return refuse(codes.NotFound)
	}
	for _, b := range pol.Bindings {
		may := b.Role == "roles/cloudkms.cryptoKeyEncrypterDecrypter" || b.Role == "roles/cloudkms.cryptoKeyDecrypter" && action == "decrypt"
		if may && slices.Contains(b.Members, memberOf(role)) {
			return nil
		}
	}
	return refuse(codes.PermissionDenied)
}

func refusal(err error) error {
	switch {
	case errors.Is(err, kmstest.ErrNoKey):
		return refuse(codes.NotFound)
	case errors.Is(err, kmstest.ErrDisabled):
		return refuse(codes.FailedPrecondition)
	}
	return refuse(codes.InvalidArgument)
}

func (f *fake) Encrypt(ctx context.Context, in *cloudkms.EncryptRequest) (*cloudkms.EncryptResponse, error) {
	if f.Fault() == kmstest.Empty {
		return &cloudkms.EncryptResponse{}, nil
	}
	if err := f.enter(ctx, in.Name, "encrypt"); err != nil {
		return nil, err
	}
	if in.PlaintextCrc32C.GetValue() != sum(in.Plaintext).GetValue() ||
		in.AdditionalAuthenticatedDataCrc32C.GetValue() != sum(in.AdditionalAuthenticatedData).GetValue() {
		return nil, refuse(codes.InvalidArgument)
	}
	out, err := f.ring.Encrypt(in.Name, in.Plaintext, in.AdditionalAuthenticatedData)
	if err != nil {
		return nil, refusal(err)
	}
	check := sum(out)
	if f.corrupt.Load() {
		out[0] ^= 1
	}
	return &cloudkms.EncryptResponse{
		Name:                    in.Name + "/cryptoKeyVersions/1",
		Ciphertext:              out,
		CiphertextCrc32C:        check,
		VerifiedPlaintextCrc32C: true,
		VerifiedAdditionalAuthenticatedDataCrc32C: true,
		ProtectionLevel: cloudkms.ProtectionLevel_SOFTWARE,
	}, nil
}

func (f *fake) Decrypt(ctx context.Context, in *cloudkms.DecryptRequest) (*cloudkms.DecryptResponse, error) {
	if f.Fault() == kmstest.Empty {
		return &cloudkms.DecryptResponse{}, nil
	}
	if err := f.enter(ctx, in.Name, "decrypt"); err != nil {
		return nil, err
	}
	if in.CiphertextCrc32C.GetValue() != sum(in.Ciphertext).GetValue() ||
		in.AdditionalAuthenticatedDataCrc32C.GetValue() != sum(in.AdditionalAuthenticatedData).GetValue() {
		return nil, refuse(codes.InvalidArgument)
	}
	out, err := f.ring.Decrypt(in.Name, in.Ciphertext, in.AdditionalAuthenticatedData)
	if err != nil {
		return nil, refusal(err)
	}
	check := sum(out)
	if f.corrupt.Load() {
		out[0] ^= 1
	}
	return &cloudkms.DecryptResponse{Plaintext: out, PlaintextCrc32C: check, UsedPrimary: true}, nil
}
