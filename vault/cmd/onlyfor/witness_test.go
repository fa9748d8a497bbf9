package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const witnessedOrigin = "example.com/audit/ops"

// A witnessSite is a machine with a log, and the machine of the witness.
type witnessSite struct {
	*shell   // the log's
	auditors *shell
	public   string // of the witness
	written  string // the configuration without [audit_log]
	process  *exec.Cmd
	lines    *bufio.Scanner // of the witness
	errors   bytes.Buffer
}

// newWitnessSite makes the keys of a log and of its witness.
func newWitnessSite(t *testing.T) *witnessSite {
	s := &witnessSite{shell: newShell(t), auditors: newShell2(t)}
	s.run("", "init").exits(well)
	s.written = s.read("onlyfor.toml")
	s.configure("")
	verifier := s.run("", "audit", "key", witnessedOrigin).exits(well).out()
	s.auditors.write("logs", "# the logs of the shop\n\n"+verifier+"\n")
	s.public = s.auditors.run("", "audit", "witness", "key", "witness.example", "witness.key").exits(well).out()
	require.True(t, strings.HasPrefix(s.public, "witness.example+"))
	s.auditors.run("", "audit", "witness", "key", "witness.example", "witness.key").exits(found).says("left alone")
	s.write("witness.pub", s.auditors.read("witness.key.pub"))
	return s
}

// configure writes the configuration of the log.
func (s *witnessSite) configure(witnesses string) {
	s.write("onlyfor.toml", s.written+"\n[audit_log]\ndir = \"onlyfor-data/audit\"\nkey = \"onlyfor-data/audit.key\"\nwitnesses = ["+witnesses+"]\n")
}

// serve starts the witness, and configures the log for it. It returns its URL.
func (s *witnessSite) serve() string {
	s.t.Helper()
	s.process = s.auditors.command("audit", "witness", "serve", "state", "--key", "witness.key", "--logs", "logs", "--listen", "127.0.0.1:0")
	out, err := s.process.StdoutPipe()
	require.NoError(s.t, err)
	s.errors.Reset()
	s.process.Stderr = &s.errors
	require.NoError(s.t, s.process.Start())
	process := s.process
	s.t.Cleanup(func() { process.Process.Kill() })
	s.lines = bufio.NewScanner(out)
	require.True(s.t, s.lines.Scan(), &s.errors)
	address, ok := strings.CutPrefix(s.lines.Text(), "listening on ")
	require.True(s.t, ok)
	address, _, _ = strings.Cut(address, " ")
	s.configure(fmt.Sprintf(`{url = "http://%s", key = "witness.pub"}`, address))
	return "http://" + address
}

// stop sends the witness a signal, and returns its exit code and the rest of its output.
func (s *witnessSite) stop(signal os.Signal) (code int, rest string) {
	s.t.Helper()
	require.NoError(s.t, s.process.Process.Signal(signal))
	for s.lines.Scan() {
		rest += s.lines.Text() + "\n"
	}
	s.process.Wait()
	return s.process.ProcessState.ExitCode(), rest
}

func (s *witnessSite) seal() result {
	s.t.Helper()
	return s.run(address, "seal", "email", "-p", "security")
}

// served returns the head that the witness serves.
func (s *witnessSite) served(url string) string {
	s.t.Helper()
	r, err := http.Get(fmt.Sprintf("%s/%x/checkpoint", url, sha256.Sum256([]byte(witnessedOrigin))))
	require.NoError(s.t, err)
	defer r.Body.Close()
	require.Equal(s.t, http.StatusOK, r.StatusCode)
	b, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	require.Contains(s.t, string(b), "— witness.example ")
	return string(b)
}

// copyLog copies the log to dir, and putBack puts a copy in the place of the log.
func (s *witnessSite) copyLog(dir string) {
	require.NoError(s.t, os.CopyFS(dir, os.DirFS(filepath.Join(s.dir, "onlyfor-data/audit"))))
}

func (s *witnessSite) putBack(dir string) {
	at := filepath.Join(s.dir, "onlyfor-data/audit")
	require.NoError(s.t, os.RemoveAll(at))
	require.NoError(s.t, os.CopyFS(at, os.DirFS(dir)))
	require.NoError(s.t, filepath.Walk(at, func(path string, info os.FileInfo, err error) error {
		require.NoError(s.t, err)
		return os.Chmod(path, info.Mode().Perm()&0o700)
	}))
}

// A log and its witness are two processes. The witness is killed, starts anew, and refuses
// a log that was put back and goes on with another history.
func TestWitnessServes(t *testing.T) {
	s := newWitnessSite(t)
	url := s.serve()
	s.auditors.run("", "audit", "witness", "serve", "state", "--key", "witness.key", "--logs", "logs", "--listen", "127.0.0.1:0").
		exits(hindered).says("another process has the state")
	r := s.seal().exits(well)
	require.Empty(t, r.stderr)
	first := s.served(url)
	s.run("", "audit", "verify").exits(well)

	// An outsider has a copy of the log, two public keys, and the last head of the witness.
	outsider := newShell2(t)
	s.copyLog(filepath.Join(outsider.dir, "copy"))
	outsider.write("kept", first)
	verify := []string{"audit", "verify", "copy", "--key", s.read("onlyfor-data/audit.key.pub"), "--kept", "kept"}
	outsider.run("", append(verify, "--witness", s.public)...).exits(well)
	stranger := outsider.run("", "audit", "witness", "key", "other.example", "other").exits(well).out()
	outsider.run("", append(verify, "--witness", stranger, "--unwitnessed", "1h")...).exits(well)
	outsider.run("", append(verify, "--witness", "kept")...).exits(hindered)
	outsider.run("", append(verify, "--witness", "other")...).exits(hindered).says("signing key")
	outsider.run("", append(verify, "--witness", s.public, "--unwitnessed", "0s")...).exits(hindered)

	require.NoError(t, s.process.Process.Kill())
	s.process.Wait()
	s.seal().exits(well).says("not cosigned: a witness did not answer")
	url = s.serve()
	require.Equal(t, first, s.served(url))
	require.Empty(t, s.seal().exits(well).stderr)
	second := s.served(url)
	require.NotEqual(t, first, second)

	s.putBack(filepath.Join(outsider.dir, "copy"))
	s.seal().exits(found).says("A witness has cosigned another history of the audit log")
	for range 3 { // the log becomes longer than the one that the witness knows
		s.seal().exits(found)
	}
	s.run("", "--json", "keys").exits(found).says(`{"finding":"A witness has cosigned another history`)
	require.Equal(t, second, s.served(url))
	code, rest := s.stop(syscall.SIGTERM)
	require.Equal(t, well, code, &s.errors)
	require.Contains(t, rest, "refused a head that continues no earlier one:\n"+witnessedOrigin+"\n")
	require.Empty(t, s.errors.String())

	s.serve()
	code, rest = s.stop(os.Interrupt)
	require.Equal(t, well, code)
	require.Empty(t, rest)
}

// The state of a witness is not put back, and not mended.
func TestWitnessRefusesItsState(t *testing.T) {
	s := newWitnessSite(t)
	s.serve()
	s.seal().exits(well)
	s.stop(os.Interrupt)
	serve := []string{"audit", "witness", "serve", "state", "--key", "witness.key", "--logs", "logs", "--listen", "127.0.0.1:0"}
	with := func(flag, value string) []string {
		args := append([]string{}, serve...)
		for i, arg := range args {
			if arg == flag {
				args[i+1] = value
			}
		}
		return args
	}
	a := s.auditors
	name := fmt.Sprintf("state/%x", sha256.Sum256([]byte(witnessedOrigin)))
	good := a.read(name)
	a.write(name, strings.Replace(good, "\n", "\n1", 1))
	a.run("", serve...).exits(found).says("not as this witness left it")
	a.write(name, good)
	// Another key has not written this state.
	a.run("", "audit", "witness", "key", "witness.example", "new.key").exits(well)
	a.run("", with("--key", "new.key")...).exits(found)

	a.run("", with("--key", "nothing")...).exits(hindered)
	a.run("", with("--key", "logs")...).exits(hindered).says("no key of a witness")
	require.NoError(t, os.Chmod(filepath.Join(a.dir, "witness.key"), 0o640))
	a.run("", serve...).exits(hindered).says("open to others")
	require.NoError(t, os.Chmod(filepath.Join(a.dir, "witness.key"), 0o600))
	public := a.read("witness.key.pub")
	a.write("witness.key.pub", a.read("new.key.pub"))
	a.run("", serve...).exits(hindered).says("not the public half")
	a.write("witness.key.pub", public)
	for text, says := range map[string]string{
		"":                               "has no public key",
		"# x\n" + password + "\n":        "line 2 of broken is not",
		s.read("onlyfor-data/audit.key"): "is a signing key",
		strings.Repeat("x", 1<<20):       "line 1 of broken is not",
	} {
		a.write("broken", text)
		r := a.run("", with("--logs", "broken")...).exits(hindered).says(says)
		require.NotContains(t, r.stderr, "PRIVATE")
	}
	a.run("", with("--logs", "nothing")...).exits(hindered)
	a.run("", with("--listen", "256.0.0.1:x")...).exits(hindered).says("--listen")
	a.run("", "audit", "witness", "key", "two words", "k").exits(hindered)
	require.NoFileExists(t, filepath.Join(a.dir, "k"))
}

// A witness that comes once a day cosigns the heads that lie in a directory.
func TestWitnessCosignsADirectory(t *testing.T) {
	s := newWitnessSite(t)
	bucket := t.TempDir()
	s.configure(fmt.Sprintf(`{dir = %q}`, bucket))
	require.NoError(t, os.Mkdir(filepath.Join(s.auditors.dir, "kept"), 0o700))
	cosign := []string{"audit", "witness", "cosign", "state", bucket, "--key", "witness.key", "--logs", "logs", "--out", "kept"}
	s.auditors.run("", cosign...).exits(well).says(witnessedOrigin + ": no head yet")
	s.seal().exits(well)
	s.auditors.run("", cosign...).exits(well).says(": cosigned ")
	older := t.TempDir()
	s.copyLog(older)
	s.seal().exits(well)
	s.seal().exits(well)
	var reports []cosignReport
	s.auditors.run("", append(cosign, "--json")...).exits(well).json(&reports)
	require.Len(t, reports, 1)
	require.True(t, reports[0].New)
	require.Contains(t, reports[0].Head, "— witness.example ")
	s.auditors.run("", cosign...).exits(well).says("nothing new after")
	s.run("", "audit", "verify").exits(well)

	verify := []string{"audit", "verify", filepath.Join(s.dir, "onlyfor-data/audit"), "--key", s.read("onlyfor-data/audit.key.pub"), "--kept", "kept", "--witness", "witness.key.pub"}
	s.auditors.run("", append(verify, "--unwitnessed", "1d")...).exits(well)
	s.putBack(older)
	s.auditors.run("", append(verify, "--unwitnessed", "1d")...).exits(found).says("FOUND cut")
	s.run("", "audit", "verify").exits(found)
	for range 3 { // the log that was put back becomes longer, and its own process tells
		s.seal().exits(found).says("another history")
	}
	s.auditors.run("", cosign...).exits(found).says("FOUND a second history", "nothing new after")
	// Whoever has the log's key and the directory begins both anew.
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "onlyfor-data/audit")))
	names, err := filepath.Glob(filepath.Join(bucket, "*"))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(names[0]))
	for range 7 {
		s.seal().exits(well)
	}
	s.auditors.run("", append(cosign, "--json")...).exits(found).json(&reports)
	require.NotEmpty(t, reports[0].Finding)
	require.False(t, reports[0].New)

	s.serve()
	s.auditors.run("", cosign...).exits(hindered).says("another process has the state")
	s.stop(os.Interrupt)
	s.auditors.run("", "audit", "witness", "cosign", "state", "nothing", "--key", "witness.key", "--logs", "logs").exits(hindered)
	require.NoError(t, os.RemoveAll(bucket))
	s.configure(fmt.Sprintf(`{dir = %q}`, bucket))
	s.seal().exits(hindered).says("can't be used")
	s.configure(`{url = "http://127.0.0.1:1", key = "onlyfor-data/audit.key.pub"}`)
	s.seal().exits(hindered).says("neither its public key")
}
