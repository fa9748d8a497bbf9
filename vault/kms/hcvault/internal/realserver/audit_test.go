package realserver_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	onlyfor "github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
)

// The file that a real server's audit device writes is compared with an audit log: every
// unwrap is in both, until a program without a log unwraps keys, and somebody exports one.
func TestReconcileWithARealAuditDevice(t *testing.T) {
	s := start(t)
	dir := t.TempDir()
	device := filepath.Join(dir, "vault-audit.log")
	require.NoError(t, s.root.Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": device}}))

	private, public, err := note.GenerateKey(rand.Reader, "example.com/audit/one")
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(t, err)
	log, err := auditlog.Open(t.Context(), filepath.Join(dir, "log"), signer, nil)
	require.NoError(t, err)
	defer log.Close()

	compare := func() *reconcile.Report {
		f, err := os.Open(device)
		require.NoError(t, err)
		defer f.Close()
		r, err := reconcile.Run(t.Context(), []reconcile.Log{{Name: "one", FS: os.DirFS(filepath.Join(dir, "log")), Verifier: verifier}},
			[]reconcile.Source{reconcile.HCVault("vault-audit.log", f)}, &reconcile.Options{Keys: s.keys(usual), Purposes: purpose.NewSet(security, advertising)})
		require.NoError(t, err)
		return r
	}
	store, ctx := onlyfor.Memory(), t.Context()
	open := func(token string, opts *onlyfor.Options) *onlyfor.Admin {
		kek, err := hcvault.New(ctx, s.keys(usual), &hcvault.Options{Client: s.client(t, token)})
		require.NoError(t, err)
		v, err := onlyfor.OpenAdmin(ctx, store, kek, opts)
		require.NoError(t, err)
		t.Cleanup(func() { v.Close() })
		return v
	}
	logged := &onlyfor.Options{Audit: log}
	manager := open(s.token(t, admin), logged)
	require.NoError(t, manager.Generate(ctx, security, advertising))
	_, err = open(s.token(t, secure), logged).Scope(ctx, security)
	require.NoError(t, err)
	require.NoError(t, open(s.token(t, ads), logged).CheckDenied(ctx, security))
	require.NoError(t, manager.Rotate(ctx, security, onlyfor.RoleSeal))

	r := compare()
	require.True(t, r.OK(), r)
	honest := *r.Purposes["security"]
	require.Equal(t, int64(4), honest.Seen, "generate, open, and two of the rotation")
	require.Equal(t, honest.Seen, honest.Logged)
	require.Positive(t, honest.Refused, "the proof of ads, and the self-tests")

	_, err = open(s.token(t, secure), nil).Scope(ctx, security)
	require.NoError(t, err)
	after := compare().Purposes["security"]
	require.Equal(t, honest.Logged, after.Logged)
	require.Equal(t, honest.Seen+1, after.Seen)

	s.write(t, "transit/keys/onlyfor-security/config", map[string]any{"exportable": true})
	_, err = s.root.Logical().Read("transit/export/encryption-key/onlyfor-security")
	require.NoError(t, err)
	r = compare()
	require.Len(t, r.Findings, 2, r)
	for i, action := range []string{"keys/onlyfor-security/config", "export/encryption-key/onlyfor-security"} {
		require.Equal(t, reconcile.FindingOther, r.Findings[i].Kind)
		require.Equal(t, action, r.Findings[i].Action)
		require.Equal(t, "root", r.Findings[i].Principal)
		require.NotEmpty(t, r.Findings[i].Address)
	}
}
