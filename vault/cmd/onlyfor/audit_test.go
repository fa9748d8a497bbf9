package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// audited makes a directory with keys, a log that can't be edited unnoticed, and its key.
func audited(t *testing.T) (sh *shell, verifier string) {
	sh = newShell(t)
	sh.run("", "init").exits(well)
	require.NoError(t, os.Mkdir(filepath.Join(sh.dir, "elsewhere"), 0o700))
	sh.config("\n[audit_log]\ndir = \"onlyfor-data/audit\"\nkey = \"onlyfor-data/audit.key\"\nheads = \"elsewhere/heads\"\n")
	sh.run(address, "seal", "email", "-p", "security").exits(hindered).says("onlyfor audit key makes it")
	verifier = sh.run("", "audit", "key", "example.com/audit/ops").exits(well).out()
	require.True(t, strings.HasPrefix(verifier, "example.com/audit/ops+"))
	require.Equal(t, verifier, strings.TrimSpace(sh.read("onlyfor-data/audit.key.pub")))
	sh.run("", "audit", "key", "example.com/audit/ops").exits(found).says("left alone")
	return sh, verifier
}

func TestAuditLogOfTheCommand(t *testing.T) {
	sh, verifier := audited(t)
	sealed := sh.run(address, "seal", "email", "-p", "security", "--subject", "u17").exits(well).out()
	sh.runFreely(sealed, "reveal", "-p", "security", "--subject", "u17", "--reason", "ticket 4711").exits(well)
	sh.run(sealed, "reveal", "-p", "advertising", "--reason", "a\x1b[2J\u202emailing").exits(found)

	sh.run("", "audit", "verify").exits(well).says("3 processes", "not excluded")
	// An outsider has a copy, the public key and a head, and no configuration.
	outsider := &shell{t: t, dir: t.TempDir()}
	require.NoError(t, os.CopyFS(filepath.Join(outsider.dir, "copy"), os.DirFS(filepath.Join(sh.dir, "onlyfor-data/audit"))))
	outsider.write("heads", sh.read("elsewhere/heads"))
	outsider.write("key", verifier+"\n")
	for _, key := range []string{verifier, "key"} {
		var reports []verifyReport
		outsider.run("", "audit", "verify", "copy", "--key", key, "--kept", "heads", "--json").exits(well).json(&reports)
		require.Len(t, reports, 1)
		require.True(t, reports[0].OK)
		require.Equal(t, 3, reports[0].Processes)
		require.Len(t, reports[0].NotExcluded, 1, "after the last kept head")
	}

	r := sh.run("", "audit", "tail", "-n", "4").exits(well).says("reveal denied advertising reason purpose kind email")
	require.Equal(t, 4, strings.Count(r.stdout, "\n"))
	sh.run("", "audit", "tail").exits(well).says("by tester for ticket 4711", "by tester for a?[2J?mailing", "start service onlyfor")
	var uses []useCount
	sh.run("", "audit", "who", "--json").exits(well).json(&uses)
	seen := map[string]int64{}
	for _, u := range uses {
		require.Equal(t, "tester", u.Caller)
		require.Equal(t, "onlyfor", u.Service)
		require.Equal(t, time.Now().UTC().Format("2006"), u.Month[:4])
		seen[u.Purpose+" "+u.Action+" "+u.Outcome] += u.Count
	}
	require.Equal(t, int64(1), seen["security reveal allowed"])
	require.Equal(t, int64(1), seen["advertising reveal denied"])
	sh.run("", "audit", "who", "-p", "advertising", "--since", "2020-01-01").exits(well).says("advertising", "denied")
	sh.run("", "audit", "who", "--since", "2999-01-01", "--json").exits(well).json(&uses)
	sh.run("", "audit", "who", "--since", "yesterday").exits(hindered)

	// The person's events are found by the pseudonym, which needs the keys.
	var events []auditEntry
	sh.run("", "audit", "person", "u17", "-p", "security", "--reason", "request 7", "--json").exits(well).json(&events)
	var actions []string
	for _, e := range events {
		actions = append(actions, e.Action)
	}
	require.Equal(t, []string{"seal", "reveal"}, actions)
	sh.run("", "audit", "person", "u18", "--reason", "request 8", "--json").exits(well).json(&events)
	require.Empty(t, events)
	sh.run("u17\n", "audit", "person", "-", "--reason", "request 9").exits(well).says("reveal allowed security")
	sh.run("", "audit", "person", "u17", "--reason", " ").exits(hindered)

}

func TestAuditVerifyFinds(t *testing.T) {
	sh, verifier := audited(t)
	for range 3 {
		sh.run(address, "seal", "email", "-p", "security").exits(well)
	}
	heads := sh.read("elsewhere/heads")
	dir := filepath.Join(sh.dir, "onlyfor-data/audit")
	verify := func(args ...string) result {
		return sh.run("", append([]string{"audit", "verify", "onlyfor-data/audit", "--key", verifier}, args...)...)
	}
	verify("--kept", "elsewhere/heads").exits(well)
	// The configuration's own look takes the heads that it kept.
	sh.run("", "audit", "verify").exits(well)

	older := t.TempDir()
	require.NoError(t, os.CopyFS(older, os.DirFS(dir)))
	sh.run(address, "seal", "email", "-p", "security").exits(well)
	require.NotEqual(t, heads, sh.read("elsewhere/heads"))
	restore := func() {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.CopyFS(dir, os.DirFS(older)))
	}
	restore() // an older copy: what no log can tell by itself
	verify().exits(well).says("older copy")
	verify("--kept", "elsewhere/heads").exits(found).says("FOUND cut")
	sh.run("", "audit", "verify").exits(found).says("FOUND cut")

	names, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	require.NoError(t, err)
	text, err := os.ReadFile(names[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(names[0], []byte(strings.Replace(string(text), `"caller":"tester"`, `"caller":"nobody"`, 1)), 0o600))
	verify().exits(found).says("FOUND edited")
	sh.run("", "audit", "tail").exits(found).says("prove nothing")
	sh.run("", "audit", "who").exits(found).says("prove nothing")

	// The wrong key, a head of another log, and things that are none.
	sh.run("", "audit", "verify", "onlyfor-data/audit", "--key", strings.TrimSpace(sh.read("onlyfor-data/audit.key"))).exits(hindered).says("signing key")
	r := sh.run("", "audit", "verify", "onlyfor-data/audit", "--key", "x"+verifier[1:]).exits(hindered)
	require.NotContains(t, r.stderr, verifier[1:])
	verify("--kept", "onlyfor.toml").exits(hindered)
	verify("--kept", "nothing").exits(hindered)
	sh.write("forged", strings.Replace(heads, "\n", "\n1", 1))
	verify("--kept", "forged").exits(found).says("is not signed")
	sh.run("", "audit", "verify", "nothing", "--key", verifier).exits(hindered)
	sh.run("", "audit", "verify", "onlyfor-data/audit").exits(hindered).says("give --key for each")
	verify("--apart", "security,advertising").exits(found)
	verify("--apart", "A,,").exits(hindered)
}

// Without a record nothing is done: the log is not as it was left.
func TestAlteredAuditLogStopsTheCommand(t *testing.T) {
	sh, _ := audited(t)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	names, err := filepath.Glob(filepath.Join(sh.dir, "onlyfor-data/audit/bodies/*"))
	require.NoError(t, err)
	text, err := os.ReadFile(names[len(names)-1])
	require.NoError(t, err)
	text[len(text)-30] ^= 1 // the last head
	require.NoError(t, os.WriteFile(names[len(names)-1], text, 0o600))
	r := sh.run(sealed, "reveal", "-p", "security", "--reason", "x").exits(found).says("not as it was left")
	require.Empty(t, r.stdout)
}

func TestAuditReconcile(t *testing.T) {
	tr, server := newTransit(t, "onlyfor-security", "onlyfor-advertising")
	sh, _ := audited(t)
	host := server.Listener.Addr().String()
	keys := kms.Template("hcvault://" + host + "/transit/keys/onlyfor-{purpose}")
	policy, err := kms.HCVaultPolicy(keys, kms.Role{Name: "ops", Manages: purpose.NewSet(purpose.MustParse("security"), purpose.MustParse("advertising"))})
	require.NoError(t, err)
	tr.Grant("ops-token", policy)
	sh.env = []string{"VAULT_ADDR=" + server.URL, "VAULT_TOKEN=ops-token"}
	sh.write("onlyfor.toml", strings.Replace(strings.Replace(sh.read("onlyfor.toml"), `local = "onlyfor-data/kek"`, fmt.Sprintf("service = %q", keys), 1),
		`dir = "onlyfor-data/keys"`, `dir = "onlyfor-data/other-keys"`, 1))
	require.NoError(t, os.Remove(filepath.Join(sh.dir, "onlyfor-data/pins")))
	sh.run("", "keys", "generate").exits(well)
	sealed := sh.run(address, "seal", "email", "-p", "security").exits(well).out()
	sh.runFreely(sealed, "reveal", "-p", "security", "--reason", "x").exits(well)
	sh.write("vault-audit.log", tr.Log())
	var r reconcileReport
	sh.run("", "audit", "reconcile", "--vault-audit", "vault-audit.log", "--json").exits(well).json(&r)
	require.True(t, r.OK)
	c := r.Purposes["security"]
	require.GreaterOrEqual(t, c.Matched, int64(3), "generate, seal, reveal")
	require.Equal(t, c.Seen, c.Logged)
	require.Equal(t, c.Seen, c.Matched+c.NotCompared)

	// A program that keeps no log unwraps the keys.
	line := func(principal, path string) string {
		text, err := json.Marshal(map[string]any{
			"time": time.Now().UTC().Format(time.RFC3339Nano), "type": "response", "auth": map[string]any{"display_name": principal},
			"request": map[string]any{"id": principal, "operation": "update", "path": path, "remote_address": "192.0.2.66"},
		})
		require.NoError(t, err)
		return string(text) + "\n"
	}
	rogue := line("rogue\x1b[2J", "transit/decrypt/onlyfor-security")
	sh.run(address, "seal", "email", "-p", "advertising").exits(well) // so that the log goes on
	sh.write("vault-audit.log", sh.read("vault-audit.log")+rogue+line("x", "kv/data/x"))
	// No clock differs by so little: whatever else is found, the program is.
	out := sh.run("", "audit", "reconcile", "--vault-audit", "vault-audit.log", "--delay", "1us", "--skew", "1us").exits(found)
	require.Contains(t, out.stdout, "unlogged")
	require.Contains(t, strings.Join(strings.Fields(out.stdout), " "), "by rogue?[2J from 192.0.2.66")
	sh.write("export.log", tr.Log()+line("admin", "transit/export/encryption-key/onlyfor-security"))
	sh.run("", "audit", "reconcile", "--vault-audit", "export.log").exits(found).says("FOUND other use", "by admin")

	sh.run("", "audit", "reconcile", "--vault-audit", "onlyfor.toml").exits(hindered).says("not of the kind")
	sh.run("", "audit", "reconcile", "--cloudtrail", "onlyfor-data/audit").exits(hindered).says("not of the kind")
	sh.run("", "audit", "reconcile", "--vault-audit", "nothing").exits(hindered)
	sh.run("", "audit", "reconcile").exits(hindered).says("--vault-audit or --cloudtrail")
	sh.run("", "audit", "reconcile", "--vault-audit", "export.log", "--skew", "0s").exits(hindered)
	local := newShell2(t)
	local.run("", "init").exits(well)
	local.run("", "audit", "reconcile", "--vault-audit", "x").exits(hindered).says("no key service")
}

// newShell2 is newShell for a test that is parallel already.
func newShell2(t *testing.T) *shell { return &shell{t: t, dir: t.TempDir()} }

// A log is followed until the command is interrupted, which is the way to end it.
func TestAuditTailFollows(t *testing.T) {
	sh, _ := audited(t)
	sh.run(address, "seal", "email", "-p", "security").exits(well)
	c := sh.command("audit", "tail", "-f", "-n", "1")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), " stop")
	sh.run(address, "seal", "email", "-p", "advertising").exits(well)
	for found := false; !found; {
		require.True(t, lines.Scan(), "the command goes on")
		found = strings.Contains(lines.Text(), "seal allowed advertising")
	}
	require.NoError(t, c.Process.Signal(os.Interrupt))
	for lines.Scan() {
	}
	require.NoError(t, c.Wait())
}
