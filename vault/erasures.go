package vault

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// The number of erasures under a purpose is a record of its own, so that an
// erasure does not ask the key service. Together with the generation of the keys
// it says how far a store has come. It is authenticated with the key of
// pseudonyms, which outlives all others.

const erasuresMagic = "ofe1"

func erasuresName(p purpose.Purpose) string { return p.String() + "/erasures" }

func encodeErasures(k *keys, p purpose.Purpose, n uint64) ([]byte, error) {
	tag, err := k.pseudonym.compute(format.AppendErasuresInput(nil, p.String(), n))
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64([]byte(erasuresMagic), n), tag[:]...), nil
}

// decodeErasures returns 0 for no data: nobody was erased yet.
func decodeErasures(k *keys, p purpose.Purpose, data []byte) (uint64, error) {
	if data == nil {
		return 0, nil
	}
	if len(data) != len(erasuresMagic)+8+IndexSize {
		return 0, errErasures
	}
	n := binary.BigEndian.Uint64(data[len(erasuresMagic):])
	want, err := encodeErasures(k, p, n)
	if err != nil {
		return 0, err
	}
	if subtle.ConstantTimeCompare(data, want) != 1 {
		return 0, errErasures
	}
	return n, nil
}

var errErasures = fmt.Errorf("malformed count of erasures: %w", ErrCorrupt)

func (r *ring) countErasure(ctx context.Context, keys *keys) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		seen := r.erasures.Load()
		records, err := r.backend.get(ctx, erasuresName(r.key.purpose))
		if err != nil {
			return err
		}
		n, err := decodeErasures(keys, r.key.purpose, records[0].Data)
		if err != nil {
			return err
		}
		if n < seen {
			return errRollback
		}
		data, err := encodeErasures(keys, r.key.purpose, n+1)
		if err != nil {
			return err
		}
		_, err = r.backend.store.Put(ctx, Record{Name: erasuresName(r.key.purpose), Data: data, Revision: records[0].Revision})
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return storeError(err)
		}
		r.saw(n + 1)
		return nil
	}
}
