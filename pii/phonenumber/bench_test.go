package phonenumber_test

import (
	"math/rand/v2"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, input, region string }{
		{"national", "020 7946 0018", "GB"},
		{"international", "+44 20 7946 0018", "GB"},
		{"refused", "+44 20 7946 0018 x 5", "GB"},
		{"own code, no plus", "44 20 7946 0018", "GB"},
		{"00", "0044 20 7946 0018", "DE"},
		{"00, the plan has others", "0044 20 7946 0018", "FI"},
		{"begins with its own code", "47 12 34 56", "NO"},
		{"two readings", "49 151 23456789", "DE"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				phonenumber.Parse(bench.input, bench.region)
			}
		})
	}
	// Numbers of all plans, typed in national form.
	type typed struct{ text, region string }
	var all []typed
	for _, n := range validNumbers(rand.New(rand.NewPCG(1, 0)), plans(b), 2) {
		if n.region != "" {
			all = append(all, typed{phonenumbers.Format(n.number, phonenumbers.NATIONAL), n.region})
		}
	}
	b.Run("national, all plans", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			phonenumber.Parse(all[i%len(all)].text, all[i%len(all)].region)
			i++
		}
	})
}
