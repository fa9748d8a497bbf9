package vault

import (
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// maxSkew is by how much the clocks of two machines may differ.
const maxSkew = 5 * time.Minute

// maxLead is by how much a collector's clock may be ahead before what it sealed
// is taken for forged. Otherwise a value could answer "retry" for years, and
// hold up every run over the table.
const maxLead = 24 * time.Hour

// checkTime refuses a slot whose retention is over. The clock is [time.Now]; one
// that stands before the collection was set back, and can't tell.
func checkTime(s format.Slot) error {
	if !s.Expires() {
		return nil
	}
	p := s.Provenance()
	switch now := time.Now(); {
	case !now.Before(p.Expires):
		return ErrExpired
	case s.Type() == format.OfCollector && now.Add(maxLead).Before(p.Collected):
		return ErrCorrupt // whoever has the public key says when, and can say anything
	case now.Add(maxSkew).Before(p.Collected):
		return errClock
	}
	return nil
}

var errClock = fmt.Errorf("clock stands before the collection: %w", ErrUnavailable)
