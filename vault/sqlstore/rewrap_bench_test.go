package sqlstore_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/internal/faraway"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// BenchmarkRewrapSubjects moves the keys of 1,000 subjects on each database, and on
// PostgreSQL also behind a proxy that delays. It prints the time for each subject where all
// have to be moved (first) and where all are done (again), beside the shortest
// measured round trip. "single" is a store without Replace.
//
//	.ci/databases go -C vault/sqlstore test -run '^$' -bench RewrapSubjects -benchtime 1x .
func BenchmarkRewrapSubjects(b *testing.B) {
	for _, d := range databases {
		delays := []time.Duration{0}
		if d.dialect.String() == "PostgreSQL" {
			delays = []time.Duration{0, 500 * time.Microsecond, 2500 * time.Microsecond}
		}
		for _, delay := range delays {
			for _, single := range []bool{false, true} {
				name := fmt.Sprintf("%v/delay=%v/single=%v", d.dialect, delay, single)
				b.Run(name, func(b *testing.B) { benchmarkRewrap(b, d, delay, single) })
			}
		}
	}
}

func benchmarkRewrap(b *testing.B, d database, delay time.Duration, single bool) {
	const subjects = 1000
	ctx := b.Context()
	tab := d.table(b)
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(b, err)
	wrapping, err := aead.New(handle)
	require.NoError(b, err)
	kek := vault.SharedKEK(wrapping)
	p := purpose.MustParse("security")
	near, err := vault.OpenAdmin(ctx, tab.store(b), kek, nil)
	require.NoError(b, err)
	defer near.Close()
	require.NoError(b, near.Generate(ctx, p))
	s, err := near.Scope(ctx, p)
	require.NoError(b, err)
	var sealing sync.WaitGroup // 8 at a time, as the pool has connections
	for i := range 8 {
		sealing.Go(func() {
			for j := i; j < subjects; j += 8 {
				if _, err := vault.Seal(ctx, vaulttest.Note, "text", s.For("user-"+strconv.Itoa(j))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	sealing.Wait()

	if delay > 0 {
		u, err := url.Parse(tab.from)
		require.NoError(b, err)
		far, err := faraway.Listen(u.Host, delay)
		require.NoError(b, err)
		defer far.Close()
		u.Host = far.Addr().String()
		tab.from = u.String()
	}
	db := tab.open(b)
	var store vault.Store = tab.over(b, db)
	if single {
		store = struct{ vault.Store }{store}
	}
	admin, err := vault.OpenAdmin(ctx, store, kek, nil)
	require.NoError(b, err)
	defer admin.Close()
	require.NoError(b, db.Ping())
	var trips []time.Duration
	for range 20 {
		began := time.Now()
		_, err := db.Exec("SELECT 1")
		require.NoError(b, err)
		trips = append(trips, time.Since(began))
	}
	var first, again time.Duration
	for b.Loop() {
		vaulttest.Rotate(b, admin, p, vault.RoleSeal)
		for _, took := range []*time.Duration{&first, &again} {
			began := time.Now()
			var at vault.Progress
			require.NoError(b, admin.RewrapSubjects(ctx, p, "", func(now vault.Progress) error { at = now; return nil }))
			*took += time.Since(began)
			require.Equal(b, subjects, at.Seen)
			require.Equal(b, took == &first, at.Changed == subjects)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(slices.Min(trips).Microseconds()), "µs/round-trip")
	b.ReportMetric(float64(first.Microseconds())/float64(b.N)/subjects, "µs/first")
	b.ReportMetric(float64(again.Microseconds())/float64(b.N)/subjects, "µs/again")
}
