package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// Decisions that are made in one line each, which nothing else would miss.

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

// After a re-wrap the purpose's keys are under another KEK, for checks as well.
func TestChecksAskTheKEKOfToday(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	store := Memory()
	v, err := Open(ctx, store, testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security, ads))
	require.NoError(t, v.Rewrap(ctx, testKEK(t), security))
	require.NoError(t, v.CheckKEK(ctx, security, ads))
	require.ErrorIs(t, v.MustNotOpen(ctx, security), ErrGranted)
	require.NoError(t, v.Rotate(ctx, security))
}

func testKEK(t *testing.T) KEK {
	t.Helper()
	key, err := aead.New(keysetOf(t, 0, aead.AES256GCMKeyTemplate()))
	require.NoError(t, err)
	return kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return key, nil })
}

// Of an erasure it is recorded whose it was, by a name that only who has the keys
// can tell, and under which purpose.
func TestErasuresAreRecorded(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	var events []Event
	record := auditorFunc(func(_ context.Context, e Event) error {
		events = append(events, e)
		return nil
	})
	v, err := Open(ctx, Memory(), testKEK(t), &Options{Audit: record})
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Erase(ctx, "alice", security)
	require.EqualError(t, err, "vault: erasing keys of security: key store has none: no keys for this purpose")
	_, err = v.Erase(ctx, "alice")
	require.EqualError(t, err, "vault: erasing keys: no purpose: invalid argument")
	require.NoError(t, v.Generate(ctx, security))

	for _, subject := range []string{"", strings.Repeat("s", format.MaxSubject+1)} {
		_, err = v.Erase(ctx, subject, security)
		require.ErrorIs(t, err, ErrInvalid)
	}
	events = nil
	for _, subject := range []string{"alice", strings.Repeat("s", format.MaxSubject)} {
		c, err := v.Erase(ctx, subject, security)
		require.NoError(t, err)
		e := events[len(events)-1]
		require.Equal(t, ActionErase, e.Action)
		require.Equal(t, Allowed, e.Outcome)
		require.Equal(t, security, e.Purpose)
		require.Len(t, e.Subject, 2*IndexSize)
		require.Equal(t, c.Erasures[0].Subject, e.Subject)
		require.Equal(t, security, c.Erasures[0].Purpose)

		again, err := v.Erase(ctx, subject, security)
		require.NoError(t, err)
		require.Equal(t, c, again, "an erasure is one for good")
	}
	require.NotEqual(t, events[len(events)-1].Subject, events[0].Subject)
}

// A store that another process is ahead in is asked again, and one that fails is not
// taken for one that did what it was told.
func TestEraseCountsOnceThoughOthersAreFaster(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	store := &conflictingStore{Store: Memory()}
	v, err := Open(ctx, store, testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	before, err := v.Generation(ctx, security)
	require.NoError(t, err)

	for _, c := range []struct {
		suffix string
		counts uint64
	}{{"/erasures", 1}, {"", 1}} { // of the count, and of the tombstone
		store.suffix, store.left, store.err = c.suffix, 2, ErrConflict
		if c.suffix == "" {
			store.inside = "/subjects/"
		}
		_, err = v.Erase(ctx, "person"+c.suffix, security)
		require.NoError(t, err)
		require.Zero(t, store.left)
		after, err := v.Generation(ctx, security)
		require.NoError(t, err)
		require.Equal(t, before+c.counts, after)
		before = after
	}

	for _, inside := range []string{"/erasures", "/subjects/"} {
		store.suffix, store.inside, store.left, store.err = "", inside, 1, errors.New("disk full")
		_, err = v.Erase(ctx, "another"+inside, security)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = v.Erase(ctx, "another"+inside, security)
		require.NoError(t, err)
	}
}

// conflictingStore fails the next changes of some records.
type conflictingStore struct {
	Store
	suffix, inside string
	left           int
	err            error
}

func (s *conflictingStore) Put(ctx context.Context, r Record) (int64, error) {
	if s.left > 0 && strings.HasSuffix(r.Name, s.suffix) && strings.Contains(r.Name, s.inside) {
		s.left--
		return 0, s.err
	}
	return s.Store.Put(ctx, r)
}

func TestExtendingBeyondTheMostSlots(t *testing.T) {
	ctx := t.Context()
	v, err := Open(ctx, Memory(), testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	kind := MustKind("note", "vault.Note")
	var scopes []*Scope
	var sealers []Sealer
	for i := range MaxSlots + 1 {
		p := purpose.MustParse(fmt.Sprintf("p%d", i))
		require.NoError(t, v.Generate(ctx, p))
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		scopes = append(scopes, s)
		if i < MaxSlots {
			sealers = append(sealers, s)
		}
	}
	last := scopes[MaxSlots].Under(purpose.Basis{Consent: "c-1"})
	full, err := Seal(ctx, kind, "text", sealers...)
	require.NoError(t, err)
	got, err := Extend(ctx, kind, full, scopes[0], last)
	require.ErrorIs(t, err, ErrInvalid)
	require.True(t, got.IsZero())
	got, err = Extend(ctx, kind, full.Without(scopes[1].Purpose()), scopes[0], last)
	require.NoError(t, err)
	require.Equal(t, MaxSlots, got.Purposes().Len())
}

// What authenticates need not be a keyset: a newer version's record, or one that
// somebody with the KEK wrote by hand.
func TestRecordsWithoutKeysetsAreNotChanged(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	kek, store := testKEK(t), Memory()
	v, err := Open(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	w, err := newKEKClient(ctx, kek, security)
	require.NoError(t, err)
	records, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r, err := unwrap(w, security, records[0].Data)
	require.NoError(t, err)
	r.Index.Keyset = []byte("none")
	data, err := wrap(w, security, r)
	require.NoError(t, err)
	records[0].Data = data
	_, err = store.Put(ctx, records[0])
	require.NoError(t, err)

	for _, change := range []func(context.Context, purpose.Purpose) error{v.Rotate, v.RotateIndex, v.RotateCollector} {
		err := change(ctx, security)
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, "malformed key record")
	}
	_, err = v.Scope(ctx, security)
	require.ErrorIs(t, err, ErrCorrupt)
	after, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	require.Equal(t, data, after[0].Data)
}
