package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func TestManualHasEveryCommandAndFlag(t *testing.T) {
	sh := newShell(t)
	page := sh.run("", "man").exits(well).stdout
	parser, err := kong.New(new(cli), kong.Name("onlyfor"), kong.Vars{"version": ""})
	require.NoError(t, err)
	for _, leaf := range parser.Model.Leaves(true) {
		require.Contains(t, page, ".SS "+roff(usageOf(leaf))+"\n")
		for _, f := range leaf.Flags {
			require.Contains(t, page, "\n"+roff(flagName(f))+"\n"+roff(f.Help)+"\n", leaf.FullPath())
		}
		require.NotEmpty(t, leaf.Help, leaf.FullPath())
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	c := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	c.Stdin = strings.NewReader(page)
	out, err := c.CombinedOutput()
	require.NoError(t, err)
	require.Empty(t, string(out), "groff finds fault with the page")
}

func TestRoff(t *testing.T) {
	require.Equal(t, "a\\-b \\e\n.PP\n\\&.so /etc/passwd\n\\&'x", roff("a-b \\\n\n.so /etc/passwd\n'x"))
}

func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	sh := newShell(t)
	script := sh.run("", "completion", "bash").exits(well).stdout
	for line, want := range map[string]string{
		"onlyfor ":                                   "init seal reveal inspect keys suspend resume suspensions doctor migrate erase approve withdraw restore report audit policy man completion --help --config --json --caller --version",
		"onlyfor keys ro":                            "rotate rotate-index",
		"onlyfor --json keys ro":                     "rotate rotate-index",
		"onlyfor -c other.toml migrate re":           "repair reseal reindex",
		"onlyfor keys destroy security 12345678 --r": "--reason",
		"onlyfor seal em":                            "email",
		"onlyfor completion ":                        "bash zsh fish --help --config --json --caller --version",
		"onlyfor nothing ro":                         "",
	} {
		words := strings.Split(line, " ")
		quoted := "'" + strings.Join(words, "' '") + "'"
		c := exec.Command(bash, "--norc", "-c", script+"\nCOMP_WORDS=("+quoted+")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_onlyfor\necho \"${COMPREPLY[@]}\"")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		require.ElementsMatch(t, strings.Fields(want), strings.Fields(string(out)), line)
	}
	require.Contains(t, sh.run("", "completion", "zsh").exits(well).stdout, "bashcompinit\n"+script)
	sh.run("", "completion", "fish").exits(well).says("complete -c onlyfor -f -n '__fish_seen_subcommand_from keys' -a rotate-index", `-d 'Read a sealed value without keys.'`)
	sh.run("", "completion", "csh").exits(hindered)
}

func TestPolicy(t *testing.T) {
	sh := newShell(t)
	sh.run("", "init").exits(well)
	sh.config("\n[[role]]\nname = \"ads\"\nopens = [\"advertising\"]\nmember = \"group:ads@example.com\"\n[[role]]\nname = \"ops\"\nmanages = [\"security\"]\nmember = \"group:ops@example.com\"\n")
	sh.run("", "policy", "ads").exits(hindered).says("is no key service")
	written := sh.read("onlyfor.toml")
	for service, test := range map[string]struct{ role, has, lacks string }{
		"hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}":                      {"ads", "transit/decrypt/onlyfor-advertising", "security"},
		"aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}":              {"ads", "alias/onlyfor-advertising", "onlyfor-security"},
		"gcp-kms://projects/example/locations/global/keyRings/onlyfor/cryptoKeys/of-{purpose}": {"", "group:ops@example.com", "projects/other"},
	} {
		sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `service = "`+service+`"`, 1))
		r := sh.run("", "policy", test.role).exits(well).says(test.has)
		require.NotContains(t, r.stdout, test.lacks)
	}
	sh.run("", "policy", "nobody").exits(hindered)
	sh.write("onlyfor.toml", strings.Replace(written, `local = "onlyfor-data/kek"`, `service = "hcvault://127.0.0.1:1/transit/keys/onlyfor-{purpose}"`, 1))
	sh.run("", "policy").exits(hindered).says("name one of the roles")

	// The key service does not answer.
	sh.env = []string{"VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=" + password}
	sh.run("", "keys", "security").exits(hindered).says("unavailable")
	sh.run("", "doctor").exits(hindered).says("unknown security: ")
}
