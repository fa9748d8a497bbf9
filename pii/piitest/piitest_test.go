package piitest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// failing records failures in place of a test.
type failing struct {
	testing.TB
	log []string
}

func (f *failing) Helper()           {}
func (f *failing) Error(args ...any) { f.log = append(f.log, fmt.Sprint(args...)) }
func (f *failing) Errorf(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}
func (f *failing) Fatal(args ...any) {
	f.log = append(f.log, fmt.Sprint(args...))
	runtime.Goexit()
}
func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// failures runs f and returns what it complained of. No complaint may hold one
// of the addresses and numbers that tests use.
func failures(t *testing.T, f func(testing.TB)) []string {
	t.Helper()
	rec := &failing{TB: t}
	done := make(chan struct{})
	go func() { // for Goexit
		defer close(done)
		f(rec)
	}()
	<-done
	for _, message := range rec.log {
		require.False(t, personal.MatchString(message), "a message holds a value")
		require.True(t, strings.HasPrefix(message, "piitest: "), message)
	}
	return rec.log
}

var personal = regexp.MustCompile(`@example|canary-[a-z0-9]|\+1\d{10}|55501\d\d`)

// complains is failures for a single complaint, which holds all the given parts.
func complains(t *testing.T, f func(testing.TB), parts ...string) {
	t.Helper()
	log := failures(t, f)
	require.Len(t, log, 1)
	for _, part := range parts {
		require.Contains(t, log[0], part)
	}
}

// here returns the place that is some lines below the caller, as messages name it.
func here(below int) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", filepath.Base(file), line+below)
}

func TestFixturesAreDistinct(t *testing.T) {
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

func TestKitFails(t *testing.T) {
	kit := piitest.New(t, security)
	for name, test := range map[string]struct {
		f    func(testing.TB)
		want string
	}{
		"scope without keys": {func(tb testing.TB) { piitest.New(tb, security).Scope(billing) }, "name the purpose in piitest.New"},
		"no purpose":         {func(tb testing.TB) { piitest.New(tb, purpose.Purpose{}) }, "invalid argument"},
		"email for nobody":   {func(tb testing.TB) { piitest.New(tb).Email() }, "invalid argument"},
		"phone for nobody":   {func(tb testing.TB) { piitest.New(tb).Phone() }, "invalid argument"},
		"store that can't be listed": {func(tb testing.TB) {
			outage := &piitest.Outage{}
			outage.Script(piitest.Step{Call: piitest.StoreList, Fault: piitest.Deny})
			v, err := vault.OpenAdmin(tb.Context(), outage.Store(kit.Store), kit.KEK, nil)
			require.NoError(tb, err)
			defer v.Close()
			piitest.Separate(tb, v.Vault())
		}, "name the purposes instead"},
	} {
		t.Run(name, func(t *testing.T) { complains(t, test.f, test.want) })
	}
}

// The kit's store and KEK are those of its vault, as another process would have them.
func TestKitOpensTwice(t *testing.T) {
	kit := piitest.New(t, security)
	v, err := vault.OpenAdmin(t.Context(), kit.Store, kit.KEK, nil)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	scope, err := v.Scope(t.Context(), security)
	require.NoError(t, err)
	_, err = kit.Email(kit.Scope(security)).Reveal(t.Context(), scope)
	require.NoError(t, err)
}

// Keys that protect nothing must not get into a service by an import.
func TestRefusesToRunOutsideTests(t *testing.T) {
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = filepath.Join("testdata", "outside")
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, []string{"New", "Golden", "Separate", "Audit", "Only", "Script", "Canary", "NoLeak", "NoLeakParallel", "Seed", "Labels"},
		strings.Fields(string(out)))
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		piitest.New(b, security, advertising)
	}
}

func BenchmarkSeparate(b *testing.B) {
	kit := piitest.New(b, security, billing, advertising)
	b.ReportAllocs()
	for b.Loop() {
		piitest.Separate(b, kit.Vault)
		kit.Audit.Reset()
	}
}
