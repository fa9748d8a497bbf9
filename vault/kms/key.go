package kms

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/onlyfor/onlyfor/vault"
)

// A Service is a kind of key service, named as the scheme of its URIs.
type Service string

// The key services.
const (
	AWS     Service = "aws-kms" // AWS KMS
	GCP     Service = "gcp-kms" // Google Cloud KMS
	HCVault Service = "hcvault" // transit engine of HashiCorp Vault or OpenBao
)

// A Key names one key of a key service. It is immutable and can be compared with
// ==. The zero Key names none.
type Key struct {
	service  Service
	location string
	name     string
}

// maxURI is more than any key service takes.
const maxURI = 1024

// ParseKey returns the key at a URI, which is one of
//
//	aws-kms://arn:<partition>:kms:<region>:<account>:key/<id>
//	aws-kms://arn:<partition>:kms:<region>:<account>:alias/<name>
//	gcp-kms://projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>
//	hcvault://<host>[:<port>]/<mount>/keys/<name>
//
// with names that the service itself allows, so that no name has a second meaning in
// a policy or in a path. Credentials, queries, aliases of AWS's own keys and single
// versions of keys are not allowed. Any other text is [vault.ErrInvalid]. The error
// does not repeat it: it may be a secret in a wrong place.
func ParseKey(uri string) (Key, error) {
	k, err := parseKey(uri)
	if err != nil {
		return Key{}, fmt.Errorf("kms: %w", err)
	}
	return k, nil
}

// The grammars. Each has a group for the location and a group for the name.
var grammars = []struct {
	service Service
	grammar func() *regexp.Regexp
}{
	{AWS, onUse(`\A` +
		`(?P<name>arn:aws(?:-[a-z]+){0,3}:kms:(?P<location>[a-z]{2,8}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:` +
		`(?:key/(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|alias/[a-zA-Z0-9/_-]{1,250}))\z`)},
	{GCP, onUse(`\A` +
		`(?P<name>projects/(?:(?:[a-z0-9][a-z0-9.-]{0,62}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{1,20})` +
		`/locations/(?P<location>[a-z][a-z0-9-]{1,31})` +
		`/keyRings/[a-zA-Z0-9_-]{1,63}/cryptoKeys/[a-zA-Z0-9_-]{1,63})\z`)},
	{HCVault, onUse(`\A` +
		`(?P<location>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?)/` +
		`(?P<name>(?:[a-zA-Z0-9_][a-zA-Z0-9_.-]*/)+keys/[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9_])?)\z`)},
}

// onUse returns a function that compiles an expression once. Every program that imports a
// client of a key service would spend milliseconds of its start on these.
func onUse(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

func parseKey(uri string) (Key, error) {
	if len(uri) > maxURI {
		return Key{}, fmt.Errorf("URI too long: %w", vault.ErrInvalid)
	}
	scheme, rest, _ := strings.Cut(uri, "://")
	for _, g := range grammars {
		if scheme != string(g.service) {
			continue
		}
		grammar := g.grammar()
		m := grammar.FindStringSubmatch(rest)
		if m == nil || strings.Contains(rest, ":alias/aws/") {
			return Key{}, fmt.Errorf("malformed URI of %s: %w", g.service, vault.ErrInvalid)
		}
		return Key{g.service, m[grammar.SubexpIndex("location")], m[grammar.SubexpIndex("name")]}, nil
	}
	return Key{}, fmt.Errorf("URI of no known key service: %w", vault.ErrInvalid)
}

// String returns the URI, "" for the zero Key. It is no secret.
func (k Key) String() string {
	switch k.service {
	case "":
		return ""
	case HCVault:
		return string(k.service) + "://" + k.location + "/" + k.name
	}
	return string(k.service) + "://" + k.name
}

// Service returns the key service that has the key.
func (k Key) Service() Service { return k.service }

// Location returns the place of the key: the region of AWS, the location of Google
// Cloud, or the host of a Vault, with its port if the URI has one.
func (k Key) Location() string { return k.location }

// Name returns the service's own name for the key: the ARN of AWS, the resource name
// of Google Cloud, the path of Vault ("transit/keys/security").
func (k Key) Name() string { return k.name }

func (k Key) of(s Service) error {
	if k.service != s {
		return fmt.Errorf("kms: a key of %s, not of %s: %w", k.service, s, vault.ErrInvalid)
	}
	return nil
}
