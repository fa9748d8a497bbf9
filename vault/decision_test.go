package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// Decisions that are made in one line each, which nothing else would miss.

func keysetOf(t *testing.T, primary int, templates ...*tinkpb.KeyTemplate) *keyset.Handle {
	t.Helper()
	m := keyset.NewManager()
	for i, template := range templates {
		id, err := m.Add(template)
		require.NoError(t, err)
		if i == primary {
			require.NoError(t, m.SetPrimary(id))
		}
	}
	h, err := m.Handle()
	require.NoError(t, err)
	return h
}

// A keyset may name any of its keys as the primary one, as it does once a key
// was brought in ahead of its use.
func TestPrimaryKeyNeedNotBeTheLast(t *testing.T) {
	for primary := range 3 {
		gcm := aead.AES256GCMKeyTemplate()
		h := keysetOf(t, primary, gcm, gcm, gcm)
		c, err := newCipherSet(h)
		require.NoError(t, err)
		tink, err := aead.New(h)
		require.NoError(t, err)
		sealed, err := tink.Encrypt([]byte("text"), nil)
		require.NoError(t, err)
		require.Equal(t, sealed[:keyIDSize], c.seal(nil, []byte("text"), nil)[:keyIDSize])
		require.True(t, c.onPrimary(sealed))
	}
}

func TestKeysetsOfOtherKeysAreRefused(t *testing.T) {
	gcm, cmac := aead.AES256GCMKeyTemplate(), prf.AESCMACPRFKeyTemplate()
	for name, h := range map[string]*keyset.Handle{
		"AES-128":           keysetOf(t, 0, aead.AES128GCMKeyTemplate()),
		"without a prefix":  keysetOf(t, 0, aead.AES256GCMNoPrefixKeyTemplate()),
		"ChaCha20-Poly1305": keysetOf(t, 0, aead.ChaCha20Poly1305KeyTemplate()),
		"of one other":      keysetOf(t, 0, gcm, aead.AES128GCMKeyTemplate()),
		"for indexes":       keysetOf(t, 0, cmac),
	} {
		_, err := newCipherSet(h)
		require.ErrorIs(t, err, errKeyset, name)
	}
	for name, h := range map[string]*keyset.Handle{
		"HMAC":         keysetOf(t, 0, prf.HMACSHA256PRFKeyTemplate()),
		"HKDF":         keysetOf(t, 0, prf.HKDFSHA256PRFKeyTemplate()),
		"of one other": keysetOf(t, 0, cmac, prf.HMACSHA256PRFKeyTemplate()),
		"for seals":    keysetOf(t, 0, gcm),
	} {
		_, err := newIndexSet(h)
		require.ErrorIs(t, err, errKeyset, name)
	}
}

func TestOutcomes(t *testing.T) {
	for _, err := range []error{
		purpose.ErrMismatch, purpose.ErrNoConsent, ErrCorrupt, ErrNoKeys, ErrExpired, ErrErased, ErrSubject, ErrGranted,
	} {
		require.Equal(t, Denied, outcomeOf(err), err)
		require.Equal(t, Denied, outcomeOf(fmt.Errorf("revealing: %w", err)), err)
	}
	require.Equal(t, Allowed, outcomeOf(nil))
	for _, err := range []error{ErrUnavailable, ErrConflict, ErrInvalid, context.Canceled, errors.New("other")} {
		require.Equal(t, Failed, outcomeOf(err), err)
	}
}

func TestFailedAuditsInWords(t *testing.T) {
	broken := auditorFunc(func(context.Context, Event) error { return errors.New("secret") })
	require.EqualError(t, audit(t.Context(), broken, Event{}, nil), "audit failed: unavailable")
	err := audit(t.Context(), broken, Event{}, ErrErased)
	require.EqualError(t, err, "subject is erased; audit failed: unavailable")
	require.ErrorIs(t, err, ErrErased)
	require.ErrorIs(t, err, ErrUnavailable)
	require.EqualError(t, &opError{action: ActionSeal, err: ErrInvalid}, "vault: sealing: invalid argument")
	require.Equal(t, "dancing", Action("dancing").Gerund())
}

type auditorFunc func(context.Context, Event) error

func (f auditorFunc) Audit(ctx context.Context, e Event) error { return f(ctx, e) }

func TestFileErrors(t *testing.T) {
	for err, want := range map[error]error{
		privatefile.ErrTooLarge:  ErrCorrupt,
		privatefile.ErrRefused:   ErrNoKeys,
		fs.ErrPermission:         ErrNoKeys,
		syscall.EACCES:           ErrNoKeys,
		errors.ErrUnsupported:    ErrNoKeys,
		fs.ErrNotExist:           ErrUnavailable,
		syscall.EIO:              ErrUnavailable,
		context.DeadlineExceeded: ErrUnavailable,
	} {
		require.Equal(t, want, fileErrorKind(fmt.Errorf("reading: %w", err)), "%v", err)
	}
}

// A name that is too long for a record is the file of somebody else, wherever it lies.
func TestDirListLeavesOutNamesThatAreTooLong(t *testing.T) {
	at := strings.Repeat("a", maxName-3) + "/"
	require.Equal(t, "ab", entryOf(at, "ab"+recordSuffix))
	require.Empty(t, entryOf(at, "abc"+recordSuffix))
}

// Every X25519 key from 2^255-19 on is a smaller one's second spelling. HPKE binds
// the spelling, so what is sealed for it would open for nobody.
func TestCollectorOfAKeyThatIsNotReduced(t *testing.T) {
	security := purpose.MustParse("security")
	text := func(low, high byte) string {
		body := make([]byte, keyIDSize-1+encSize)
		body[3] = 1
		u := body[keyIDSize-1:]
		for i := range u {
			u[i] = 0xff
		}
		u[0], u[31] = low, high
		body = append(body, collectorCheck(security, body)...)
		return collectorMagic + ".security." + base64.RawURLEncoding.EncodeToString(body)
	}
	_, err := ParseCollector(text(0xe8, 0x7f), nil)
	require.NoError(t, err, "2^255-24, which is reduced")
	for _, end := range [][2]byte{{0xf0, 0x7f}, {0xff, 0x7f}, {0xe8, 0xff}, {0x09, 0xff}} {
		_, err := ParseCollector(text(end[0], end[1]), nil)
		require.ErrorIs(t, err, ErrCorrupt, "%x", end)
	}
}

// What was wrapped for one purpose says nothing of another, whatever the KEK binds.
func TestCheckKEKReadsTheRecord(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	var asked []purpose.Purpose
	key, err := aead.New(keysetOf(t, 0, aead.AES256GCMKeyTemplate()))
	require.NoError(t, err)
	kek := kekFunc(func(_ context.Context, p purpose.Purpose) (AEAD, error) {
		asked = append(asked, p)
		return key, nil
	})
	store := Memory()
	v, err := Open(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security, ads))
	asked = nil
	require.NoError(t, v.CheckKEK(ctx, security, ads))
	require.Equal(t, []purpose.Purpose{security, ads}, asked)
	asked = nil
	require.ErrorIs(t, v.MustNotOpen(ctx, ads), ErrGranted)
	require.Equal(t, []purpose.Purpose{ads}, asked)

	records, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r := records[0]
	r.Data[len(r.Data)-1] ^= 1 // in what the KEK does not see
	_, err = store.Put(ctx, r)
	require.NoError(t, err)
	require.ErrorIs(t, v.CheckKEK(ctx, security), ErrCorrupt)

	r.Data[0] ^= 1
	records, err = store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r.Revision = records[0].Revision
	_, err = store.Put(ctx, r)
	require.NoError(t, err)
	require.ErrorIs(t, v.CheckKEK(ctx, security), ErrCorrupt)
	require.ErrorIs(t, v.MustNotOpen(ctx, security), ErrCorrupt)
}

type kekFunc func(context.Context, purpose.Purpose) (AEAD, error)

func (f kekFunc) For(ctx context.Context, p purpose.Purpose) (AEAD, error) { return f(ctx, p) }
