package awskms_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/awskms"
	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

const (
	region  = "eu-central-1"
	account = "111122223333"
	place   = "arn:aws:kms:" + region + ":" + account
)

// The keys of the fake, two by alias and one by id, so that both ways in which
// a policy can name a key are enforced.
var keys = kms.URIs{
	kmstest.Security:    "aws-kms://" + place + ":alias/onlyfor-security",
	kmstest.Advertising: "aws-kms://" + place + ":alias/onlyfor-advertising",
	kmstest.Billing:     "aws-kms://" + place + ":key/0b111111-0000-4000-8000-000000000000",
}

// A fake speaks the protocol of AWS KMS, JSON 1.1: it checks signatures, enforces
// IAM policies and encrypts with the encryption context bound.
type fake struct {
	*kmstest.Server
	ring kmstest.Keyring

	mu       sync.Mutex
	policies map[string]policy // by role, which is also the access key id
	contexts []map[string]string
}

type policy struct {
	Version   string
	Statement []struct {
		Effect    string
		Action    []string
		Resource  string
		Condition map[string]map[string]string
	}
}

func start(t testing.TB) kmstest.Service {
	f := &fake{}
	f.Server = kmstest.NewServer(t, "application/x-amz-json-1.1", http.HandlerFunc(f.serve))
	for _, uri := range keys {
		f.ring.Make(strings.TrimPrefix(uri, "aws-kms://"))
	}
	return kmstest.Service(service{f})
}

// service is what the cases see of a fake.
type service struct{ *fake }

func (s service) Server() *kmstest.Server   { return s.fake.Server }
func (s service) Keyring() *kmstest.Keyring { return &s.ring }
func (service) Keys() kms.Keys              { return keys }
func (service) Elsewhere() kms.Keys {
	return kms.Template("aws-kms://arn:aws:kms:eu-west-1:" + account + ":alias/onlyfor-{purpose}")
}

// Grant takes the policies as they are written, and attaches them.
func (f *fake) Grant(t testing.TB, roles ...kms.Role) {
	policies := map[string]policy{}
	for _, r := range roles {
		text, err := kms.AWSPolicy(keys, r)
		require.NoError(t, err)
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var p policy
		require.NoError(t, d.Decode(&p))
		require.Equal(t, "2012-10-17", p.Version)
		policies[r.Name] = p
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policies = policies
}

func secretOf(role string) string { return "secret-" + kmstest.Leak + "-" + role }

func (f *fake) config(t testing.TB, role string) aws.Config {
	client := f.Client() // trusts the server's certificate
	transport := client.Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	secret := secretOf(role)
	if role == kmstest.Unknown {
		secret = "a guess"
	}
	return aws.Config{
		Region:       "us-east-1", // wrong on purpose: the key's is what counts
		BaseEndpoint: aws.String(f.URL),
		HTTPClient:   &http.Client{Transport: transport},
		Credentials:  credentials.NewStaticCredentialsProvider(role, secret, ""),
	}
}

func (f *fake) KEK(t testing.TB, role string, keys kms.Keys) vault.KEK {
	config := f.config(t, role)
	kek, err := awskms.New(t.Context(), keys, &awskms.Options{Config: &config})
	require.NoError(t, err)
	return kek
}

type request struct {
	KeyId               string
	Plaintext           []byte
	CiphertextBlob      []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	refuse := func(code string) {
		// Services quote who asked, and proxies in between what was asked.
		answer(http.StatusBadRequest, map[string]string{"__type": code, "message": kmstest.Leak + "\n" + r.Header.Get("Authorization")})
	}
	switch f.Fault() {
	case kmstest.Throttle:
		refuse("ThrottlingException")
		return
	case kmstest.Internal:
		answer(http.StatusInternalServerError, map[string]string{"__type": "KMSInternalException", "message": kmstest.Leak})
		return
	case kmstest.Empty:
		answer(http.StatusOK, struct{}{})
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left
	}
	role, code := authenticate(r, body)
	if code != "" {
		refuse(code)
		return
	}
	var in request
	action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || json.Unmarshal(body, &in) != nil {
		refuse("SerializationException")
		return
	}
	f.mu.Lock()
	f.contexts = append(f.contexts, in.EncryptionContext)
	f.mu.Unlock()
	name := in.KeyId
	arn := name
	if _, alias, ok := strings.Cut(name, ":alias/"); ok {
		arn = place + ":key/" + hex.EncodeToString([]byte(alias))
	}
	if !f.allows(role, "kms:"+action, name, arn, in.EncryptionContext) {
		refuse("AccessDeniedException")
		return
	}
	aad, err := json.Marshal(in.EncryptionContext) // sorted by key
	if err != nil {
		refuse("SerializationException")
		return
	}
	var out []byte
	field := "CiphertextBlob"
	if action == "Encrypt" {
		out, err = f.ring.Encrypt(name, in.Plaintext, aad)
	} else {
		field = "Plaintext"
		out, err = f.ring.Decrypt(name, in.CiphertextBlob, aad)
	}
	switch {
	case errors.Is(err, kmstest.ErrNoKey):
		refuse("NotFoundException")
	case errors.Is(err, kmstest.ErrDisabled):
		refuse("DisabledException")
	case err != nil:
		refuse("InvalidCiphertextException")
	default:
		answer(http.StatusOK, map[string]any{field: out, "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
	}
}

// allows evaluates the policies of a role as IAM does: a statement has to name
// the action, the key by its ARN, and everything in its conditions.
func (f *fake) allows(role, action, name, arn string, context map[string]string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.policies[role].Statement {
		prefix, wild := strings.CutSuffix(s.Resource, "*")
		if s.Effect != "Allow" || !slices.Contains(s.Action, action) || s.Resource != arn && !(wild && strings.HasPrefix(arn, prefix)) {
			continue
		}
		met := len(s.Condition) > 0
		for operator, conditions := range s.Condition {
			for key, want := range conditions {
				switch {
				case operator == "StringEquals" && key == "kms:RequestAlias":
					_, alias, ok := strings.Cut(name, ":alias/")
					met = met && ok && "alias/"+alias == want
				case operator == "StringLike" && strings.HasPrefix(key, "kms:EncryptionContext:"):
					got, ok := context[strings.TrimPrefix(key, "kms:EncryptionContext:")]
					begins, wild := strings.CutSuffix(want, "*")
					met = met && ok && wild && strings.HasPrefix(got, begins)
				default:
					met = false
				}
			}
		}
		if met {
			return true
		}
	}
	return false
}

// authenticate returns the access key id of a request, which is a role, once its
// signature (Signature Version 4) is found right for this region.
func authenticate(r *http.Request, body []byte) (role, code string) {
	authorization := r.Header.Get("Authorization")
	credential := between(authorization, "Credential=", ",")
	part := strings.Split(credential, "/")
	if len(part) != 5 {
		return "", "MissingAuthenticationToken"
	}
	if part[2] != region || part[3] != "kms" {
		return "", "InvalidSignatureException"
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", "IncompleteSignature"
	}
	again, err := http.NewRequest(r.Method, "https://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return "", "IncompleteSignature"
	}
	for _, name := range strings.Split(between(authorization, "SignedHeaders=", ","), ";") {
		if v := r.Header.Values(name); len(v) > 0 && name != "x-amz-date" {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	sum := sha256.Sum256(body)
	who := aws.Credentials{AccessKeyID: part[0], SecretAccessKey: secretOf(part[0])}
	if err := v4.NewSigner().SignHTTP(r.Context(), who, again, hex.EncodeToString(sum[:]), "kms", region, at); err != nil {
		return "", "IncompleteSignature"
	}
	if again.Header.Get("Authorization") != authorization {
		return "", "UnrecognizedClientException"
	}
	return part[0], ""
}

func between(s, after, before string) string {
	_, s, _ = strings.Cut(s, after)
	s, _, _ = strings.Cut(s, before)
	return s
}
