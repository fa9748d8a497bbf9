package tinkv1_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden folder anew")

// golden is what v1.7.0 wrote.
const golden = "../../testdata/tinkv1"

// programs are built once for all tests, into a folder that ends with them.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	var code int
	if err := withPrograms(func() { code = m.Run() }); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

func withPrograms(f func()) error {
	var err error
	if programs, err = os.MkdirTemp("", "tinkv1"); err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	build := exec.Command("go", "build", "-o", programs+string(filepath.Separator), "./oldtink", "./newtink", "./together", "./primitives")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	f()
	return nil
}

// run runs a program and returns what it wrote to its standard error.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, name), args...)
	cmd.Env = append(os.Environ(), conflict+"=")
	cmd.Env = append(cmd.Env, env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	return said.String(), err
}

// succeed runs a program that must end well and say nothing.
func succeed(t *testing.T, name string, args ...string) {
	t.Helper()
	said, err := run(t, nil, name, args...)
	require.NoError(t, err, said)
	require.Empty(t, said)
}

// conflict is the environment variable by which Protocol Buffers is told what to
// do about two of one name.
const conflict = "GOLANG_PROTOBUF_REGISTRATION_CONFLICT"

func TestBothWays(t *testing.T) {
	for _, c := range []struct{ writer, reader string }{
		{"oldtink", "newtink"},
		{"newtink", "oldtink"},
	} {
		t.Run(c.writer+" to "+c.reader, func(t *testing.T) {
			dir := t.TempDir()
			succeed(t, c.writer, "write", dir)
			succeed(t, c.writer, "open", dir)
			succeed(t, c.reader, "open", dir)

			// A reader that opens anything would prove nothing.
			for name, within := range map[string]string{
				"aead.values.json":    `"ciphertext": "`,
				"prf.outputs.json":    `"output": "`,
				"hpke.values.json":    `"ciphertext": "`,
				"aead.encrypted.json": `"encryptedKeyset":`, // what else is in it, nobody looks at
				"kek.json":            `"value":`,
			} {
				damaged := t.TempDir()
				require.NoError(t, os.CopyFS(damaged, os.DirFS(dir)))
				damage(t, filepath.Join(damaged, name), within)
				_, err := run(t, nil, c.reader, "open", damaged)
				require.Error(t, err, name)
			}
		})
	}
}

// damage exchanges a digit in the first base64 text after the given one.
func damage(t *testing.T, file, after string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	at := bytes.Index(data, []byte(after))
	require.Positive(t, at)
	at += len(after) + 10
	if data[at] == 'A' {
		data[at] = 'B'
	} else {
		data[at] = 'A'
	}
	require.NoError(t, os.WriteFile(file, data, 0o600))
}

func TestGolden(t *testing.T) {
	if *update {
		require.NoError(t, os.MkdirAll(golden, 0o755))
		succeed(t, "oldtink", "write", golden)
		succeed(t, "newtink", "kek", golden, filepath.Join(programs, "oldtink"))
	}
	succeed(t, "oldtink", "open", golden)
	succeed(t, "newtink", "open", golden)
}

// Both programs are the same text, so it is the import path alone that differs.
func TestSameProgram(t *testing.T) {
	old, err := os.ReadFile("oldtink/tink.go")
	require.NoError(t, err)
	fresh, err := os.ReadFile("newtink/tink.go")
	require.NoError(t, err)
	moved := strings.ReplaceAll(string(old), `"github.com/google/tink/go/`, `"github.com/tink-crypto/tink-go/v2/`)
	require.True(t, moved == string(fresh), "oldtink/tink.go and newtink/tink.go differ in more than the import path")
}

func TestOldAEADAsKEK(t *testing.T) {
	t.Run("from its own process", func(t *testing.T) {
		dir := t.TempDir()
		succeed(t, "oldtink", "write", dir)
		succeed(t, "newtink", "kek", dir, filepath.Join(programs, "oldtink"))
		require.FileExists(t, filepath.Join(dir, "record.bin"))
	})
	t.Run("in one program, without protocol buffers", func(t *testing.T) {
		succeed(t, "primitives")
	})
	t.Run("in one program with both Tinks, which panics", func(t *testing.T) {
		said, err := run(t, nil, "together")
		require.Error(t, err)
		require.True(t, strings.HasPrefix(said, "panic: proto:"))
		require.True(t, strings.Contains(said, clash))
	})
	t.Run("in one program with both Tinks, conflicts being a warning", func(t *testing.T) {
		said, err := run(t, []string{conflict + "=warn"}, "together")
		require.NoError(t, err)
		require.True(t, strings.Contains(said, clash))
	})
}

// clash is part of what Protocol Buffers says of two of one name. It takes care
// that its words are not relied on: spaces vary.
const clash = "has a name conflict over google.crypto.tink."
