package faulttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func init() { childtest.Children["use"] = use }

// The settings of the child. A busy machine makes a look later, and never earlier.
const (
	brakeRefresh  = 200 * time.Millisecond
	brakeLifetime = 2 * time.Second
	brakeNotice   = "2fa-prompt-v2"
)

// use is a service: for each line that it reads, it uses two values, of which the first is
// under brakeNotice, and prints the results.
func use(args []string) error {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Dir(args[0]), vault.LocalKEK(args[1]), &vault.Options{Refresh: brakeRefresh, SuspendLifetime: brakeLifetime})
	if err != nil {
		return err
	}
	s, err := v.Scope(ctx, vaulttest.Security)
	if err != nil {
		return err
	}
	noticed, err := vault.ParseSealed(args[2])
	if err != nil {
		return err
	}
	other, err := vault.ParseSealed(args[3])
	if err != nil {
		return err
	}
	word := func(err error) string {
		for _, e := range []error{vault.ErrSuspended, vault.ErrUnavailable, vault.ErrCorrupt} {
			if errors.Is(err, e) {
				return e.Error()
			}
		}
		if err != nil {
			return "other"
		}
		return "allowed"
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_, revealed := s.Reveal(ctx, vaulttest.Note, noticed)
		_, indexed := s.IndexSealed(ctx, vaulttest.Note, noticed, vaulttest.Accepting(func(text string) string { return text }))
		_, elsewhere := s.Reveal(ctx, vaulttest.Note, other)
		_, sealed := vault.Seal(ctx, vaulttest.Note, "text", s)
		_, resealed := vault.Reseal(ctx, vaulttest.Note, noticed, nil, s)
		fmt.Printf("%s, %s; %s, %s, %s\n", word(revealed), word(indexed), word(elsewhere), word(sealed), word(resealed))
	}
	return nil
}

// One command stops a notice in another process, which goes on with everything else. Cut
// off from its store, the process stops altogether. The store comes back from before the
// suspension: the process does not fall for it.
func TestBrakeOfAnotherProcess(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	keys, kek := filepath.Join(dir, "keys"), filepath.Join(dir, "kek")
	admin := vaulttest.Open(t, vault.Dir(keys), vault.LocalKEK(kek), nil)
	require.NoError(t, admin.Generate(ctx, vaulttest.Security))
	s := vaulttest.Scope(t, admin, vaulttest.Security)
	noticed, other := vaulttest.Seal(t, s.Under(purpose.Basis{Notice: brakeNotice})), vaulttest.Seal(t, s)
	before := olderCopy(t, keys)

	cmd := childtest.Command(t, "use", keys, kek, string(vaulttest.MustText(t, noticed)), string(vaulttest.MustText(t, other)))
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	answers := bufio.NewReader(out)
	ask := func() string {
		t.Helper()
		_, err := io.WriteString(in, "\n")
		require.NoError(t, err)
		line, err := answers.ReadString('\n')
		require.NoError(t, err, cmd.Stderr.(*strings.Builder).String())
		return strings.TrimSuffix(line, "\n")
	}
	become := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ask() != want && time.Now().Before(end); {
			time.Sleep(brakeRefresh / 4)
		}
		require.Equal(t, want, ask())
	}
	const going, stopped = "allowed, allowed; allowed, allowed, allowed", "suspended, suspended; allowed, allowed, allowed"
	require.Equal(t, going, ask())

	require.NoError(t, admin.Suspend(ctx, vaulttest.Security, vault.Suspension{Notice: brakeNotice, Reason: "deceptive"}))
	become(stopped) // within Refresh: TestSuspensionReachesOtherProcesses has a clock of its own
	require.NoError(t, admin.Resume(ctx, vaulttest.Security, brakeNotice))
	become(going)
	require.NoError(t, admin.Suspend(ctx, vaulttest.Security, vault.Suspension{Notice: brakeNotice}))
	become(stopped)

	// The store is put back to before the suspension, and then it is gone.
	away := keys + ".away"
	require.NoError(t, os.Rename(keys, away))
	require.NoError(t, os.Rename(before, keys))
	for range 5 {
		time.Sleep(brakeRefresh)
		noticed, _, _ := strings.Cut(ask(), ";")
		require.NotContains(t, noticed, "allowed", "an older store ends no suspension")
	}
	require.NoError(t, os.Rename(keys, before))
	time.Sleep(brakeLifetime)
	require.Equal(t, "unavailable, unavailable; unavailable, allowed, allowed", ask())
	for os.Rename(away, keys) != nil { // the process looks at times, and makes the directory
		require.NoError(t, t.Context().Err())
		os.RemoveAll(keys)
	}
	become(stopped)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
}

// olderCopy returns a copy of a directory, with the modes of its files.
func olderCopy(t *testing.T, dir string) string {
	t.Helper()
	to := dir + ".before"
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := to + strings.TrimPrefix(path, dir)
		if e.IsDir() {
			return os.Mkdir(at, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, data, 0o600)
	}))
	return to
}
