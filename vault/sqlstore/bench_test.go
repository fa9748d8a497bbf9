package sqlstore_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/onlyfor/onlyfor/vault"
)

// Records are of the size of a subject's: a 60-byte key behind a few bytes.
// Beside each operation of the store, the barest one that the database has.
func BenchmarkStore(b *testing.B) {
	for _, d := range databases {
		b.Run(d.dialect.String(), func(b *testing.B) {
			tab := d.table(b)
			store := tab.store(b)
			data := bytes.Repeat([]byte{0x5a}, 65)
			name := func(i int) string { return fmt.Sprintf("security/subjects/%032x", i) }
			revision := make([]int64, 512)
			var all []string
			for i := range revision {
				all = append(all, name(i))
				var err error
				if revision[i], err = store.Put(b.Context(), vault.Record{Name: name(i), Data: data}); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("SELECT 1", func(b *testing.B) {
				for b.Loop() {
					var one int
					if err := tab.db.QueryRowContext(b.Context(), "SELECT 1").Scan(&one); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Get 1", func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if r, err := store.Get(b.Context(), all[i%512]); err != nil || len(r) != 1 {
						b.Fatal(len(r), err)
					}
				}
			})
			b.Run("Get 512", func(b *testing.B) {
				for b.Loop() {
					if r, err := store.Get(b.Context(), all...); err != nil || len(r) != 512 {
						b.Fatal(len(r), err)
					}
				}
			})
			b.Run("Get 1, in parallel", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if r, err := store.Get(b.Context(), all[i%512]); err != nil || len(r) != 1 {
							b.Error(len(r), err)
							return
						}
					}
				})
			})
			b.Run("Put over", func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					var err error
					if revision[i%512], err = store.Put(b.Context(), vault.Record{Name: name(i % 512), Data: data, Revision: revision[i%512]}); err != nil {
						b.Fatal(err)
					}
				}
			})
			next := 512
			b.Run("Put new", func(b *testing.B) {
				for ; b.Loop(); next++ {
					if _, err := store.Put(b.Context(), vault.Record{Name: name(next), Data: data}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("List 512", func(b *testing.B) {
				for b.Loop() {
					n := 0
					for _, err := range store.List(b.Context(), "security/subjects/000000", "") {
						if err != nil {
							b.Fatal(err)
						}
						if n++; n == 512 {
							break
						}
					}
				}
			})
		})
	}
}
