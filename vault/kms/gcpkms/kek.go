package gcpkms

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	tinkgcpkms "github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// Options are the optional settings of [New]. Nil is the same as Options{}.
type Options struct {
	// Client has options of Google's clients, such as credentials or an endpoint
	// other than Google's own. By default the environment provides credentials
	// (Application Default Credentials). A logger is not used, because clients log
	// data keys.
	Client []option.ClientOption
}

// A KEK is a [vault.KEK] whose keys are in Google Cloud KMS. It may be used by
// many goroutines at once. Make one with [New]; the zero KEK is
// [vault.ErrInvalid].
type KEK struct {
	keys   kms.Keys
	client *tinkgcpkms.Client
}

var _ vault.KEK = (*KEK)(nil)

const scheme = "gcp-kms://"

// New returns the KEK that wraps the keys of each purpose with the crypto key in
// keys. It looks for credentials, and Google's library may ask the metadata server of
// the machine for them. It does not call Cloud KMS. Close the KEK after the vault.
//
// Keys that [kms.Check] refuses are [vault.ErrInvalid]. So are credentials that can't
// be found or read; their error is not repeated. A ctx that is done is
// [vault.ErrUnavailable].
func New(ctx context.Context, keys kms.Keys, opts *Options) (*KEK, error) {
	if err := kms.Check(keys, kms.GCP); err != nil {
		return nil, fmt.Errorf("gcpkms: %w", remote.WithoutPrefix(err))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gcpkms: %w: %w", err, vault.ErrUnavailable)
	}
	all := []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithConnectParams(connect)),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(alive)),
		option.WithGRPCDialOption(grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))),
	}
	if opts != nil {
		all = append(all, opts.Client...)
	}
	// Google's clients log messages, with data keys in the clear, to any logger that
	// accepts debug records, and to standard error if an environment variable
	// (GOOGLE_SDK_GO_LOGGING_LEVEL) says so. The last option counts.
	all = append(all, option.WithLogger(slog.New(slog.DiscardHandler)))
	// Credentials may keep the context to refresh tokens with it. Whether they do is
	// not documented.
	client, err := tinkgcpkms.NewClient(context.WithoutCancel(ctx), scheme, tinkgcpkms.WithGoogleAPIClientOptions(all...))
	if err != nil {
		return nil, fmt.Errorf("gcpkms: no credentials, or options that contradict: %w", vault.ErrInvalid)
	}
	return &KEK{keys, client}, nil
}

// maxAnswer is far more than the longest answer of Cloud KMS for one key. Google's
// clients would read two gigabytes.
const maxAnswer = 1 << 20

var (
	// By default gRPC waits for up to two minutes between attempts to connect, and
	// fails every call until then, also when the service works again.
	connect = grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
		MinConnectTimeout: 10 * time.Second,
	}
	// Without pings, calls would use a dead connection for a quarter of an hour. An
	// answer takes milliseconds, so there are no pings on a live connection.
	alive = keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}
)

// For returns the AEAD of the key of p, a [vault.ContextAEAD], without a call of
// Cloud KMS. A purpose without a key is [vault.ErrNoKeys], the zero Purpose
// [vault.ErrInvalid]. See the package documentation for the errors of the AEAD.
func (k *KEK) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if k == nil || k.client == nil {
		return nil, fmt.Errorf("zero gcpkms.KEK: %w", vault.ErrInvalid)
	}
	key, err := k.keys.Key(p)
	if err != nil {
		return nil, remote.WithoutPrefix(err)
	}
	aead, err := k.client.GetAEAD(key.String())
	if err != nil {
		return nil, fmt.Errorf("no client for the key of %s: %w", p, vault.ErrInvalid)
	}
	client, ok := aead.(remote.Client)
	if !ok {
		return nil, fmt.Errorf("client for the key of %s accepts no context: %w", p, vault.ErrInvalid)
	}
	return &remote.AEAD{Purpose: p, Key: key, Client: client, Explain: explain}, nil
}

// Close ends the connections. Calls under way and later ones are
// [vault.ErrUnavailable]. It always returns nil, and may be called again.
func (k *KEK) Close() error {
	if k != nil && k.client != nil {
		k.client.Close() // an error says that it was closed before
	}
	return nil
}

// String returns "gcpkms.KEK".
func (k *KEK) String() string { return "gcpkms.KEK" }

// Format implements [fmt.Formatter]: every verb prints "gcpkms.KEK", and no
// credentials.
func (k *KEK) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
