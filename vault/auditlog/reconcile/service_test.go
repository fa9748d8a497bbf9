package reconcile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/kms"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
	both     = purpose.NewSet(security, ads)
)

const (
	transitKeys = kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}")
	awsKeys     = kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
	awsKey      = "arn:aws:kms:eu-central-1:111122223333:key/0d990263-018e-4e65-a703-eff731de951"
)

// A record is a request as a key service logs it.
type record struct {
	at        time.Time
	action    string // "decrypt" or "encrypt"
	purpose   purpose.Purpose
	principal string
	context   string
	failed    bool
	id        string
}

// A service is a key service that keeps a log.
type service struct {
	aead vault.AEAD
	skew time.Duration // of its clock

	mu      sync.Mutex
	records []record
}

func newService(t *testing.T) *service { return &service{aead: vaulttest.NewAEAD(t)} }

// as is the key service for one principal, with grants for some purposes.
type as struct {
	*service
	principal string
	granted   purpose.Set
}

func (a as) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) { return grant{a, p}, nil }

type grant struct {
	as
	purpose purpose.Purpose
}

func (g grant) log(action string, aad []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records = append(g.records, record{
		at: time.Now().Add(g.skew), action: action, purpose: g.purpose, principal: g.principal, context: hex.EncodeToString(aad),
		failed: err != nil, id: fmt.Sprintf("00000000-0000-4000-8000-%012x", len(g.records)),
	})
}

func (g grant) Encrypt(plaintext, aad []byte) ([]byte, error) {
	out, err := g.aead.Encrypt(plaintext, aad)
	g.log("encrypt", aad, err)
	return out, err
}

func (g grant) Decrypt(ciphertext, aad []byte) (out []byte, err error) {
	err = vault.ErrAccessDenied
	if g.granted.Contains(g.purpose) {
		out, err = g.aead.Decrypt(ciphertext, aad)
	}
	g.log("decrypt", aad, err)
	return out, err
}

func (g grant) KeyName() string { return "key-of-" + g.purpose.String() }

// hcvault writes the records as an audit device of HashiCorp Vault does.
func hcvault(records []record) string {
	var b strings.Builder
	for _, r := range records {
		for _, kind := range []string{"request", "response"} {
			line := map[string]any{
				"time": r.at.UTC().Format(time.RFC3339Nano), "type": kind,
				"auth": map[string]any{
					"accessor": "hmac-sha256:9d1", "client_token": "hmac-sha256:7f2", "display_name": r.principal,
					"policies": []string{"default", r.principal}, "token_type": "service",
				},
				"request": map[string]any{
					"id": r.id, "operation": "update", "mount_type": "transit", "namespace": map[string]any{"id": "root"},
					"path": "transit/" + r.action + "/onlyfor-" + r.purpose.String(), "remote_address": "192.0.2.7", "remote_port": 40312,
					"data": map[string]any{"associated_data": "hmac-sha256:51b", "ciphertext": "hmac-sha256:a31"},
				},
			}
			if kind == "response" {
				line["response"] = map[string]any{"mount_type": "transit", "data": map[string]any{"plaintext": "hmac-sha256:33c"}}
				if r.failed {
					line["error"] = "1 error occurred:\n\t* permission denied\n\n"
				}
			}
			text, err := json.Marshal(line)
			if err != nil {
				panic(err)
			}
			b.Write(append(text, '\n'))
		}
	}
	return b.String()
}

// trailRecord returns a record as CloudTrail has it.
func trailRecord(r record) map[string]any {
	line := map[string]any{
		"eventVersion": "1.11", "eventTime": r.at.UTC().Format(time.RFC3339), "eventSource": "kms.amazonaws.com",
		"eventName": strings.ToUpper(r.action[:1]) + r.action[1:], "awsRegion": "eu-central-1", "sourceIPAddress": "192.0.2.7",
		"userIdentity": map[string]any{
			"type": "AssumedRole", "principalId": "AROAEXAMPLE:i-1", "arn": "arn:aws:sts::111122223333:assumed-role/" + r.principal + "/i-1", "accountId": "111122223333",
		},
		"requestParameters": map[string]any{
			"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": "arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-" + r.purpose.String(),
			"encryptionContext": map[string]any{"associatedData": r.context},
		},
		"responseElements": nil, "requestID": "r" + r.id, "eventID": r.id, "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true,
		"resources": []any{map[string]any{"accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": awsKey + fmt.Sprint(len(r.purpose.String()))}},
	}
	if r.failed {
		line["errorCode"], line["errorMessage"] = "InvalidCiphertextException", "x"
	}
	return line
}

// cloudtrail writes the records as CloudTrail delivers them: some to a file, compressed.
func cloudtrail(t *testing.T, records []record) fstest.MapFS {
	files := fstest.MapFS{"AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/x.json.gz": {Data: []byte("no records")}}
	for n := 0; len(records) > 0; n++ {
		part := records[:1]
		for len(part) < len(records) && records[len(part)].at.Sub(part[0].at) < 5*time.Minute {
			part = records[:len(part)+1]
		}
		records = records[len(part):]
		all := []any{map[string]any{
			"eventTime": part[0].at.UTC().Format(time.RFC3339), "eventID": fmt.Sprint("s3-", n), "eventSource": "s3.amazonaws.com", "eventName": "PutObject",
			"requestParameters": nil, "userIdentity": map[string]any{"type": "AWSAccount"},
		}}
		for i := range part { // in no order
			all = append(all, trailRecord(part[len(part)-1-i]))
		}
		text, err := json.Marshal(map[string]any{"Records": all})
		require.NoError(t, err)
		at := part[len(part)-1].at.Add(5 * time.Minute).UTC()
		name := fmt.Sprintf("AWSLogs/111122223333/CloudTrail/eu-central-1/%s/111122223333_CloudTrail_eu-central-1_%s_%04d.json.gz",
			at.Format("2006/01/02"), at.Format("20060102T1504Z"), n)
		files[name] = &fstest.MapFile{Data: compressed(t, text)}
	}
	return files
}

func compressed(t *testing.T, text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// A process is a process with an audit log of its own.
type process struct {
	dir      string
	signer   note.Signer
	verifier note.Verifier
	log      *auditlog.Log
}

func newProcess(t *testing.T, name string) *process {
	skey, vkey, err := note.GenerateKey(rand.Reader, "example.com/audit/"+name)
	require.NoError(t, err)
	p := &process{dir: filepath.Join(t.TempDir(), name)}
	p.signer, err = note.NewSigner(skey)
	require.NoError(t, err)
	p.verifier, err = note.NewVerifier(vkey)
	require.NoError(t, err)
	p.log, err = auditlog.Open(t.Context(), p.dir, p.signer, nil)
	require.NoError(t, err)
	t.Cleanup(func() { p.log.Close() })
	return p
}

func (p *process) vault(t *testing.T, store vault.Store, kek vault.KEK) *vault.Admin {
	opts := &vault.Options{DestroyAfter: 1}
	if p != nil {
		opts.Audit = p.log
	}
	v, err := vault.OpenAdmin(t.Context(), store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

func logs(all ...*process) (logs []reconcile.Log) {
	for _, p := range all {
		logs = append(logs, reconcile.Log{Name: filepath.Base(p.dir), FS: os.DirFS(p.dir), Verifier: p.verifier})
	}
	return logs
}

func kinds(r *reconcile.Report) (kinds []reconcile.FindingKind) {
	for _, f := range r.Findings {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// failing is a reader that fails after some text.
type failing struct{ io.Reader }

var errDisk = errors.New("input/output error")

func (f failing) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

func marshal(t *testing.T, v any) []byte {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}
