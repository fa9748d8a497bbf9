//go:build !purego

// The FIPS 140-3 mode and the build tag purego exclude each other.

package vault_test

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Where the platform allows only FIPS 140 algorithms, X25519 alone is missing. X-Wing, a
// hybrid with ML-KEM, is there, unless the module is too old for it. All else works, and
// what the process can't read it leaves as it is.
func TestCollectorsWithFIPSAlgorithmsOnly(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	store, kek := vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek"))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	older := vaulttest.Open(t, store, kek, &vault.Options{Collectors: vault.X25519})
	var args []string
	for _, kem := range []vault.CollectorKEM{vault.XWing, vault.X25519} {
		c := vaulttest.Collector(t, v, vaulttest.Security)
		args = append(args, mustMarshal(t, c), mustMarshal(t, vaulttest.Seal(t, c)))
		if kem == vault.XWing {
			vaulttest.Rotate(t, older, vaulttest.Security, vault.RoleCollect)
			v = vaulttest.Open(t, store, kek, nil)
		}
	}
	args = append(args, mustMarshal(t, vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security))))
	require.True(t, strings.HasPrefix(args[0], "ofc2.") && strings.HasPrefix(args[2], "ofc1."))

	cmd := childtest.Command(t, "fips only", append([]string{dir}, args...)...)
	cmd.Env = append(cmd.Env, "GODEBUG=fips140=only")
	require.NoError(t, cmd.Run(), "%s", cmd.Stderr)

	after := vaulttest.Open(t, store, kek, nil)
	s := vaulttest.Scope(t, after, vaulttest.Security)
	for _, i := range []int{1, 3, 4} {
		value, err := vault.ParseSealed(args[i])
		require.NoError(t, err)
		vaulttest.Opens(t, s, value)
	}
	keys, err := after.Keys(ctx, vaulttest.Security)
	require.NoError(t, err)
	var got []vault.CollectorKEM
	for _, k := range keys {
		if k.Role == vault.RoleCollect {
			got = append(got, k.KEM)
		} else {
			require.Empty(t, k.KEM)
		}
	}
	require.ElementsMatch(t, []vault.CollectorKEM{vault.XWing, vault.X25519}, got)
}

func init() {
	childtest.Children["fips only"] = func(args []string) error {
		ctx, dir := context.Background(), args[0]
		if !fips140.Enforced() {
			return errors.New("not enforced")
		}
		var errXWing, errNoXWing error // of parsing a text or opening a value, and of opening keys
		if fips140.Version() == "v1.0.0" {
			errXWing, errNoXWing = vault.ErrCorrupt, vault.ErrNoKeys
		}
		v, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
		if err != nil {
			return err
		}
		defer v.Close()
		s, err := v.Scope(ctx, vaulttest.Security)
		if err != nil {
			return err
		}
		reveal := func(text string) error {
			value, err := vault.ParseSealed(text)
			if err != nil {
				return fmt.Errorf("parsing: %v", err)
			}
			_, err = s.Reveal(ctx, vaulttest.Note, value)
			return err
		}
		parse := func(text string) error {
			_, err := vault.ParseCollector(text, nil)
			return err
		}
		collector := func(v *vault.Admin) error {
			c, err := v.Collector(ctx, vaulttest.Security)
			if err == nil {
				_, err = vault.Seal(ctx, vaulttest.Note, "text", c)
			}
			return err
		}
		x25519, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(dir, "kek")), &vault.Options{Collectors: vault.X25519})
		if err != nil {
			return err
		}
		defer x25519.Close()
		fresh, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
		if err != nil {
			return err
		}
		defer fresh.Close()
		for _, c := range []struct {
			name string
			got  error
			want error
		}{
			{"the text of X-Wing", parse(args[1]), errXWing},
			{"a value of X-Wing", reveal(args[2]), errXWing},
			{"the text of X25519", parse(args[3]), vault.ErrCorrupt},
			{"a value of X25519", reveal(args[4]), vault.ErrCorrupt},
			{"a value of a scope", reveal(args[5]), nil},
			{"a collector of X25519", collector(v), vault.ErrNoKeys},
			{"rotating seal keys", v.Rotate(ctx, vaulttest.Security, vault.RoleSeal), nil},
			{"generating with X25519", x25519.Generate(ctx, vaulttest.Security), nil},
			{"a collector that was not made", collector(x25519), vault.ErrNoKeys},
			{"rotating to X25519", x25519.Rotate(ctx, vaulttest.Security, vault.RoleCollect), vault.ErrUnavailable},
			{"generating with X-Wing", fresh.Generate(ctx, vaulttest.Security), nil},
			{"a collector of X-Wing", collector(fresh), errNoXWing},
		} {
			if !errors.Is(c.got, c.want) {
				return fmt.Errorf("%s: %v, not %v", c.name, c.got, c.want)
			}
		}
		return nil
	}
}
