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

// Options are what [New] need not be told. Nil is the same as Options{}.
type Options struct {
	// Client has credentials, an endpoint other than Google's own and whatever
	// else Google's clients are told. By default credentials are those that the
	// environment provides (Application Default Credentials). A logger is not used:
	// it would be given data keys.
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

// New returns the KEK that wraps the keys of each purpose with the crypto key
// that keys names. It looks for credentials, for which Google's library may ask
// the metadata server of the machine, and asks Cloud KMS nothing. Close the KEK
// after the vault.
//
// Keys that [kms.Check] refuses are [vault.ErrInvalid], and so are credentials
// that can't be found or read, whose error is not repeated; a ctx that is done is
// [vault.ErrUnavailable].
func New(ctx context.Context, keys kms.Keys, opts *Options) (*KEK, error) {
	if err := kms.Check(keys, kms.GCP); err != nil {
		return nil, fmt.Errorf("gcpkms: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gcpkms: %w: %w", vault.ErrUnavailable, err)
	}
	all := []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithConnectParams(connect)),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(alive)),
		option.WithGRPCDialOption(grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))),
	}
	if opts != nil {
		all = append(all, opts.Client...)
	}
	// Google's clients log messages, which have data keys in the clear, to any
	// logger that takes debug records, and to standard error if an environment
	// variable (GOOGLE_SDK_GO_LOGGING_LEVEL) says so. The last option decides.
	all = append(all, option.WithLogger(slog.New(slog.DiscardHandler)))
	// What of a context credentials keep, to be refreshed with, is not documented.
	client, err := tinkgcpkms.NewClient(context.WithoutCancel(ctx), scheme, tinkgcpkms.WithGoogleAPIClientOptions(all...))
	if err != nil {
		return nil, fmt.Errorf("gcpkms: no credentials, or options that contradict: %w", vault.ErrInvalid)
	}
	return &KEK{keys, client}, nil
}

// maxAnswer is far more than Cloud KMS has to say of one key. Google's clients would
// take two gigabytes.
const maxAnswer = 1 << 20

var (
	// By default gRPC waits for up to two minutes between attempts to connect, and
	// fails every call meanwhile: a service that is back would look down.
	connect = grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
		MinConnectTimeout: 10 * time.Second,
	}
	// A connection that died without a word would otherwise be used for a quarter
	// of an hour. An answer takes milliseconds, so a live one sees no pings.
	alive = keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}
)

// For returns the AEAD of the key of p, without asking Cloud KMS. A purpose
// without a key is [vault.ErrNoKeys], the zero Purpose [vault.ErrInvalid].
//
// What the AEAD returns of a refusal is [vault.ErrNoKeys], and everything else
// [vault.ErrUnavailable]; see the package documentation.
func (k *KEK) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if k == nil || k.client == nil {
		return nil, fmt.Errorf("gcpkms: zero KEK: %w", vault.ErrInvalid)
	}
	key, err := k.keys.Key(p)
	if err != nil {
		return nil, fmt.Errorf("gcpkms: %w", err)
	}
	aead, err := k.client.GetAEAD(key.String())
	if err != nil {
		return nil, fmt.Errorf("gcpkms: no client for the key of %s: %w", p, vault.ErrInvalid)
	}
	client, ok := aead.(remote.Client)
	if !ok {
		return nil, fmt.Errorf("gcpkms: client takes no context: %w", vault.ErrInvalid)
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
