package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// GenerateKEK makes a key-encryption key of purpose p and returns its text, such as
// "ofkek1.security.CJ3w…": one line of some 170 characters, for [EnvKEK], [SecretKEK] and
// [TextKEK]. FORMAT.md describes it. The zero purpose is [ErrInvalid].
//
// The text is secret, and not encrypted. Whoever has it may use the purpose, and whoever
// loses it loses all values of the purpose. Make it once for each purpose, on an
// administrator's machine, and put it where the service gets its secrets from, and into
// a safe. Do not log it.
func GenerateKEK(p purpose.Purpose) (string, error) {
	if p.IsZero() {
		return "", fmt.Errorf("vault: making a KEK: no purpose: %w", ErrInvalid)
	}
	h, err := newSealKeyset()
	if err != nil {
		return "", fmt.Errorf("vault: making a KEK: %w", ErrUnavailable)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
		return "", fmt.Errorf("vault: making a KEK: %w", ErrUnavailable)
	}
	keys := b.Bytes()
	check := collectorCheck(textKEKVersion, p, keys)
	return textKEKVersion + "." + p.String() + "." + textKEKEncoding.EncodeToString(append(keys, check...)), nil
}

// The first field of the text of a KEK, without and with the version.
const (
	textKEKMagic   = "ofkek"
	textKEKVersion = textKEKMagic + "1"
)

// textKEKEncoding is strict: one key has one text.
var textKEKEncoding = base64.RawURLEncoding.Strict()

// TextKEK returns a [KEK] whose keys are texts of [GenerateKEK]. It calls text for the key
// of a purpose when a vault opens or changes the keys of the purpose. A source that has no
// text for the purpose returns "", which is [ErrNoKeys]. White space around a text is
// dropped. An error of the source is passed on by the rules of [AEAD].
//
// A text that is malformed, cut off or mistyped is [ErrCorrupt], and so is a text of
// another version. The text of another purpose is [ErrNoKeys]. No error quotes a text. A
// nil text is ErrNoKeys too, and the zero purpose is [ErrInvalid].
//
// A process has the purposes whose texts it is given. TextKEK makes no keys:
// [Admin.Generate] needs the text of the purpose. To change a key, give the next text to
// [Admin.Rewrap] in a TextKEK of its own.
func TextKEK(text func(p purpose.Purpose) (string, error)) KEK {
	return &textKEK{func(purpose.Purpose) string { return "text KEK" }, text}
}

// EnvKEK returns a [TextKEK] whose texts are environment variables. Their names are
// prefix and the name of the purpose in upper case, with "_" in place of "-": with the
// prefix ONLYFOR_KEK_ the key of two-factor is ONLYFOR_KEK_TWO_FACTOR.
//
// Other processes of the same user can read the environment of a process, and child
// processes, crash reports and debug pages get it. A file that [SecretKEK] reads has less
// of that. A variable that is not set, or empty, is [ErrNoKeys].
func EnvKEK(prefix string) KEK {
	variable := func(p purpose.Purpose) string {
		return prefix + strings.ToUpper(strings.ReplaceAll(p.String(), "-", "_"))
	}
	return &textKEK{
		func(p purpose.Purpose) string { return "environment variable " + variable(p) },
		func(p purpose.Purpose) (string, error) { return os.Getenv(variable(p)), nil },
	}
}

// SecretKEK returns a [TextKEK] whose texts are files that a platform mounts for the
// process: a secret volume of Kubernetes, the credentials directory of systemd, a secret of
// Docker or Podman. The file of purpose p in the directory dir has the name p.kek, such as
// security.kek. For keys in a directory of the process's own user there is [LocalKEK].
//
// Symbolic links within dir are followed, as Kubernetes makes them. The file must be a
// regular one that belongs to root or to this process's user. The group may read it, as
// with fsGroup, and may not write it; others must have no rights: defaultMode is 0440 and
// not the 0644 of Kubernetes. The directory must belong to root or to this process's user
// as well, and if others may write into it, it must be sticky. Otherwise somebody else
// could have read or planted the key, and the file is refused with [ErrNoKeys].
//
// A file that is missing is ErrNoKeys, and one that this process is not allowed to read,
// and does not own, is [ErrAccessDenied], a proof for [Vault.CheckDenied]. An empty dir is
// [ErrInvalid]: the variable CREDENTIALS_DIRECTORY is not set, for example. On systems
// without POSIX modes SecretKEK fails with [errors.ErrUnsupported]. A file is read when a
// vault opens or changes the keys of a purpose.
func SecretKEK(dir string) KEK {
	return &textKEK{func(purpose.Purpose) string { return "secret KEK " + dir }, func(p purpose.Purpose) (string, error) {
		if dir == "" {
			return "", fmt.Errorf("empty path: %w", ErrInvalid)
		}
		file, err := privatefile.ReadMounted(dir, kekFile(p), maxLocalKEK)
		defer clear(file)
		return string(file), secretError(err)
	}}
}

// secretError adds the sentinel to an error of a mounted file.
func secretError(err error) error {
	if err == nil {
		return nil
	}
	kind := fileErrorKind(err)
	switch {
	case errors.Is(err, privatefile.ErrDenied):
		kind = ErrAccessDenied // the right to read the file is the right to use its purpose
	case errors.Is(err, fs.ErrNotExist):
		kind = ErrNoKeys // the file may be elsewhere, or not be mounted yet
	}
	return fmt.Errorf("%w: %w", err, kind)
}

type textKEK struct {
	name func(p purpose.Purpose) string // of the source, for errors
	text func(p purpose.Purpose) (string, error)
}

// For returns the AEAD of purpose p.
func (k *textKEK) For(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	a, err := k.load(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name(p), err)
	}
	return a, nil
}

func (k *textKEK) load(ctx context.Context, p purpose.Purpose) (AEAD, error) {
	switch {
	case p.IsZero():
		return nil, fmt.Errorf("no purpose: %w", ErrInvalid)
	case k.text == nil:
		return nil, notConfigured("nil function")
	case ctx.Err() != nil:
		return nil, ctxError(ctx)
	}
	text, err := k.text(p)
	if err != nil {
		return nil, kekError(err)
	}
	return parseTextKEK(p, text)
}

var (
	errTextMalformed = fmt.Errorf("malformed, cut off or mistyped text of a key: %w", ErrCorrupt)
	errTextVersion   = fmt.Errorf("text of a key of another version: %w", ErrCorrupt)
)

// parseTextKEK returns the AEAD of the text of a key for p. Its errors quote no part of
// the text, except for the name of another purpose behind a checksum that is right.
func parseTextKEK(p purpose.Purpose, text string) (AEAD, error) {
	if len(text) > maxLocalKEK {
		return nil, errTextMalformed
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, notConfigured("no text for this purpose")
	}
	rest, ok := strings.CutPrefix(text, textKEKVersion+".")
	if !ok {
		if strings.HasPrefix(text, textKEKMagic) {
			return nil, errTextVersion
		}
		return nil, errTextMalformed
	}
	name, encoded, ok := strings.Cut(rest, ".")
	of, err := purpose.Parse(name)
	if !ok || err != nil {
		return nil, errTextMalformed
	}
	data, err := textKEKEncoding.DecodeString(encoded)
	defer func() { clear(data) }()
	if err != nil || strings.ContainsAny(encoded, "\r\n") || len(data) < 4 {
		return nil, errTextMalformed
	}
	keys, check := data[:len(data)-4], data[len(data)-4:]
	if !bytes.Equal(collectorCheck(textKEKVersion, of, keys), check) { // no secret is compared
		return nil, errTextMalformed
	}
	if of != p {
		return nil, fmt.Errorf("text of the key of %s: %w", of, ErrNoKeys)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(keys)))
	if err != nil {
		return nil, errTextMalformed
	}
	c, err := newCipherSet(h, nil)
	if err != nil {
		return nil, errTextMalformed
	}
	return localAEAD(func() *cipherSet { return c }), nil
}
