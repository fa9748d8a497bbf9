package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	asProgram = "program"         // in variable: this process is the program
	asHanging = "hanging program" // … which hangs when the services are there
	variable  = "ONLYFOR_TEST_SEPARATE"
)

// The test binary is what the services are started from, too.
func TestMain(m *testing.M) {
	maxRun = time.Hour // however busy the machine is
	switch {
	case len(os.Args) > 1 && os.Args[1] == roleFlag, os.Getenv(variable) == asProgram:
		main()
		os.Exit(0)
	case os.Getenv(variable) == asHanging:
		c := company{out: os.Stdout, errs: os.Stderr, before: func(_ *process, step string) {
			if step == "work" {
				time.Sleep(maxRun)
			}
		}}
		os.Exit(c.exit(context.Background()))
	}
	os.Exit(m.Run())
}

// play runs the program as the shell does.
func play(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// row is what stands in the table after the columns of process and attempt.
func row(table, who, what string) string {
	for line := range strings.Lines(table) {
		if rest, ok := strings.CutPrefix(line, who+" "); ok {
			if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), what+"  "); ok {
				return strings.Join(strings.Fields(rest), " ")
			}
		}
	}
	return "no such row"
}

// wanted are the rows that do not depend on how the program is run.
var wanted = [][3]string{
	{frontEnd, "reveal what it sealed", "refused a collector has no such method"},
	{frontEnd, "index an address", "refused a collector has no such method"},
	{frontEnd, "open a scope, lookup, reader of security", "refused no usable keys"},
	{frontEnd, "open a scope, lookup, reader of advertising", "refused no usable keys"},
	{frontEnd, "open security with a KEK of its own making", "refused not sealed here, or altered since"},
	{frontEnd, "read the whole database", "refused found 0 of 6 people's addresses"},
	{securityService, "open a scope, lookup, reader of advertising", "refused no usable keys"},
	{securityService, "open advertising with a KEK of its own making", "refused not sealed here, or altered since"},
	{securityService, "reveal the audience's addresses", "refused collected for advertising, not security"},
	{securityService, "join its index column with that of audience", "refused found 0 of 2 people"},
	{adsService, "open a scope, lookup, reader of security", "refused no usable keys"},
	{adsService, "open security with a KEK of its own making", "refused not sealed here, or altered since"},
	{adsService, "reveal the addresses of accounts", "refused collected for security, not advertising"},
	{adsService, "relabel accounts as advertising", "refused not sealed here, or altered since"},
	{adsService, "add advertising to accounts", "refused not sealed here, or altered since"},
	{adsService, "relabel a sign-up as a consent", "refused not sealed here, or altered since"},
	{adsService, "join its index column with that of accounts", "refused found 0 of 2 people"},
	{adsService, "look an advertiser's list up in accounts", "refused found 0 of 4 customers"},
	{adsService, "forge the address of an account", "refused not sealed for this subject"},
	{adsService, "start with the grant of security, too", "refused given a grant too many"},
}

// The rows that do, and what they end in.
const copyKeys = "copy the keys of security over its own"

var readKEK = [][2]string{
	{frontEnd, "read the KEK file of security"},
	{securityService, "read the KEK file of advertising"},
	{adsService, "read the KEK file of security"},
}

func requireTable(t *testing.T, table, copied, read string) {
	t.Helper()
	for _, w := range wanted {
		require.Equal(t, w[2], row(table, w[0], w[1]), "%s: %s\n%s", w[0], w[1], table)
	}
	require.Equal(t, copied, row(table, adsService, copyKeys))
	for _, w := range readKEK {
		require.Equal(t, read, row(table, w[0], w[1]), "%s: %s\n%s", w[0], w[1], table)
	}
	_, rows, _ := strings.Cut(table, "PROCESS ")
	require.Equal(t, len(wanted)+1+len(readKEK), strings.Count(rows, "\n")-3, "rows that no test knows, in\n%s", table)
}

const worked = `
  front end  sealed 5 sign-ups, 2 of them with consent to ads
  security   took in 5 sign-ups, found 5 people who sign in and revealed where to write
  ads        took in 2 people who consented, found 1 of the 4 on an advertiser's list
`

func TestAsOneUser(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs bytes.Buffer
	var all []*process
	c := company{out: &out, errs: &errs, before: func(p *process, step string) {
		if step == "start" {
			all = append(all, p)
		}
	}}
	require.Equal(t, exitHeld, c.exit(t.Context()), "%s\n%s", out.String(), errs.String())
	require.Len(t, all, 4, "three, and one that refuses to start")
	requireGone(t, all)
	stdout := out.String()
	requireTable(t, stdout, "refused not sealed here, or altered since", "not tried it could: all processes run as one user")
	require.Contains(t, stdout, worked)
	require.Contains(t, stdout, "all as one user, who can read all files and memory: a demonstration, no boundary")
	require.Contains(t, stdout, "\n24 attempts: 21 refused, 0 succeeded, 0 unclear, 3 not tried.\n")
	require.Empty(t, errs.String())
}

func TestAsSeveralUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("starting processes as other users takes root")
	}
	var c company
	var out, errs bytes.Buffer
	var uids []uint32
	c = company{out: &out, errs: &errs, users: true, before: func(p *process, step string) {
		if step != "overstep" {
			return
		}
		status, err := os.ReadFile(filepath.Join("/proc", itoa(p.cmd.Process.Pid), "status"))
		if !errors.Is(err, os.ErrNotExist) { // which is Linux alone
			require.NoError(t, err)
			require.Contains(t, string(status), "Uid:\t"+strings.Repeat(itoa(int(users[p.role]))+"\t", 3))
		}
		uids = append(uids, users[p.role])
		// The files that are refused are there.
		for _, file := range []string{"security/kek/security.kek", "ads/kek/advertising.kek"} {
			require.FileExists(t, filepath.Join(c.dir, file))
		}
	}}
	require.Equal(t, exitHeld, c.exit(t.Context()), "%s\n%s", out.String(), errs.String())
	require.ElementsMatch(t, []uint32{61101, 61102, 61103}, uids)
	requireTable(t, out.String(), "refused not sealed here, or altered since", "refused permission denied")
	require.Contains(t, out.String(), worked)
	require.Contains(t, out.String(), "each as a user of its own, who cannot read the files and memory of the others: a boundary")
	require.Contains(t, out.String(), "\n24 attempts: 24 refused, 0 succeeded, 0 unclear, 0 not tried.\n")
	require.Empty(t, errs.String())
}

// A process with a grant too many, and without the check that would have kept it
// from starting, shows in the table and in the exit status.
func TestBroken(t *testing.T) {
	code, stdout, stderr := play(t, "-users=false", "-break")
	require.Equal(t, exitGaveWay, code, "%s\n%s", stdout, stderr)
	gave := map[string]string{
		"open a scope, lookup, reader of security": "SUCCEEDED it worked",
		"reveal the addresses of accounts":         "SUCCEEDED it worked",
		"look an advertiser's list up in accounts": "SUCCEEDED found 3 of 4 customers",
	}
	for _, w := range wanted {
		want := w[2]
		if w[0] == adsService && gave[w[1]] != "" {
			want = gave[w[1]]
		}
		require.Equal(t, want, row(stdout, w[0], w[1]), "%s: %s", w[0], w[1])
	}
	require.Contains(t, stdout, "the ads service has the grant of security as well, and has not checked")
	require.Contains(t, stdout, "\n24 attempts: 18 refused, 3 succeeded, 0 unclear, 3 not tried.\n")
}

// With the check, the same process does not start, and nothing goes on.
func TestGrantTooMany(t *testing.T) {
	for _, given := range [][]string{
		{frontEnd, "security"},
		{frontEnd, "advertising"},
		{securityService, "security", "advertising"},
		{adsService, "advertising", "security"},
	} {
		t.Run(strings.Join(given, " with "), func(t *testing.T) {
			c := prepared(t)
			role, tooMuch := given[0], given[1:]
			var g grant
			require.NoError(t, c.makeHome(role, &g))
			g.Database, g.Collectors = c.database, c.collectors
			for _, p := range tooMuch {
				require.NoError(t, os.MkdirAll(filepath.Join(g.Dir, "kek"), 0o700))
				require.NoError(t, copyFile(filepath.Join(g.Dir, "kek", p+".kek"), filepath.Join(c.dir, "operator", p+".kek"), 0o600))
			}
			g.KEKs = filepath.Join(g.Dir, "kek")
			p, err := start(t.Context(), c.program, role, g)
			require.NoError(t, err)
			defer p.stop()
			a, err := p.tell("start", g)
			require.ErrorContains(t, err, "refusing to start")
			require.True(t, a.Granted)
			require.NoError(t, p.wait(), "it ended otherwise")
		})
	}
}

// prepared is a company that has made its keys and not yet started a process.
func prepared(t *testing.T) *company {
	t.Helper()
	c := &company{out: io.Discard, errs: io.Discard}
	t.Cleanup(c.clean)
	require.NoError(t, c.prepare(t.Context()))
	return c
}

// Whichever process is killed whenever, the run ends with an error that says so
// and leaves neither process nor file.
func TestKilled(t *testing.T) {
	for _, role := range []string{frontEnd, securityService, adsService} {
		for _, step := range []string{"start", "work", "overstep"} {
			t.Run(role+" before "+step, func(t *testing.T) {
				t.Setenv("TMPDIR", t.TempDir())
				var out, errs bytes.Buffer
				var all []*process
				c := company{out: &out, errs: &errs, before: func(p *process, at string) {
					if at == "start" {
						all = append(all, p)
					}
					if p.role == role && at == step {
						require.NoError(t, p.cmd.Process.Kill())
					}
				}}
				require.Equal(t, exitTrouble, c.exit(t.Context()))
				require.Equal(t, "separate: "+role+": process ended in the middle of "+step+": signal: killed\n", errs.String())
				require.NotContains(t, out.String(), "PROCESS")
				requireGone(t, all)
			})
		}
	}
}

// A process that hangs is not waited for any longer than the run may take.
func TestHung(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs bytes.Buffer
	var all []*process
	c := company{out: io.Discard, errs: &errs, before: func(p *process, at string) {
		if at == "start" {
			all = append(all, p)
		}
		if p.role == adsService && at == "work" {
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
			cancel()
		}
	}}
	require.Equal(t, exitInterrupted, c.exit(ctx))
	require.Equal(t, "separate: interrupted\n", errs.String())
	requireGone(t, all)
}

func requireGone(t *testing.T, all []*process) {
	t.Helper()
	require.NotEmpty(t, all)
	for _, p := range all {
		require.NotNil(t, p.cmd.ProcessState, "%s was not waited for", p.role)
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

// Services end when whoever started them is killed: nobody else would end them.
func TestNoOrphans(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = []string{variable + "=" + asHanging, "TMPDIR=" + t.TempDir()}
	// All processes write to it, so it ends with the last of them.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.Stderr = w
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	said := make([]byte, 1)
	_, err = out.Read(said) // when all three are there
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(maxRun)))
	left, err := io.ReadAll(r)
	require.NoError(t, err, "somebody is left")
	require.Empty(t, left)
}

// The command as it is: its exit status, and no address in what it says.
func TestCommand(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for args, code := range map[string]int{
		"-users=false":                          exitHeld,
		"-users=false -break":                   exitGaveWay,
		"-users=false of":                       exitTrouble,
		"-unknown":                              exitTrouble,
		"-kms gcp-kms://projects/-users=false":  exitTrouble,
		"-users=false -kms aws-kms://{purpose}": exitTrouble,
	} {
		cmd := exec.CommandContext(t.Context(), self, strings.Fields(args)...)
		cmd.Env = []string{variable + "=" + asProgram, "TMPDIR=" + t.TempDir()}
		out, _ := cmd.CombinedOutput()
		require.Equal(t, code, cmd.ProcessState.ExitCode(), "%s\n%s", args, out)
		require.NotContains(t, string(out), "@")
	}
}

func TestServiceByHand(t *testing.T) {
	for _, in := range []string{"x", "{}\n"} {
		for _, role := range []string{frontEnd, securityService, adsService, "other", ""} {
			var out bytes.Buffer
			if serve(t.Context(), role, strings.NewReader(in), &out) == nil {
				require.Contains(t, out.String(), `"Error":"`)
			}
		}
	}
}

func TestEnvironmentOfServices(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "of the operator")
	self, err := os.Executable()
	require.NoError(t, err)
	p, err := start(t.Context(), self, frontEnd, grant{Dir: t.TempDir()})
	require.NoError(t, err)
	defer p.stop()
	environ, err := os.ReadFile(filepath.Join("/proc", itoa(p.cmd.Process.Pid), "environ"))
	if !errors.Is(err, os.ErrNotExist) { // which is Linux alone
		require.NoError(t, err)
		require.NotContains(t, string(environ), "VAULT_TOKEN")
	}
	require.Equal(t, []string{"VAULT_ADDR=a"}, reaching([]string{"HOME=h", "VAULT_TOKEN=t", "VAULT_ADDR=a", "VAULT_TOKENS=t"}))
	// Nil would stand for everything.
	require.NotNil(t, reaching([]string{"VAULT_TOKEN=t"}))
}
