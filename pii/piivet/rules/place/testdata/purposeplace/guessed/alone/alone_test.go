package main

import (
	"testing"

	"github.com/onlyfor/onlyfor/purpose"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"a", "b"} {
		purpose.MustParse(name)
	}
}
