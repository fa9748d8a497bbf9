package auditlog_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The bytes on the disk for each revealed value: an event for each, by one caller or by as
// many at a time as share a commit, and an event for each batch of 1,000 values. A body can
// be deleted at the end of its retention; the tree stays.
func BenchmarkSize(b *testing.B) {
	for _, c := range []struct {
		name          string
		values, batch int
		callers       int
	}{
		{"one caller", 1 << 12, 1, 1},
		{"callers=2048", 1 << 16, 1, 2048},
		{"batches of 1000", 1 << 16, 1000, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p := newPlace(b)
				l := p.open(b, nil)
				v := vaulttest.Generated(b, &vault.Options{Audit: l}, vaulttest.Security)
				scope := vaulttest.Scope(b, v, vaulttest.Security).Under(purpose.Basis{Notice: "2fa-prompt-v3"})
				value := vaulttest.Seal(b, scope)
				ctx := audit.WithCaller(b.Context(), "mailer@prod-7")
				reveal := func(ctx context.Context, _ int) {
					if _, err := scope.Reveal(ctx, vaulttest.Note, value); err != nil {
						b.Error(err)
					}
				}
				before := l.Head().Size
				var wg sync.WaitGroup
				for range c.callers {
					wg.Go(func() {
						for left := c.values / c.callers; left > 0; left -= c.batch {
							audit.Batch(ctx, min(c.batch, left), runtime.GOMAXPROCS(0), reveal)
						}
					})
				}
				wg.Wait()
				events := float64(l.Head().Size - before)
				require.NoError(b, l.Close())
				bodies, tree := sizes(b, p.dir)
				b.ReportMetric((bodies+tree)/float64(c.values), "B/value")
				b.ReportMetric(bodies/events, "bodies-B/event")
				b.ReportMetric(tree/events, "tree-B/event")
			}
		})
	}
}

// sizes returns the bytes of the files of bodies, and those of all other files of a log.
func sizes(b *testing.B, dir string) (bodies, tree float64) {
	require.NoError(b, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if strings.Contains(path, "bodies") {
			bodies += float64(info.Size())
		} else {
			tree += float64(info.Size())
		}
		return err
	}))
	return bodies, tree
}
