package vault

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// provenanceNow returns the record of a collection at the time now.
func provenanceNow(now time.Time, basis purpose.Basis) purpose.Provenance {
	if now.Unix() < 0 { // an unset clock, for which the format has no seconds
		now = time.Unix(0, 0)
	}
	p := purpose.Provenance{Collected: now, Legal: basis.Legal, Notice: basis.Notice, Consent: basis.Consent}
	if basis.Retain > 0 {
		p.Expires = now.Add(basis.Retain)
	}
	return p
}
