package shop

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii"
)

func BenchmarkReveal(b *testing.B) {
	pii.Email{}.Reveal(b.Context(), nil)
}
