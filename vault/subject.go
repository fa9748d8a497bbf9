package vault

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

var (
	errSubjectID     = fmt.Errorf("subject id is empty or too long: %w", ErrInvalid)
	errOtherSubject  = fmt.Errorf("scope is of another subject: %w", ErrInvalid)
	errSubjectRecord = fmt.Errorf("malformed subject record: %w", ErrCorrupt)
)

// For returns a scope for values of one person. The scope seals with a random key
// of that subject, so its values open only for the same subject. The store keeps
// the key wrapped, under a keyed pseudonym of the subject. [Vault.Erase] destroys
// the key, and with it every value that it sealed, in every copy. Indexes are
// computed with the keys of the purpose even so, or looking people up would not
// work.
//
// The subject is the permanent id of the person, such as the primary key of their
// row: 1 to 255 bytes of any kind. A subject of another length is [ErrInvalid] when
// the returned scope is used, and so is narrowing a scope of one subject to another
// subject. A nil scope stays nil.
//
// For itself calls neither the store nor the key service. The first use of a
// subject reads the store once, and the answer holds for [Options.SubjectLifetime].
func (s *Scope) For(subject string) *Scope {
	if s == nil {
		return nil
	}
	narrowed := *s
	if narrowed.subjectErr == nil { // a refusal stays
		narrowed.subjectErr = s.checkSubject(subject)
	}
	narrowed.subject = subject
	return &narrowed
}

// checkSubject is [ErrInvalid] if s can't be narrowed to subject.
func (s *Scope) checkSubject(subject string) error {
	switch {
	case subject == "" || len(subject) > format.MaxSubject:
		return errSubjectID
	case s.subject != "" && s.subject != subject:
		return errOtherSubject
	}
	return nil
}

// Prefetch loads the keys of the given subjects before they are used, for pages and
// batches. It costs one read of the store for any number of subjects. A subject
// that has no key, or is erased, is an error at its first use and not here. At most
// [Options.SubjectCache] subjects fit.
//
// A nil scope and a subject that [Scope.For] refuses are [ErrInvalid]. A store that
// does not answer and a ctx that is done are [ErrUnavailable], a record that was
// altered is [ErrCorrupt], and a closed vault is [ErrNoKeys].
func (s *Scope) Prefetch(ctx context.Context, subjects ...string) error {
	if err := s.prefetch(ctx, subjects); err != nil {
		return fmt.Errorf("vault: fetching keys of subjects: %w", err)
	}
	return nil
}

func (s *Scope) prefetch(ctx context.Context, subjects []string) error {
	keys, err := s.freshKeys(ctx)
	if err != nil {
		return err
	}
	var cold []string
	for _, subject := range subjects {
		if err := s.checkSubject(subject); err != nil {
			return err
		}
		if _, known := s.opened.subjects.Load().get(subject); !known {
			cold = append(cold, subject)
		}
	}
	if len(cold) == 0 {
		return nil
	}
	own, cancel := s.opened.backend.ownTime(ctx)
	select {
	case s.opened.subjectReads <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return ctxError(ctx)
	case <-own.Done():
		cancel()
		return tooManyReads(own)
	}
	c := run(own, func() { <-s.opened.subjectReads }, cancel, func(ctx context.Context, _ *call) error {
		return s.opened.fetchSubjects(ctx, keys, cold)
	})
	return c.wait(ctx)
}

// maxSubjectReads bounds how many reads of subject records wait for the store at a
// time.
const maxSubjectReads = 64

// fetchSubjects reads the records of subjects in one call and caches their keys.
func (pk *purposeKeys) fetchSubjects(ctx context.Context, keys *keys, subjects []string) error {
	names := make([]string, len(subjects))
	pseudonyms := make([][IndexSize]byte, len(subjects))
	for i, subject := range subjects {
		var err error
		if pseudonyms[i], err = keys.pseudonymOf(pk.id.purpose, subject); err != nil {
			return err
		}
		names[i] = subjectRecordName(pk.id.purpose, pseudonyms[i])
	}
	asked := time.Now()
	records, err := pk.backend.get(ctx, names...)
	if err != nil {
		return err
	}
	for i, record := range records {
		if record.Revision == 0 {
			continue
		}
		if _, err := pk.cacheSubject(ctx, keys, subjects[i], pseudonyms[i], record, asked); err != nil && !errors.Is(err, ErrErased) {
			return err
		}
	}
	return nil
}

// subjectKey returns the key of a subject, from the cache or from the store. If the
// store has none and create is set, subjectKey makes a key. If create is not set,
// the error is ErrCorrupt: nothing was ever sealed for the subject, so the value
// belongs to another one.
func (pk *purposeKeys) subjectKey(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	key, known := pk.subjects.Load().get(subject)
	switch {
	case known && key == nil:
		return nil, ErrErased
	case known:
		return key, nil
	}
	detail := "?" + subject
	if create {
		detail = "+" + subject // another call: only a caller that seals makes keys
	}
	c, _, err := pk.backend.start(ctx, callID{actionSubject, pk.id, detail}, func(ctx context.Context, c *call) error {
		select {
		case pk.subjectReads <- struct{}{}:
			defer func() { <-pk.subjectReads }()
		case <-ctx.Done():
			return tooManyReads(ctx)
		}
		var err error
		c.key, err = pk.loadSubject(ctx, keys, subject, create)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	// The subject may have been erased while the answer was on its way.
	if pk.subjects.Load().recentlyErased(subject) {
		return nil, ErrErased
	}
	return c.key, nil
}

// loadSubject reads the key of a subject from the store, or makes it if create is
// set.
func (pk *purposeKeys) loadSubject(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	pseudonym, err := keys.pseudonymOf(pk.id.purpose, subject)
	if err != nil {
		return nil, err
	}
	name := subjectRecordName(pk.id.purpose, pseudonym)
	for {
		if ctx.Err() != nil {
			return nil, ctxError(ctx)
		}
		asked := time.Now()
		records, err := pk.backend.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if records[0].Revision != 0 {
			key, err := pk.cacheSubject(ctx, keys, subject, pseudonym, records[0], asked)
			if err == nil && time.Since(asked) >= pk.backend.opts.SubjectLifetime {
				continue // so late that the cache may have forgotten an erasure since
			}
			return key, err
		}
		if !create {
			return nil, ErrCorrupt
		}
		fresh := newSubjectRecord()
		data := fresh.encode(keys, pk.id.purpose, pseudonym)
		_, err = pk.backend.store.Put(ctx, Record{Name: name, Data: data})
		switch {
		case errors.Is(err, ErrConflict):
			continue // another process made a key, which is the one to use
		case err != nil:
			return nil, storeError(err)
		}
		key, err := fresh.open()
		if err != nil {
			return nil, err
		}
		pk.subjects.Load().put(subject, key, asked)
		if time.Since(asked) >= pk.backend.opts.SubjectLifetime {
			continue
		}
		return key, nil
	}
}

// cacheSubject opens the record of a subject and caches its key. A tombstone is
// cached as well, and returns ErrErased.
func (pk *purposeKeys) cacheSubject(ctx context.Context, keys *keys, subject string, pseudonym [IndexSize]byte, record Record, asked time.Time) (*subjectKey, error) {
	found, err := pk.openSubjectRecord(ctx, keys, pseudonym, record.Data)
	if err != nil {
		return nil, err
	}
	key, err := found.open()
	if err == nil || errors.Is(err, ErrErased) {
		pk.subjects.Load().put(subject, key, asked)
	}
	return key, err
}

// openSubjectRecord opens a subject record, under newer keys if keys lacks the key
// that sealed it.
func (pk *purposeKeys) openSubjectRecord(ctx context.Context, keys *keys, pseudonym [IndexSize]byte, data []byte) (subjectRecord, error) {
	sealed, ok := cutSubjectRecord(data)
	if !ok {
		return subjectRecord{}, errSubjectRecord
	}
	if !keys.seal.has(sealed) {
		var err error
		if keys, err = pk.findKey(ctx, sealed); err != nil {
			return subjectRecord{}, err
		}
	}
	return decodeSubject(keys, pk.id.purpose, pseudonym, data)
}

// A subjectRecord is the record of one subject in the store. It holds the subject's
// key or, once erased, is a tombstone. It is sealed under the keys of the purpose
// and bound to the subject's pseudonym, so it can't pass for the record of another
// purpose or another subject.
type subjectRecord struct {
	id  uint32    // the id of the key
	key []byte    // nil in a tombstone
	at  time.Time // when the key or the tombstone was made
}

const (
	subjectMagic = "ofs1"

	stateKey       = 1
	stateTombstone = 2
	stateSize      = 1 + 4 + format.TimeSize // state, key id, time
)

// newSubjectRecord returns a record with a fresh key.
func newSubjectRecord() subjectRecord {
	var id [4]byte
	rand.Read(id[:])
	r := subjectRecord{id: binary.BigEndian.Uint32(id[:]), key: newDEK(), at: time.Now()}
	return r
}

// open returns the key of r, ready for use, and clears its bytes in r. A tombstone
// is ErrErased.
func (r subjectRecord) open() (*subjectKey, error) {
	if r.key == nil {
		return nil, ErrErased
	}
	defer clear(r.key)
	k, err := newSubjectKey(r.id, r.key)
	if err != nil {
		return nil, errSubjectRecord
	}
	return k, nil
}

// encode seals r under the primary key of k.
func (r subjectRecord) encode(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte) []byte {
	plain := make([]byte, 0, stateSize+format.DEKSize)
	defer func() { clear(plain[:cap(plain)]) }()
	state := byte(stateKey)
	if r.key == nil {
		state = stateTombstone
	}
	plain = append(plain, state)
	plain = binary.BigEndian.AppendUint32(plain, r.id)
	plain = format.AppendSeconds(plain, r.at)
	plain = append(plain, r.key...)
	return k.seal.seal([]byte(subjectMagic), plain, format.AppendSubjectAAD(nil, p.String(), pseudonym))
}

// decodeSubject is the reverse of encode. Every fault is ErrCorrupt.
func decodeSubject(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte, data []byte) (subjectRecord, error) {
	sealed, ok := cutSubjectRecord(data)
	if !ok {
		return subjectRecord{}, errSubjectRecord
	}
	plain, err := k.seal.open(nil, sealed, format.AppendSubjectAAD(nil, p.String(), pseudonym))
	if err != nil || len(plain) < stateSize {
		return subjectRecord{}, errSubjectRecord
	}
	r := subjectRecord{id: binary.BigEndian.Uint32(plain[1:]), at: format.Seconds(plain[5:])}
	switch {
	case plain[0] == stateKey && len(plain) == stateSize+format.DEKSize:
		r.key = plain[stateSize:]
	case plain[0] == stateTombstone && len(plain) == stateSize:
	default:
		return subjectRecord{}, errSubjectRecord
	}
	return r, nil
}

// cutSubjectRecord returns the sealed part of a subject record.
func cutSubjectRecord(data []byte) (sealed []byte, ok bool) {
	if len(data) < len(subjectMagic) || string(data[:len(subjectMagic)]) != subjectMagic {
		return nil, false
	}
	return data[len(subjectMagic):], true
}

// subjectRecordName returns the name of a subject's record. The names put the files
// of a [Dir] in 256 folders for each purpose.
func subjectRecordName(p purpose.Purpose, pseudonym [IndexSize]byte) string {
	name := hex.EncodeToString(pseudonym[:])
	return subjectPrefix(p) + name[:2] + "/" + name
}

// subjectPrefix returns the prefix of the names of all subject records of p.
func subjectPrefix(p purpose.Purpose) string { return p.String() + "/subjects/" }

// pseudonymOf returns the pseudonym of subject under purpose p.
func (k *keys) pseudonymOf(p purpose.Purpose, subject string) ([IndexSize]byte, error) {
	buf := getBuffers()
	defer buf.release()
	return k.pseudonym.compute(format.AppendPseudonymInput(buf.plaintext(len(buf.plain)), p.String(), subject))
}

// tooManyReads is [ErrUnavailable] for a read that found no place among
// [maxSubjectReads] before ctx was done.
func tooManyReads(ctx context.Context) error {
	return fmt.Errorf("too many reads are waiting: %w: %w", ErrUnavailable, ctx.Err())
}
