package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// LocalKEK returns a [KEK] that keeps its keys as files in the directory dir, one for
// each purpose, such as security.kek. It is for experiments and for machines without
// a key service.
//
// A user who may read a file may use its purpose. The advertising process is kept
// out of the security data only because it can't read security.kek. Give each
// process a directory of its own with the files of its purposes only, and run
// processes of different purposes as different users, or in containers that see only
// their own directory. For CheckDenied, a process names with [KEKs] the directory of the
// other user for each purpose of that user. Processes of one user that see each other's files have each
// other's purposes, regardless of the scopes that they open. A [Dir] is not shared
// between users either, and each user can have one.
//
// The files are secret, and not encrypted. A copy of the directory together with the
// key store gives access to everything. Leave the directory out of the backup that
// holds the key store, and keep it where a reader of that backup can't reach it.
// Without a copy of the directory, though, a lost disk is the loss of all sealed
// values.
//
// The privacy rules of [Dir] hold for the directory and its files, and one that
// breaks them is refused with [ErrNoKeys]. A purpose without a file is ErrNoKeys too:
// For makes no file. A file or directory of another user that this process can't open is
// [ErrAccessDenied], which is a proof for [Vault.CheckDenied]. A file that is missing
// proves nothing, because it may be elsewhere, and nor does a file of this process's own
// user, whatever its mode: its owner may change the mode. [Admin.Generate] makes the file of a purpose that has none, and
// makes the directory, whose parent must exist for the reason that Dir gives. A file is never overwritten. A
// directory that others may read is refused; the TempDir of package testing is such
// a directory, so name one below it. An empty dir is [ErrInvalid].
//
// A file is a Tink keyset in cleartext JSON, with AES-256-GCM keys that have the TINK
// prefix. Tink's own tool, tinkey, reads and rotates it (mind the modes of the files
// that tinkey writes). Any other content is [ErrCorrupt]. A file is read when a vault
// opens or changes the keys of a purpose.
func LocalKEK(dir string) KEK {
	return &localKEK{dir, privatefile.New(dir)}
}

type localKEK struct {
	path  string
	files *privatefile.Dir
}

// maxLocalKEK is the size of the largest key file, in bytes. It has room for some two
// hundred keys.
const maxLocalKEK = 1 << 16

// For returns the AEAD of purpose p.
func (k *localKEK) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	if err := k.check(ctx, p); err != nil {
		return nil, err
	}
	return k.load(k.files.Read, p)
}

// Generate makes a key for p unless there is one. If several processes generate at
// once, one of them makes the key and all use it.
func (k *localKEK) Generate(ctx context.Context, p purpose.Purpose) error {
	if err := k.check(ctx, p); err != nil {
		return err
	}
	// The first check takes no lock, because the lock needs the right to write:
	// where somebody else provides the file, there is nothing to do.
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

// has reports whether there is a file for p. A file that does not load is an error:
// it must neither pass for a key nor be overwritten, as it may be all that is left of
// a key.
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

// kekFile returns the name of the file of p. Names of purposes are safe in paths.
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
	switch {
	case errors.Is(err, privatefile.ErrDenied):
		kind = ErrAccessDenied // the right to read the file is the right to use its purpose
	case errors.Is(err, fs.ErrNotExist):
		kind = ErrNoKeys // the file may be elsewhere, or the disk is not mounted yet
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

// parseLocalKEK returns the AEAD of a key file, or ErrCorrupt. It drops the errors of
// Tink and of its JSON parser, because they quote their input, which is keys.
func parseLocalKEK(file []byte) (AEAD, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file)))
	if err != nil {
		return nil, ErrCorrupt
	}
	c, err := newCipherSet(h, nil)
	if err != nil {
		return nil, ErrCorrupt
	}
	return localAEAD(func() *cipherSet { return c }), nil
}

// A localAEAD is the AEAD of a key file. It is a function, so that fmt and test diffs,
// which look into unexported fields, print an address and no key.
type localAEAD func() *cipherSet

// KeyName returns the number of the primary key in the file, such as "tink:1589641218".
func (a localAEAD) KeyName() string {
	return fmt.Sprint("tink:", binary.BigEndian.Uint32(a().schedule.primary().id[1:]))
}

// Encrypt encrypts with the primary key.
func (a localAEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a().seal(nil, plaintext, associatedData), nil
}

// Decrypt returns the plaintext that was given to Encrypt, or [ErrCorrupt].
func (a localAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a().open(nil, ciphertext, associatedData)
}
