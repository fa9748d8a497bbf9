package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// LocalKEK returns a [KEK] that keeps its keys as files in the directory dir:
// one for each purpose, such as security.kek. It is for trying things out and
// for machines that have no key service.
//
// Who may read a file may use its purpose. So what keeps the advertising
// process out of the security data is that it can't read security.kek: give
// each process a directory of its own, with the files of its purposes only, and
// run processes of different purposes as different users, or in containers that
// see only their own directory. Processes of one user that see each other's
// files have each other's purposes, whatever scopes they open. A [Dir] is not
// shared between users either; it too can be one for each.
//
// The files are secret, and not encrypted. Whoever copies the directory
// together with the key store has everything: leave it out of the backup that
// holds the key store, and keep it where that backup's reader can't get at it.
// Without a copy of it, though, a lost disk is the loss of all sealed values.
//
// The directory and its files are held to the same rules as those of [Dir],
// and refused with [ErrNoKeys] otherwise. So is a purpose without a file:
// For makes none. [Vault.Generate] makes the file of a purpose that has none,
// and the directory; the one above it must exist. A directory that others may
// read, as testing's TempDir makes them, is refused: name one below it. A file is never overwritten.
// An empty dir is [ErrInvalid].
//
// A file is a Tink keyset in cleartext JSON whose keys are AES-256-GCM with
// the TINK prefix, which Tink's own tool, tinkey, reads and rotates (mind the
// modes of the files that it writes). Any other is [ErrCorrupt]. A file is
// read when a vault opens or changes a purpose's keys.
func LocalKEK(dir string) KEK {
	return &localKEK{dir, privatefile.New(dir)}
}

type localKEK struct {
	path  string
	files *privatefile.Dir
}

// maxLocalKEK is room for some two hundred keys.
const maxLocalKEK = 1 << 16

// For returns the AEAD of purpose p.
func (k *localKEK) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	if err := k.check(ctx, p); err != nil {
		return nil, err
	}
	return k.load(k.files.Read, p)
}

// Generate makes a key for p unless it has one. Of several processes that
// generate at once, one makes the key and all use it.
func (k *localKEK) Generate(ctx context.Context, p purpose.Purpose) error {
	if err := k.check(ctx, p); err != nil {
		return err
	}
	// Once without the lock, which needs the right to write: where somebody else
	// provides the file, there is nothing to be done.
	if done, err := k.has(k.files.Read, p); done || err != nil {
		return err
	}
	lock, err := k.files.Lock(ctx)
	if err != nil {
		return k.fail(err)
	}
	defer lock.Unlock()
	if done, err := k.has(lock.Read, p); done || err != nil {
		return err
	}
	file, err := newLocalKEK()
	if err != nil {
		return fmt.Errorf("local KEK %s: making a key: %w", k.path, ErrUnavailable)
	}
	return k.fail(lock.Write(kekFile(p), file))
}

// has reports whether there is a file for p. One that does not load is an
// error: it must neither pass for a key nor be overwritten, as it may be all
// that is left of one.
func (k *localKEK) has(read readFunc, p purpose.Purpose) (bool, error) {
	_, err := k.load(read, p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (k *localKEK) load(read readFunc, p purpose.Purpose) (AEAD, error) {
	file, err := read(kekFile(p), maxLocalKEK)
	if err != nil {
		return nil, k.fail(err)
	}
	a, err := parseLocalKEK(file)
	if err != nil {
		return nil, fmt.Errorf("local KEK %s: file %s is not a keyset of AES-256-GCM keys: %w", k.path, kekFile(p), err)
	}
	return a, nil
}

// kekFile returns a file's name: names of purposes are safe in paths.
func kekFile(p purpose.Purpose) string { return p.String() + ".kek" }

func (k *localKEK) check(ctx context.Context, p purpose.Purpose) error {
	switch {
	case k.path == "":
		return fmt.Errorf("local KEK: empty path: %w", ErrInvalid)
	case p.IsZero():
		return fmt.Errorf("local KEK %s: no purpose: %w", k.path, ErrInvalid)
	}
	return k.fail(ctx.Err())
}

func (k *localKEK) fail(err error) error {
	if err == nil {
		return nil
	}
	kind := fileErrorKind(err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		kind = ErrAccessDenied // who may read the file may use its purpose
	}
	return fmt.Errorf("local KEK %s: %w: %w", k.path, err, kind)
}

func newLocalKEK() ([]byte, error) {
	h, err := newSealKeyset()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parseLocalKEK drops the errors of Tink and of its JSON parser, which quote
// what they read: here, keys.
func parseLocalKEK(file []byte) (AEAD, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file)))
	if err != nil {
		return nil, ErrCorrupt
	}
	c, err := newCipherSet(h)
	if err != nil {
		return nil, ErrCorrupt
	}
	return localAEAD(func() *cipherSet { return c }), nil
}

// A localAEAD is a function so that fmt and test diffs, which look into
// unexported fields, print an address and no key.
type localAEAD func() *cipherSet

// Encrypt encrypts with the primary key.
func (a localAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a().seal(nil, plaintext, associatedData), nil
}

// Decrypt returns what Encrypt was given, or [ErrCorrupt].
func (a localAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a().open(nil, ciphertext, associatedData)
}
