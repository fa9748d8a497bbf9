package suitetest

import (
	"testing"

	"example.com/guarded/guarded"
	"example.com/guarded/guarded/internal/limit"
)

func TestSuite(t *testing.T) {
	for n := range 5 {
		if guarded.Suite(n) != limit.Below(n) {
			t.Fail()
		}
	}
}
