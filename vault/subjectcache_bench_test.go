package vault_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// BenchmarkSubjectCacheSize prints the bytes of the heap that a cached subject takes:
//
//	go test ./vault -run '^$' -bench SubjectCacheSize -benchtime 1x
func BenchmarkSubjectCacheSize(b *testing.B) {
	const subjects = 100_000
	ids := make([]string, subjects)
	for i := range ids {
		ids[i] = "user-" + strconv.Itoa(i)
	}
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(b))
	writer, err := vault.OpenAdmin(b.Context(), store, kek, nil)
	require.NoError(b, err)
	require.NoError(b, writer.Generate(b.Context(), vaulttest.Security))
	scope := vaulttest.Scope(b, writer, vaulttest.Security)
	for _, id := range ids {
		_, err := vault.Seal(b.Context(), vaulttest.Note, benchText, scope.For(id))
		require.NoError(b, err)
	}
	writer.Close()
	var total uint64
	for b.Loop() {
		// The cache is in shards, of which each must have room for its subjects.
		v, err := vault.OpenAdmin(b.Context(), store, kek, &vault.Options{SubjectCache: 2 * subjects})
		require.NoError(b, err)
		scope := vaulttest.Scope(b, v, vaulttest.Security)
		before := heap()
		for from := 0; from < subjects; from += 1000 {
			require.NoError(b, scope.Prefetch(b.Context(), ids[from:from+1000]...))
		}
		total += heap() - before
		runtime.KeepAlive(v)
		v.Close()
	}
	b.ReportMetric(float64(total)/float64(b.N)/subjects, "B/subject")
	b.ReportMetric(0, "ns/op")
}

// heap returns the bytes in use on the heap.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // frees the contents of pools
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
