package vault

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/purpose"
)

// maxImport is the size of the largest keyset that can be imported, in bytes.
const maxImport = 1 << 16

// Import takes over a Tink AEAD keyset, in its cleartext binary or JSON form, for
// what was encrypted under it before and is of purpose p: [Adopt] opens such
// ciphertexts and seals what is in them. Nothing is ever sealed under an imported
// key, and it opens no sealed value, so it does not matter who else still has
// it. Importing another keyset adds its keys; disabled ones are left out.
//
// Whatever is not an AEAD keyset is [ErrInvalid], as is one with a key id that p
// has a key of already, so importing the same keyset twice is refused. Other
// errors are those of [Vault.Rotate].
func (v *Vault) Import(ctx context.Context, p purpose.Purpose, tinkKeyset []byte) error {
	tinkKeyset = bytes.Clone(tinkKeyset) // the caller may clear theirs while a slow store is waited for
	return v.changeKeys(ctx, ActionImport, p, func(r *keyRecord) error {
		defer clear(tinkKeyset)
		from, err := parseImport(tinkKeyset)
		if err != nil {
			return err
		}
		return r.addImport(from)
	})
}

// DropImport removes all keys that were imported for p, once everything has
// been adopted. Without any it does nothing but count up [Vault.Generation].
// Errors are those of [Vault.Rotate].
func (v *Vault) DropImport(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionDestroy, p, func(r *keyRecord) error {
		r.Import = nil
		return nil
	})
}

var errImport = fmt.Errorf("not a cleartext Tink AEAD keyset: %w", ErrInvalid)

func parseImport(data []byte) (*keyset.Handle, error) {
	if len(data) == 0 || len(data) > maxImport {
		return nil, errImport
	}
	var reader keyset.Reader = keyset.NewBinaryReader(bytes.NewReader(data))
	if data[0] == '{' { // no protocol buffer begins so: it would be a group, which Tink has none of
		reader = keyset.NewJSONReader(bytes.NewReader(data))
	}
	h, err := insecurecleartextkeyset.Read(reader)
	if err != nil {
		return nil, errImport
	}
	if _, err := newImported(h); err != nil {
		return nil, errImport
	}
	return h, nil
}

// addImport adds the enabled keys of a keyset to those imported before.
func (r *keyRecord) addImport(from *keyset.Handle) error {
	known, err := r.describe()
	if err != nil {
		return err
	}
	m := keyset.NewManager()
	created := make(map[uint32]int64)
	var before []key.Key
	if r.Import != nil {
		h, err := r.Import.handle()
		if err != nil {
			return errKeyset
		}
		for i := range h.Len() {
			e, err := h.Entry(i)
			if err != nil {
				return errKeyset
			}
			before = append(before, e.Key())
		}
		m = keyset.NewManagerFromHandle(h)
		created = maps.Clone(r.Import.Created)
	}
	for i := range from.Len() {
		e, err := from.Entry(i)
		if err != nil {
			return errImport
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		for _, k := range known {
			if k.ID == e.KeyID() {
				return errImported
			}
		}
		// A raw key has no id of its own, and is given another each time.
		for _, k := range before {
			if k.Equal(e.Key()) {
				return errImported
			}
		}
		id, err := m.AddKey(e.Key())
		if err != nil {
			return errImport
		}
		created[id] = time.Now().Unix()
		if r.Import == nil && e.IsPrimary() {
			if err := m.SetPrimary(id); err != nil {
				return errImport
			}
		}
	}
	next := &keysetRecord{Created: created}
	if err := next.set(m); err != nil {
		return errImport
	}
	r.Import = next
	return nil
}

var errImported = fmt.Errorf("key id is taken, or was imported before: %w", ErrInvalid)

func newImported(h *keyset.Handle) (tink.AEAD, error) { return aead.New(h) }

// Adopt opens what was encrypted under a keyset that [Vault.Import] took over,
// and seals it as a value of kind k for the purpose of s, under its basis. The
// value was collected now, as far as its provenance goes.
//
// What is sealed is what parse makes of the plaintext: a text that is of the
// kind, as in [Scope.IndexSealed], or "" for one that is not, which is
// [ErrCorrupt]. So is a ciphertext that does not open with this associated data
// under any key imported for the purpose, or that is longer than any value's can
// be. A nil parse is [ErrInvalid]. Other errors are those of [Seal].
func Adopt(ctx context.Context, k Kind, ciphertext, associatedData []byte, parse func(plaintext string) string, s *Scope) (Sealed, error) {
	v, err := adopt(ctx, k, ciphertext, associatedData, parse, s)
	if s.audited() {
		err = s.audit(ctx, Event{Action: ActionAdopt, Kind: k.name, Collected: purpose.NewSet(s.Purpose())}, err)
	}
	if err != nil {
		return Sealed{}, &opError{ActionAdopt, k, err}
	}
	return v, nil
}

// maxImportOverhead is what Tink's AEADs add to a plaintext, and more.
const maxImportOverhead = 1024

func adopt(ctx context.Context, k Kind, ciphertext, associatedData []byte, parse func(string) string, s *Scope) (Sealed, error) {
	keys, err := s.keysFor(ctx, k)
	switch {
	case err != nil:
		return Sealed{}, err
	case parse == nil:
		return Sealed{}, fmt.Errorf("nil parse: %w", ErrInvalid)
	case len(ciphertext) > MaxPlaintext+maxImportOverhead:
		return Sealed{}, ErrCorrupt
	}
	imported := keys.imported()
	if imported == nil {
		return Sealed{}, fmt.Errorf("none imported: %w", ErrNoKeys)
	}
	plain, err := imported.Decrypt(ciphertext, bytes.Clone(associatedData))
	if err != nil {
		return Sealed{}, ErrCorrupt
	}
	defer clear(plain)
	text := parse(string(plain))
	if text == "" {
		return Sealed{}, ErrCorrupt
	}
	return seal(ctx, k, text, []slotSealer{s})
}
