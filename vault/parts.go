package vault

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

func (v Sealed) parts() (*format.Value, error) {
	if v.IsZero() {
		return nil, errAbsent
	}
	value, ok := format.Split(v.text)
	if !ok {
		return nil, ErrCorrupt
	}
	return value, nil
}

// put seals a slot of the value for s, in place of the one for that purpose if
// there is one.
func put(ctx context.Context, value *format.Value, s *Scope, k Kind, plaintext string, p *purpose.Provenance) error {
	scr := getScratch()
	defer scr.release()
	body, err := s.appendSlotWith(ctx, append(scr.Body[:0], value.ID...), scr, k, plaintext, p)
	if err != nil {
		return err
	}
	value.Put(format.Named{Name: s.Purpose().String(), Slot: append([]byte(nil), body[format.IDSize:]...)})
	return nil
}
