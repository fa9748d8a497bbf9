package wiring

import (
	"testing"

	"example.com/shop/ads"
	"example.com/shop/purposes"
)

func TestRefusal(t *testing.T) { ads.Open(purposes.Security) }
