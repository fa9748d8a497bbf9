package reconcile_test

import (
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
)

// The cost of a record of an audit device, of which most are about other keys.
func BenchmarkHCVault(b *testing.B) {
	one := hcvault(callsAt(1)[1:2])
	text := strings.Repeat(one, 1000)
	lines := strings.Count(text, "\n")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, err := range reconcile.HCVault("a", strings.NewReader(text)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/record")
}
