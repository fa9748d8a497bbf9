package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/approval"
)

// newApprovals returns a shell whose configuration asks for the approval of bob or carol.
func newApprovals(t *testing.T) *shell {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	var keys []string
	for _, name := range []string{"bob", "carol", "mallory"} {
		keys = append(keys, `"`+sh.run("", "approve", "key", name, name+".key").exits(well).out()+`"`)
	}
	sh.setting(`destroy_after = "1ms"`)
	sh.config("\n[approval]\nkeys = [" + strings.Join(keys[:2], ", ") + "]\n")
	return sh
}

// approve signs the request that a command prints.
func (sh *shell) approve(person string, request ...string) string {
	sh.t.Helper()
	text := sh.run("", append([]string{"approve"}, request...)...).exits(well).stdout
	return sh.run(text, "approve", "sign", "--key", person+".key").exits(well).out()
}

// retired makes a key that can be destroyed.
func (sh *shell) retired() string {
	sh.t.Helper()
	old := sh.keyOf("security", "seal", "primary")
	sh.run("", "keys", "rotate", "security").exits(well)
	sh.run("", "keys", "promote", "security", sh.keyOf("security", "seal", "published")).exits(well)
	sh.run("", "keys", "retire", "security", old).exits(well)
	return old
}

// A key is destroyed once two people have said so, and the log has both names.
func TestDestroyNeedsTwo(t *testing.T) {
	sh := newApprovals(t)
	old := sh.retired()
	destroy := func(approval string) result {
		args := []string{"keys", "destroy", "security", old, "--reason", "no backup needs it"}
		if approval != "" {
			args = append(args, "--approval", approval)
		}
		return sh.run("", args...)
	}
	bobs := sh.approve("bob", "destroy", "security", old)
	for name, test := range map[string]struct{ approval, says string }{
		"none":          {"", "destroy needs the approval of a second person"},
		"another key":   {sh.approve("mallory", "destroy", "security", old), "not signed by a key of [approval]"},
		"another one":   {sh.approve("bob", "destroy", "security", sh.keyOf("security", "seal", "primary")), "for another operation"},
		"another scope": {sh.approve("bob", "destroy", "advertising", sh.keyOf("advertising", "seal", "primary")), "for another operation"},
		"cut off":       {bobs[:len(bobs)-1], "malformed, cut off or altered"},
		"a bit":         {bobs[:20] + string(bobs[20]^1) + bobs[21:], "malformed, cut off or altered"},
		"no approval":   {"yes", "malformed, cut off or altered"},
	} {
		r := destroy(test.approval).exits(found).says(test.says)
		require.Len(t, strings.Split(strings.TrimSpace(r.stderr), "\n"), 2, name+": a sentence and advice")
		require.Empty(t, r.stdout)
	}
	require.Equal(t, old, sh.keyOf("security", "seal", "retired"))
	require.NotContains(t, sh.read("onlyfor-data/audit.jsonl"), `"action":"destroy"`)

	// Bob signs by other means a request whose time is over.
	r, err := approval.Parse(sh.run("", "approve", "destroy", "security", old).exits(well).stdout)
	require.NoError(t, err)
	r.Expires = time.Now().Add(-time.Minute).Truncate(time.Second)
	sh.run(r.String(), "approve", "sign", "--key", "bob.key").exits(found).says("the request has expired")
	bob, err := note.NewSigner(strings.TrimSpace(sh.read("bob.key")))
	require.NoError(t, err)
	late, err := approval.Sign(r, bob)
	require.NoError(t, err)
	destroy(late).exits(found).says("the approval has expired")

	destroy(sh.approve("carol", "destroy", "security", old)).exits(well)
	require.Regexp(t, `"action":"destroy","outcome":"allowed".*"note":"approved by carol"`, sh.read("onlyfor-data/audit.jsonl"))
}

// The keys change after the request.
func TestApprovalIsForOneState(t *testing.T) {
	sh := newApprovals(t)
	old := sh.retired()
	bobs := sh.approve("bob", "destroy", "security", old)
	sh.run("", "keys", "reinstate", "security", old).exits(well)
	sh.run("", "keys", "retire", "security", old).exits(well)
	sh.run("", "keys", "destroy", "security", old, "--reason", "x", "--approval", bobs).exits(found).says("the keys of the purpose have changed since")

	suspend := []string{"suspend", "security", "--reason", "x"}
	resume := []string{"resume", "security", "--reason", "x"}
	sh.run("", suspend...).exits(well)
	sh.run("", resume...).exits(found).says("resume needs the approval")
	all := sh.approve("bob", "resume", "security")
	sh.run("", append(resume, "--notice", "sign-up-v1", "--approval", all)...).exits(found).says("nothing of that kind is suspended")
	sh.run("", append(suspend, "--notice", "sign-up-v1")...).exits(well)
	all = sh.approve("bob", "resume", "security")
	sh.run("", append(resume, "--notice", "sign-up-v1", "--approval", all)...).exits(found).says("for another operation")
	sh.run("", append(resume, "--approval", all)...).exits(well)
	require.Regexp(t, `"action":"resume","outcome":"allowed".*"note":"approved by bob"`, sh.read("onlyfor-data/audit.jsonl"))
	sh.run("", suspend...).exits(well)
	sh.run("", append(resume, "--approval", all)...).exits(found).says("the keys of the purpose have changed since")
}

// An approval of another vault with a copy of the configuration.
func TestApprovalOfAnotherVault(t *testing.T) {
	sh := newApprovals(t)
	sh.run("", "suspend", "security", "--reason", "x").exits(well)
	other := &shell{t: t, dir: t.TempDir()}
	other.run("", "init").exits(well)
	other.run("", "suspend", "security", "--reason", "x").exits(well)
	text := other.run("", "approve", "resume", "security").exits(well).stdout
	line := sh.run(text, "approve", "sign", "--key", "bob.key").exits(well).out()
	sh.run("", "resume", "security", "--reason", "x", "--approval", line).exits(found).says("the approval is for another vault")
	other.run("", "resume", "security", "--reason", "x", "--approval", line).exits(hindered).says("has no [approval]")
	other.run("", "resume", "security", "--reason", "x").exits(well)
}

// The second person signs a request as it was printed, and nothing else.
func TestApproveSigns(t *testing.T) {
	sh := newApprovals(t)
	sh.run("", "suspend", "security", "--reason", "x").exits(well)
	request := sh.run("", "approve", "resume", "security").exits(well).stdout
	sh.run(request, "approve", "sign", "--key", "bob.key").exits(well).says("You approve: resume of (all) under security, until ")
	for _, text := range []string{"", "x", request + "\n", request[1:], request[:len(request)-1], strings.Replace(request, "resume", "resume ", 1), strings.Replace(request, "\n", "\r\n", -1)} {
		r := sh.run(text, "approve", "sign", "--key", "bob.key").exits(found).says("is no request")
		require.Empty(t, r.stdout)
	}
	sh.run(request, "approve", "sign", "--key", "nobody.key").exits(hindered)
	sh.run(request, "approve", "sign", "--key", "onlyfor.toml").exits(hindered).says("has no key of a person")
	sh.run("", "approve", "resume", "security", "--valid", "31d").exits(hindered)
	sh.run("", "approve", "resume", "security", "--notice", "other").exits(found)
	sh.run("", "approve", "destroy", "security", "00000000").exits(hindered)
	sh.run("", "approve", "key", "bob", "bob.key").exits(found).says("exists")
	sh.run("", "approve", "key", "b b", "b.key").exits(hindered)
	require.NoError(t, os.Chmod(filepath.Join(sh.dir, "bob.key"), 0o644))
	sh.run(request, "approve", "sign", "--key", "bob.key").exits(found).says("others may read the key")
}
