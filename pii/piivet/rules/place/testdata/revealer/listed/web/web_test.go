package web

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii"
)

func TestReveal(t *testing.T) {
	pii.Email{}.Reveal(t.Context(), nil)
}
