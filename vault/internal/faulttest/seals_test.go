package faulttest

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func init() {
	childtest.Children["seal"] = sealChild
}

// sealChild seals so many times and closes its vault. For 0 it seals until it is killed,
// and says after each hundred seals how many it has begun, and how many it was told by
// the store.
func sealChild(args []string) error {
	ctx := context.Background()
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	v, err := vault.OpenAdmin(ctx, vault.Dir(args[0]), vault.LocalKEK(args[1]), &vault.Options{Refresh: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	s, err := v.Scope(ctx, vaulttest.Security)
	if err != nil {
		return err
	}
	for i := 1; n == 0 || i <= n; i++ {
		if _, err := vault.Seal(ctx, vaulttest.Note, "text", s); err != nil {
			return err
		}
		if n == 0 && i%100 == 0 {
			fmt.Println(i)
		}
	}
	return v.Close()
}

func sealsIn(t *testing.T, keys, kek string) (sum uint64) {
	t.Helper()
	v := vaulttest.Open(t, vault.Dir(keys), vault.LocalKEK(kek), nil)
	all, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range all {
		sum += k.Seals
	}
	require.NoError(t, v.Close())
	return sum
}

// The seals of processes that run at once and close their vaults add up, to the last
// one. A process that is killed keeps the seals that it wrote.
func TestSealsOfProcessesAddUp(t *testing.T) {
	dir := t.TempDir()
	keys, kek := filepath.Join(dir, "keys"), filepath.Join(dir, "kek")
	v := vaulttest.Open(t, vault.Dir(keys), vault.LocalKEK(kek), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	require.NoError(t, v.Close())
	const processes, seals = 8, 2000
	var wg sync.WaitGroup
	for range processes {
		cmd := childtest.Command(t, "seal", keys, kek, strconv.Itoa(seals))
		require.NoError(t, cmd.Start())
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err, cmd.Stderr.(*strings.Builder).String())
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, processes*seals, sealsIn(t, keys, kek))

	killed := childtest.Command(t, "seal", keys, kek, "0")
	out, err := killed.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, killed.Start())
	lines := bufio.NewScanner(out)
	written := uint64(0)
	said := 0
	for lines.Scan() { // until the record has some of its seals
		said, err = strconv.Atoi(lines.Text())
		require.NoError(t, err)
		if written = sealsIn(t, keys, kek) - processes*seals; written > 0 {
			break
		}
	}
	require.Positive(t, written)
	require.NoError(t, killed.Process.Kill())
	for lines.Scan() {
		said, err = strconv.Atoi(lines.Text())
		require.NoError(t, err)
	}
	_ = killed.Wait()
	counted := sealsIn(t, keys, kek) - processes*seals
	require.GreaterOrEqual(t, counted, written, "what was written stays")
	require.LessOrEqual(t, counted, uint64(said+100+1), "nothing is counted that was not sealed")
}
