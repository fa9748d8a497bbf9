package awskms

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	tinkawskms "github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// Options are the optional settings of [New]. Nil is the same as Options{}.
type Options struct {
	// Config has credentials, retries, HTTP client and an endpoint other than
	// AWS's own. By default it is the result of [config.LoadDefaultConfig], from
	// environment, shared files, and the role of the pod, task or machine. The
	// region of the key is always used, and bodies are never logged.
	Config *aws.Config
}

// A KEK is a [vault.KEK] whose keys are in AWS KMS. It may be used by many
// goroutines at once. Make one with [New]; the zero KEK is [vault.ErrInvalid].
type KEK struct {
	keys   kms.Keys
	config aws.Config

	mu      sync.Mutex
	clients map[string]*awskms.Client // by region
}

var _ vault.KEK = (*KEK)(nil)

// New returns the KEK that wraps the keys of each purpose with the AWS key in keys.
// It reads the configuration within ctx, and does not call AWS.
//
// Keys that [kms.Check] refuses are [vault.ErrInvalid]. So is a configuration that
// can't be read; its error is not repeated.
func New(ctx context.Context, keys kms.Keys, opts *Options) (*KEK, error) {
	if err := kms.Check(keys, kms.AWS); err != nil {
		return nil, fmt.Errorf("awskms: %w", remote.WithoutPrefix(err))
	}
	k := &KEK{keys: keys, clients: make(map[string]*awskms.Client)}
	if opts != nil && opts.Config != nil {
		k.config = opts.Config.Copy()
	} else {
		loaded, err := config.LoadDefaultConfig(ctx, config.WithDefaultRegion(regionOf(keys)))
		if err != nil {
			return nil, fmt.Errorf("awskms: AWS configuration can't be read: %w", vault.ErrInvalid)
		}
		k.config = loaded
	}
	// The bodies of requests and answers have data keys in the clear.
	k.config.ClientLogMode &^= aws.LogRequestWithBody | aws.LogResponseWithBody
	return k, nil
}

// regionOf returns the region of one of the keys. Credentials come from there unless
// the configuration has another region.
func regionOf(keys kms.Keys) string {
	some := purpose.MustParse("security")
	if uris, ok := keys.(kms.URIs); ok {
		all := make([]purpose.Purpose, 0, len(uris))
		for p := range uris {
			all = append(all, p)
		}
		for p := range purpose.NewSet(all...).All() {
			some = p
			break
		}
	}
	key, err := keys.Key(some)
	if err != nil {
		return ""
	}
	return key.Location()
}

// For returns the AEAD of the key of p, a [vault.ContextAEAD], without a call of AWS.
// A purpose without a key is [vault.ErrNoKeys], the zero Purpose [vault.ErrInvalid].
// See the package documentation for the errors of the AEAD.
func (k *KEK) For(ctx context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if k == nil || k.keys == nil {
		return nil, fmt.Errorf("zero awskms.KEK: %w", vault.ErrInvalid)
	}
	key, err := k.keys.Key(p)
	if err != nil {
		return nil, remote.WithoutPrefix(err)
	}
	client, err := tinkawskms.NewAEADWithContext(ctx, key.Name(), tinkawskms.WithKMS(checked{k.client(key.Location()), key}))
	if err != nil {
		return nil, fmt.Errorf("no client for the key of %s: %w", p, vault.ErrInvalid)
	}
	return &remote.AEAD{Purpose: p, Key: key, Client: client, Explain: explain}, nil
}

// client returns the client of a region. There is one for each region, so that calls
// share its connections.
func (k *KEK) client(region string) *awskms.Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.clients[region]
	if c == nil {
		c = awskms.NewFromConfig(k.config, func(o *awskms.Options) {
			o.Region = region
			o.HTTPClient = bounded{o.HTTPClient}
		})
		k.clients[region] = c
	}
	return c
}

// maxAnswer is far more than the longest answer of AWS KMS for one key.
const maxAnswer = 1 << 20

// bounded cuts off answers that are longer than maxAnswer. The SDK would read them to
// their end.
type bounded struct{ awskms.HTTPClient }

func (b bounded) Do(r *http.Request) (*http.Response, error) {
	answer, err := b.HTTPClient.Do(r)
	if err != nil || answer == nil || answer.Body == nil {
		return answer, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

// String returns "awskms.KEK".
func (k *KEK) String() string { return "awskms.KEK" }

// Format implements [fmt.Formatter]: every verb prints "awskms.KEK", and no
// credentials.
func (k *KEK) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
