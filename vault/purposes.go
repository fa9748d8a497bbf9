package vault

import (
	"context"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// Purposes returns the purposes that the store has keys for. It asks no key
// service. [ErrUnavailable] is a store that does not answer and a ctx that is
// done, [ErrNoKeys] a closed vault.
func (v *Vault) Purposes(ctx context.Context) (purpose.Set, error) {
	var found []purpose.Purpose
	err := v.alone(ctx, actionPurposes, purpose.Purpose{}, func(ctx context.Context) (err error) {
		found, err = v.listPurposes(ctx)
		return err
	})
	if err != nil {
		return purpose.Set{}, fmt.Errorf("vault: listing purposes: %w", err)
	}
	return purpose.NewSet(found...), nil
}

// errOrder is a store that lists what it was not asked for.
var errOrder = fmt.Errorf("key store lists names out of order: %w", ErrCorrupt)

func (v *Vault) listPurposes(ctx context.Context) (found []purpose.Purpose, err error) {
	after := ""
	for {
		folder, more := "", false
		for name, err := range v.store.List(ctx, "", after) {
			if err != nil {
				return nil, storeError(err)
			}
			if name <= after { // or there would be no end
				return nil, errOrder
			}
			folder, _, more = strings.Cut(name, "/")
			break
		}
		if !more {
			return found, nil
		}
		if p, err := purpose.Parse(folder); err == nil {
			records, err := v.get(ctx, keyRecordName(p))
			if err != nil {
				return nil, err
			}
			if records[0].Revision != 0 {
				found = append(found, p)
			}
		}
		after = folder + "0" // past all of "folder/", subjects may be many
	}
}
