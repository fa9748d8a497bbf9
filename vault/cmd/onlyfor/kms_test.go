package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/transit"
)

// newTransit returns a key service, whose denials have a secret that no output may have.
func newTransit(t *testing.T, names ...string) (*transit.Server, *httptest.Server) {
	tr, err := transit.New(names...)
	require.NoError(t, err)
	tr.Denied = password
	server := httptest.NewServer(tr)
	t.Cleanup(server.Close)
	return tr, server
}

// The first deployment with a key service: policies that the command prints, keys, a value,
// and the proof that each role is kept out of the other purpose.
func TestKeyService(t *testing.T) {
	sh := newShell(t)
	tr, server := newTransit(t, "onlyfor-security", "onlyfor-advertising")
	sh.run("", "init").exits(well) // the configuration; its keys are not used
	host := strings.TrimPrefix(server.URL, "http://")
	sh.write("onlyfor.toml", strings.NewReplacer(`local = "onlyfor-data/kek"`, `service = "hcvault://`+host+`/transit/keys/onlyfor-{purpose}"`,
		`dir = "onlyfor-data/keys"`, `dir = "keys"`, `pins = "onlyfor-data/pins"`, `pins = "pins"`).Replace(sh.read("onlyfor.toml")))
	sh.config(`
[[role]]
name = "ops"
manages = ["security", "advertising"]
[[role]]
name = "ads"
opens = ["advertising"]
`)
	for _, role := range []string{"ops", "ads"} {
		tr.Grant("token-of-"+role, sh.run("", "policy", role).exits(well).stdout)
	}
	as := func(role string) *shell {
		return &shell{t: t, dir: sh.dir, env: []string{"VAULT_ADDR=" + server.URL, "VAULT_TOKEN=token-of-" + role}}
	}
	as("ads").run("", "keys", "generate").exits(hindered)
	as("ops").run("", "keys", "generate").exits(well)
	as("ops").run("", "keys").exits(well).says("security, wrapped by hcvault://" + host + "/transit/keys/onlyfor-security")
	as("ops").run("", "keys", "rewrap").exits(well)

	security := as("ops").run(address, "seal", "email", "-p", "security").exits(well).out()
	ads := as("ops").run(address, "seal", "email", "-p", "advertising").exits(well).out()
	require.Equal(t, address, as("ads").runFreely(ads, "reveal", "-p", "advertising", "--reason", "x").exits(well).out())
	as("ads").run(security, "reveal", "-p", "security", "--reason", "x").exits(hindered).says("This process was not granted")

	as("ops").run("", "doctor", "--role", "ops").exits(well).says("ok security: opens, and its KEK binds the purpose")
	as("ads").run("", "doctor", "--role", "ads").exits(well).says("ok advertising: opens", "ok security: is shut for role ads: proven")
	as("ops").run("", "doctor", "--role", "ads").exits(found).says("failed security: ", "can open keys that it must not have")
	as("nobody").run("", "doctor", "--role", "ads").exits(hindered)
}
