package hcvault

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// Options are the optional settings of [New]. Nil is the same as Options{}.
type Options struct {
	// Client has the address, TLS settings, namespace, token and timeout. By
	// default New makes it from the environment, as the commands vault and bao do:
	// VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT, VAULT_NAMESPACE and the rest.
	//
	// The owner of the client logs in and renews the token. Token and namespace are
	// read for each request. The client's retries, redirects, request callbacks and
	// MFA credentials are not used.
	Client *api.Client
}

// A KEK is a [vault.KEK] whose keys are in the transit engine of HashiCorp Vault
// or OpenBao. It may be used by many goroutines at once. Make one with [New]; the
// zero KEK is [vault.ErrInvalid].
type KEK struct {
	keys   kms.Keys
	client *api.Client
}

var _ vault.KEK = (*KEK)(nil)

// New returns the KEK that wraps the keys of each purpose with the transit key in
// keys. It makes no request. It takes a context because the other key services do.
//
// Keys that [kms.Check] refuses are [vault.ErrInvalid]. So are keys on another host
// than the client's, and an environment that makes no client; its error is not
// repeated. For keys on several servers make a KEK for each, and join them with
// [vault.KEKs].
func New(_ context.Context, keys kms.Keys, opts *Options) (*KEK, error) {
	if err := kms.Check(keys, kms.HCVault); err != nil {
		return nil, fmt.Errorf("hcvault: %w", remote.WithoutPrefix(err))
	}
	k := &KEK{keys: keys}
	if opts != nil {
		k.client = opts.Client
	}
	if k.client == nil {
		var err error
		if k.client, err = api.NewClient(nil); err != nil {
			return nil, fmt.Errorf("hcvault: no client can be made from the environment: %w", vault.ErrInvalid)
		}
	}
	for p := range known(keys).All() {
		if _, err := k.key(p); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// known returns the purposes of a list of URIs and, for a template, any purpose. New
// checks their keys.
func known(keys kms.Keys) purpose.Set {
	uris, ok := keys.(kms.URIs)
	if !ok {
		return purpose.NewSet(purpose.MustParse("security"))
	}
	all := make([]purpose.Purpose, 0, len(uris))
	for p := range uris {
		all = append(all, p)
	}
	return purpose.NewSet(all...)
}

// For returns the AEAD of the key of p, a [vault.ContextAEAD], without a request. A
// purpose without a key is [vault.ErrNoKeys]. The zero Purpose, and a key on another
// host than the client's, are [vault.ErrInvalid]. See the package documentation for
// the errors of the AEAD.
func (k *KEK) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	if k == nil || k.keys == nil {
		return nil, fmt.Errorf("zero hcvault.KEK: %w", vault.ErrInvalid)
	}
	key, err := k.key(p)
	if err != nil {
		return nil, err
	}
	return &remote.AEAD{Purpose: p, Key: key, Client: transit{k.client, key}, Explain: explain}, nil
}

// key returns the key of p if the client is for the key's host. A client for another
// host is an error of its own: the other server would only say that there is no key.
func (k *KEK) key(p purpose.Purpose) (kms.Key, error) {
	key, err := k.keys.Key(p)
	if err != nil {
		return kms.Key{}, fmt.Errorf("hcvault: %w", err)
	}
	if !reaches(k.client.Address(), key.Location()) {
		return kms.Key{}, fmt.Errorf("hcvault: KEK of %s at %s: the client is set to another host: %w", p, key, vault.ErrInvalid)
	}
	return key, nil
}

// reaches reports whether an address is the address of a URI's host.
func reaches(address, host string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Host == host || u.Host+port == host || u.Host == host+port
}

// String returns "hcvault.KEK".
func (k *KEK) String() string { return "hcvault.KEK" }

// Format implements [fmt.Formatter]: every verb prints "hcvault.KEK", and no
// token.
func (k *KEK) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
