package kms_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	awsKeys = kms.URIs{
		security:    awsKey,
		advertising: "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-advertising",
		billing:     "aws-kms://arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
	}
	gcpKeys = kms.Template("gcp-kms://projects/example.com:onlyfor/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")
	hcKeys  = kms.Template("hcvault://vault.example.com:8200/team/transit/keys/onlyfor-{purpose}")

	// A company's roles: each service its purposes, and one job that rotates.
	roles = []kms.Role{
		{Name: "security-service", Opens: purpose.NewSet(security, billing), Member: "serviceAccount:security@example.iam.gserviceaccount.com"},
		{Name: "ad-service", Opens: purpose.NewSet(advertising), Member: "serviceAccount:example.svc.id.goog[ads/ad-service]"},
		{Name: "billing-service", Opens: purpose.NewSet(security, billing), Manages: purpose.NewSet(billing), Member: "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s"},
		{Name: "key-rotation", Manages: purpose.NewSet(security, advertising, billing), Member: "group:key-rotation@example.com"},
	}
)

func TestPoliciesAreAsWritten(t *testing.T) {
	files := map[string]string{}
	for _, r := range roles {
		text, err := kms.AWSPolicy(awsKeys, r)
		require.NoError(t, err)
		require.True(t, json.Valid([]byte(text)))
		files["aws-"+r.Name+".json"] = text
		text, err = kms.HCVaultPolicy(hcKeys, r)
		require.NoError(t, err)
		files["hcvault-"+r.Name+".hcl"] = text
	}
	text, err := kms.GCPCommands(gcpKeys, roles...)
	require.NoError(t, err)
	files["gcp.sh"] = text
	for _, p := range []purpose.Purpose{security, advertising, billing} {
		text, err := kms.GCPPolicy(gcpKeys, p, roles...)
		require.NoError(t, err)
		require.True(t, json.Valid([]byte(text)))
		files["gcp-"+p.String()+".json"] = text
	}
	for name, text := range files {
		path := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), text, name)
	}
	golden, err := os.ReadDir("testdata")
	require.NoError(t, err)
	n := 0
	for _, f := range golden {
		if !f.IsDir() {
			n++
		}
	}
	require.Len(t, files, n, "a golden file of no policy")
}

// The context that policies require is the one that a vault sends, whatever it
// does with keys.
func TestPoliciesRequireWhatTheVaultBinds(t *testing.T) {
	text, err := kms.AWSPolicy(awsKeys, roles[3])
	require.NoError(t, err)

	rec := &recorder{}
	ctx := t.Context()
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(rec), nil)
	require.NoError(t, err)
	defer v.Close()
	for _, p := range []purpose.Purpose{security, advertising, billing} {
		rec.bound = map[string]bool{}
		require.NoError(t, v.Generate(ctx, p))
		_, err = v.Scope(ctx, p)
		require.NoError(t, err)
		require.NoError(t, v.Rotate(ctx, p, vault.RoleSeal))
		require.NoError(t, v.Rotate(ctx, p, vault.RoleIndex))
		_, err = v.Keys(ctx, p)
		require.NoError(t, err)
		_, err = v.Erase(ctx, "user-1", p)
		require.NoError(t, err)
		require.NoError(t, v.Rewrap(ctx, vault.SharedKEK(rec), p))
		require.Len(t, rec.bound, 1)
		for aad := range rec.bound {
			begin := hex.EncodeToString([]byte(aad[:strings.LastIndexByte(aad, ' ')+1]))
			require.Equal(t, 1, strings.Count(text, `"kms:EncryptionContext:associatedData": "`+begin+`*"`))
		}
	}
}

// A recorder is an AEAD that keeps everything in memory, and notes with which
// associated data it succeeded.
type recorder struct {
	mu    sync.Mutex
	kept  []string // plaintexts with their associated data, by number
	bound map[string]bool
}

func (r *recorder) Encrypt(plaintext, aad []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound[string(aad)] = true
	r.kept = append(r.kept, string(aad)+"\x00"+string(plaintext))
	return fmt.Appendf(nil, "%d", len(r.kept)-1), nil
}

func (r *recorder) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var i int
	if _, err := fmt.Sscan(string(ciphertext), &i); err != nil || i < 0 || i >= len(r.kept) {
		return nil, vault.ErrNoKeys
	}
	bound, plaintext, _ := strings.Cut(r.kept[i], "\x00")
	if bound != string(aad) {
		return nil, vault.ErrNoKeys
	}
	r.bound[string(aad)] = true
	return []byte(plaintext), nil
}

func TestPoliciesRefuse(t *testing.T) {
	good := roles[1]
	with := func(change func(*kms.Role)) kms.Role {
		r := good
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		role kms.Role
		gcp  bool // refused by the functions of Google Cloud alone
	}{
		"no name":              {with(func(r *kms.Role) { r.Name = "" }), false},
		"newline in name":      {with(func(r *kms.Role) { r.Name = "ads\npath \"*\" {}" }), false},
		"capital in name":      {with(func(r *kms.Role) { r.Name = "Ads" }), false},
		"no purposes":          {with(func(r *kms.Role) { r.Opens = purpose.Set{} }), false},
		"no member":            {with(func(r *kms.Role) { r.Member = "" }), true},
		"everybody":            {with(func(r *kms.Role) { r.Member = "allUsers" }), true},
		"everybody with login": {with(func(r *kms.Role) { r.Member = "allAuthenticatedUsers" }), true},
		"a whole domain":       {with(func(r *kms.Role) { r.Member = "domain:example.com" }), true},
		"quote in member":      {with(func(r *kms.Role) { r.Member = "serviceAccount:a'; id '@example.com" }), true},
		"newline in member":    {with(func(r *kms.Role) { r.Member += "\n" }), true},
		"two members":          {with(func(r *kms.Role) { r.Member += ",allUsers" }), true},
		"deleted member":       {with(func(r *kms.Role) { r.Member = "deleted:" + roles[0].Member + "?uid=1" }), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, aws := kms.AWSPolicy(awsKeys, c.role)
			_, hcvault := kms.HCVaultPolicy(hcKeys, c.role)
			_, commands := kms.GCPCommands(gcpKeys, c.role)
			_, policy := kms.GCPPolicy(gcpKeys, advertising, c.role)
			for _, err := range []error{commands, policy} {
				require.ErrorIs(t, err, vault.ErrInvalid)
				require.NotContains(t, err.Error(), "\n")
			}
			for _, err := range []error{aws, hcvault} {
				if c.gcp {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, vault.ErrInvalid)
				}
			}
		})
	}
}

func TestPoliciesRefuseKeys(t *testing.T) {
	for name, c := range map[string]struct {
		keys kms.Keys
		want error
	}{
		"nil":              {nil, vault.ErrInvalid},
		"of no service":    {kms.Template("file:///keys/{purpose}"), vault.ErrInvalid},
		"without the role": {kms.URIs{security: awsKey}, vault.ErrNoKeys},
		"shared":           {kms.URIs{security: awsKey, advertising: awsKey}, vault.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kms.AWSPolicy(c.keys, roles[1])
			require.ErrorIs(t, err, c.want)
		})
	}
	t.Run("of another service", func(t *testing.T) {
		for _, keys := range []kms.Keys{awsKeys, gcpKeys, hcKeys} {
			for _, call := range []func() error{
				func() error { _, err := kms.AWSPolicy(keys, roles[1]); return err },
				func() error { _, err := kms.HCVaultPolicy(keys, roles[1]); return err },
				func() error { _, err := kms.GCPCommands(keys, roles[1]); return err },
			} {
				if err := call(); err != nil {
					require.ErrorIs(t, err, vault.ErrInvalid)
				}
			}
		}
		_, err := kms.AWSPolicy(hcKeys, roles[1])
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = kms.GCPPolicy(awsKeys, advertising, roles[1])
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = kms.HCVaultPolicy(gcpKeys, roles[1])
		require.ErrorIs(t, err, vault.ErrInvalid)
	})
	t.Run("on two Vault servers", func(t *testing.T) {
		_, err := kms.HCVaultPolicy(kms.URIs{
			security:    "hcvault://one.example.com/transit/keys/k",
			advertising: "hcvault://two.example.com/transit/keys/k",
		}, kms.Role{Name: "both", Opens: purpose.NewSet(security, advertising)})
		require.ErrorIs(t, err, vault.ErrInvalid)
	})
	t.Run("two roles of one name", func(t *testing.T) {
		_, err := kms.GCPCommands(gcpKeys, roles[1], roles[1])
		require.ErrorIs(t, err, vault.ErrInvalid)
	})
	t.Run("more than one IAM policy takes", func(t *testing.T) {
		all := func(n int) purpose.Set {
			var purposes []purpose.Purpose
			for i := range n {
				purposes = append(purposes, purpose.MustParse(fmt.Sprintf("purpose-%02d", i)))
			}
			return purpose.NewSet(purposes...)
		}
		keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
		_, err := kms.AWSPolicy(keys, kms.Role{Name: "all", Manages: all(16)})
		require.NoError(t, err)
		_, err = kms.AWSPolicy(keys, kms.Role{Name: "all", Manages: all(24)})
		require.ErrorIs(t, err, vault.ErrInvalid)
	})
}

// A policy names no key that is not the role's, under any service.
func TestPoliciesNameNoOtherPurpose(t *testing.T) {
	role := kms.Role{Name: "only", Opens: purpose.NewSet(advertising), Member: roles[1].Member}
	keys := map[kms.Service]kms.Keys{
		kms.AWS: kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}"),
		kms.GCP: gcpKeys, kms.HCVault: hcKeys,
	}
	aws, err := kms.AWSPolicy(keys[kms.AWS], role)
	require.NoError(t, err)
	gcp, err := kms.GCPCommands(keys[kms.GCP], role)
	require.NoError(t, err)
	hc, err := kms.HCVaultPolicy(keys[kms.HCVault], role)
	require.NoError(t, err)
	for _, text := range []string{aws, gcp, hc} {
		require.Contains(t, text, "advertising")
		for _, no := range []string{"security", "billing", "ncrypt\"", "Encrypter", "/encrypt/"} {
			require.NotContains(t, text, no)
		}
	}
	nobody, err := kms.GCPPolicy(gcpKeys, security, role)
	require.NoError(t, err)
	require.JSONEq(t, `{"version": 1, "bindings": []}`, nobody)
}
