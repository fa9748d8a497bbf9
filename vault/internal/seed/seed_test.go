package seed_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/seed"
)

// A failing test ends as told, and keeps what it logs.
type failing struct {
	testing.TB
	fails   bool
	cleanup []func()
	log     []string
}

func (f *failing) Helper()                   {}
func (f *failing) Cleanup(end func())        { f.cleanup = append(f.cleanup, end) }
func (f *failing) Failed() bool              { return f.fails }
func (f *failing) Logf(s string, a ...any)   { f.log = append(f.log, fmt.Sprintf(s, a...)) }
func (f *failing) Fatalf(s string, a ...any) { panic(fmt.Sprintf(s, a...)) }

func (f *failing) end() {
	for _, end := range f.cleanup {
		end()
	}
}

// The seed that a failing test prints gives the same numbers again.
func TestPrintedSeedRepeats(t *testing.T) {
	t.Setenv(seed.Variable, "")
	f := &failing{TB: t, fails: true}
	first := seed.Rand(f).Uint64()
	f.end()
	require.Len(t, f.log, 1)
	var n, again uint64
	_, err := fmt.Sscanf(f.log[0], "seed %d: repeat with ONLYFOR_SEED=%d", &n, &again)
	require.NoError(t, err)
	require.Equal(t, n, again)
	t.Setenv(seed.Variable, strconv.FormatUint(n, 10))
	require.Equal(t, first, seed.Rand(t).Uint64())
}

func TestSeedOfASuccessIsNotPrinted(t *testing.T) {
	f := &failing{TB: t}
	seed.Rand(f)
	f.end()
	require.Empty(t, f.log)
}

func TestMalformedSeedIsRefused(t *testing.T) {
	t.Setenv(seed.Variable, "-1")
	require.Panics(t, func() { seed.Rand(&failing{TB: t}) })
}
