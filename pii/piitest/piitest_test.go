package piitest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	security    = purpose.MustParse("security")
	billing     = purpose.MustParse("billing")
	advertising = purpose.MustParse("advertising")
)

func TestSeparate(t *testing.T) {
	kit := piitest.New(t, security, billing, advertising)
	piitest.Separate(t, kit.Vault, security, billing, advertising)

	// Three purposes are six ordered pairs, each with two honest and two times two
	// forged attempts and an index, for two kinds.
	mismatches, forgeries := 0, 0
	for _, e := range kit.Audit.Denied() {
		switch {
		case errors.Is(e.Err, purpose.ErrMismatch):
			mismatches++
		case errors.Is(e.Err, vault.ErrCorrupt):
			forgeries++
		}
	}
	require.Equal(t, 6*2*3, mismatches)
	require.Equal(t, 6*2*4, forgeries)
}

// failing records failures in place of a test.
type failing struct {
	testing.TB
	log []string
}

func (f *failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}
func (f *failing) Fatal(args ...any) {
	f.log = append(f.log, fmt.Sprint(args...))
	runtime.Goexit()
}
func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// failures runs f and returns what it complained of.
func failures(t *testing.T, f func(testing.TB)) []string {
	rec := &failing{TB: t}
	done := make(chan struct{})
	go func() { // for Goexit
		defer close(done)
		f(rec)
	}()
	<-done
	return rec.log
}

func TestSeparateFails(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	for name, test := range map[string]struct {
		purposes []purpose.Purpose
		want     string
	}{
		"no purposes":           {nil, "two different purposes"},
		"one purpose twice":     {[]purpose.Purpose{security, security}, "two different purposes"},
		"purpose without keys":  {[]purpose.Purpose{security, billing}, "no keys"},
		"zero purpose does not": {[]purpose.Purpose{security, {}}, "two different purposes"},
	} {
		t.Run(name, func(t *testing.T) {
			log := failures(t, func(tb testing.TB) { piitest.Separate(tb, kit.Vault, test.purposes...) })
			require.Len(t, log, 1)
			require.Contains(t, log[0], test.want)
		})
	}
}

func TestFixtures(t *testing.T) {
	kit := piitest.New(t, security)
	scope := kit.Scope(security)
	seen := map[string]bool{}
	for range 250 {
		address, err := kit.Email(scope).Reveal(t.Context(), scope)
		require.NoError(t, err)
		number, err := kit.Phone(scope).Reveal(t.Context(), scope)
		require.NoError(t, err)
		require.False(t, seen[address] || seen[number])
		seen[address], seen[number] = true, true
	}
}

func TestScopeWithoutKeys(t *testing.T) {
	log := failures(t, func(tb testing.TB) { piitest.New(tb, security).Scope(billing) })
	require.Len(t, log, 1)
	require.Contains(t, log[0], "name the purpose in piitest.New")
}

func TestRecorder(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	require.Empty(t, kit.Audit.Events())
	ctx := vault.WithCaller(t.Context(), "sign-in")
	email := kit.Email(kit.Scope(security))
	kit.Audit.Reset()
	_, err := email.Reveal(ctx, kit.Scope(advertising))
	require.ErrorIs(t, err, purpose.ErrMismatch)

	events := kit.Audit.Events()
	require.Len(t, events, 2)
	require.Equal(t, vault.ActionOpen, events[0].Action)
	denied := kit.Audit.Denied()
	require.Len(t, denied, 1)
	require.Equal(t, vault.ActionReveal, denied[0].Action)
	require.Equal(t, advertising, denied[0].Purpose)
	require.Equal(t, purpose.NewSet(security), denied[0].Collected)
	require.Equal(t, "sign-in", denied[0].Caller)
}

// Keys that protect nothing must not get into a service by an import.
func TestRefusesToRunOutsideTests(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := filepath.Join(root, "pii", "piitest", "testdata", "outside")
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "used outside a test")
	require.False(t, strings.Contains(string(out), "unreachable"))
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		piitest.New(b, security, advertising)
	}
}
