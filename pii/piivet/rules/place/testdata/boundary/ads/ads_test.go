package ads

import (
	"testing"

	"example.com/shop/purposes"
)

func TestSecurityIsRefused(t *testing.T) { _ = purposes.Security }
