package vault

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// The id of a vault is random, in a record of its own. Every key record, subject record
// and record of erasures binds it, so no record of another vault passes for one of this
// vault, even under a KEK that serves both.

// vaultRecordName is the name of the record with the id of the vault. It begins with a
// digit, so it is in the folder of no purpose.
const vaultRecordName = "0-vault"

var (
	errVaultRecord = fmt.Errorf("malformed vault id: %w", ErrCorrupt)
	errNoVaultID   = fmt.Errorf("key store has lost its vault id: %w", ErrCorrupt)
	errOtherVault  = fmt.Errorf("key store has a record of another vault: %w", ErrCorrupt)
)

// newVaultID returns the id of a new vault.
func newVaultID() (id format.VaultID) {
	rand.Read(id[:])
	return id
}

// encodeVaultID returns the record of an id.
func encodeVaultID(id format.VaultID) []byte { return append([]byte(format.VaultMagic), id[:]...) }

// decodeVaultID is the reverse of encodeVaultID. Every fault is errVaultRecord.
func decodeVaultID(data []byte) (id format.VaultID, err error) {
	if len(data) != len(format.VaultMagic)+format.VaultIDSize || string(data[:len(format.VaultMagic)]) != format.VaultMagic {
		return id, errVaultRecord
	}
	return format.VaultID(data[len(format.VaultMagic):]), nil
}

// checkVaultID returns the id in the record of that name. A record that is absent is
// errNoVaultID. Once the vault has opened keys, another id is errOtherVault.
func (b *backend) checkVaultID(record Record) (format.VaultID, error) {
	if record.Revision == 0 {
		return format.VaultID{}, errNoVaultID
	}
	id, err := decodeVaultID(record.Data)
	if err != nil {
		return id, err
	}
	if known := b.vault.Load(); known != nil && *known != id {
		return id, errOtherVault
	}
	return id, nil
}

// noteVaultID keeps the id of a vault whose keys have opened. Two purposes that open at
// once have to agree.
func (b *backend) noteVaultID(id format.VaultID) error {
	if b.vault.CompareAndSwap(nil, &id) || *b.vault.Load() == id {
		return nil
	}
	return errOtherVault
}

// isEmpty reports whether the store has no record below prefix.
func (b *backend) isEmpty(ctx context.Context, prefix string) (bool, error) {
	for _, err := range b.store.List(ctx, prefix, "") {
		return false, storeError(err)
	}
	return true, nil
}
