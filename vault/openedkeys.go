package vault

import "sync"

// openedKeys are the keys that a vault has opened. Each call of [Vault.Scope] finds keys
// here, so finding takes no lock: behind a lock, two cores would do the work of one.
type openedKeys struct {
	keys sync.Map // of keysID to *purposeKeys
}

func (o *openedKeys) find(key keysID) *purposeKeys {
	pk, _ := o.keys.Load(key)
	found, _ := pk.(*purposeKeys)
	return found
}

// add adds pk. The caller holds the mutex of the backend, so that no keys are added after
// the vault was closed.
func (o *openedKeys) add(pk *purposeKeys) { o.keys.Store(pk.id, pk) }

func (o *openedKeys) clear() { o.keys.Clear() }

// all returns all opened keys, in no order.
func (o *openedKeys) all() []*purposeKeys {
	var all []*purposeKeys
	for _, pk := range o.keys.Range {
		all = append(all, pk.(*purposeKeys))
	}
	return all
}
