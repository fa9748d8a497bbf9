package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

var (
	errSubjectID     = fmt.Errorf("subject id is empty or too long: %w", ErrInvalid)
	errNoSubject     = fmt.Errorf("subject id is the text of an id that does not exist yet; make the id first: %w", ErrInvalid)
	errOtherSubject  = fmt.Errorf("scope is of another subject: %w", ErrInvalid)
	errSubjectRecord = error(&recordError{fmt.Errorf("malformed subject record: %w", ErrCorrupt)})
)

// For returns a scope for values of one person. The scope seals with a random key
// of that subject, so its values open only for the same subject. The store keeps
// the key wrapped, under a keyed pseudonym of the subject. [Vault.Erase] destroys
// the key, and with it every value that it sealed, in every copy. Indexes are
// computed with the keys of the purpose even so, or looking people up would not
// work.
//
// The subject is the permanent id of the person, such as the primary key of their
// row: 1 to 255 bytes of any kind. A subject that [ValidSubject] refuses is [ErrInvalid]
// when the returned scope is used, and so is narrowing a scope of one subject to another
// subject. A nil scope stays nil.
//
// # Id first
//
// The id has to exist before the value is sealed. A row whose id the database makes has
// none at that moment: its field is 0, nil or empty, and everybody sealed for that text
// would share one key, which the first erasure destroys. For refuses these texts. Make
// the id here, or take it from the database first:
//
//	user := User{ID: uuid.NewString()} // or rand.Text()
//	user.Email, err = pii.SealEmail(ctx, form.Email, security.For(user.ID))
//	// then INSERT
//
//	err = db.QueryRow("SELECT nextval('users_id_seq')").Scan(&user.ID) // PostgreSQL; then seal, and INSERT with the id
//
// A database with AUTO_INCREMENT and no sequences takes an INSERT of the row without its
// sealed columns, and in the same transaction an UPDATE with the values sealed for
// LastInsertId.
//
// A value for several purposes needs For on each of their scopes: an erasure does not
// reach the slot of a purpose whose scope was not narrowed.
//
// For itself calls neither the store nor the key service. The first use of a
// subject reads the store once, and the answer holds for [Options.SubjectLifetime].
func (s *Scope) For(subject string) *Scope {
	if s == nil {
		return nil
	}
	narrowed := s.clone()
	if narrowed.narrowErr == nil { // a refusal stays
		narrowed.narrowErr = s.checkSubject(subject)
	}
	narrowed.subject = subject
	return narrowed
}

// checkSubject is [ErrInvalid] if s can't be narrowed to subject.
func (s *Scope) checkSubject(subject string) error {
	switch {
	case !ValidSubject(subject):
		return subjectError(subject)
	case s.subject != "" && s.subject != subject:
		return errOtherSubject
	}
	return nil
}

// ValidSubject reports whether [Scope.For] accepts the id of a person: 1 to 255 bytes
// that are not the text of an id which does not exist. It refuses the texts of zero values,
// which are no people and would be many: 0 and other zeros alone, the nil UUID and the
// zero ids of ULID, KSUID and MongoDB in their usual forms, structs of them as package fmt
// prints them, "nil", "null", "NULL", texts with "<nil>", and the errors of package fmt
// such as "%!s(<nil>)".
//
// A person who really has the id 0, in a table that counts from 0 or of Unix users, gets a
// prefix, and so does everybody of that table: "uid-0", "uid-1000".
func ValidSubject(id string) bool {
	return id != "" && len(id) <= format.MaxSubject && !absentID(id)
}

// subjectError returns the reason for which ValidSubject refuses an id.
func subjectError(id string) error {
	if id == "" || len(id) > format.MaxSubject {
		return errSubjectID
	}
	return errNoSubject
}

// absentID reports whether id, which is not empty, is the text of an id that does not
// exist. Most ids end the loop at their first or second byte.
func absentID(id string) bool {
	switch id {
	case "nil", "null", "NULL":
		return true
	}
	if strings.IndexByte(id, '<') >= 0 && strings.Contains(id, "<nil>") || id[0] == 0 && strings.Trim(id, "\x00") == "" {
		return true
	}
	// An id may be 16 random bytes, so two bytes decide nothing: %!d(string=) has five.
	if strings.HasPrefix(id, "%!") && len(id) > 4 && id[3] == '(' && id[len(id)-1] == ')' {
		return true
	}
	zeros := strings.TrimPrefix(strings.TrimPrefix(id, "urn:uuid:"), "0x")
	zeros = strings.TrimSuffix(strings.TrimSuffix(zeros, "}"), "false") // {0 false} is a sql.NullInt64
	for i := range len(zeros) {
		switch zeros[i] {
		case '0', '-', ' ', '{', '}', '[', ']', '(', ')':
		default:
			return false
		}
	}
	return true
}

// Prefetch loads the keys of the given subjects before they are used, for pages and
// batches. It costs one read of the store for any number of subjects. A subject
// that has no key, or is erased, is an error at its first use and not here. At most
// [Options.SubjectCache] subjects fit.
//
// A nil scope and a subject that [Scope.For] refuses are [ErrInvalid]. A store that
// does not answer and a ctx that is done are [ErrUnavailable], and a closed vault is
// [ErrNoKeys]. [ErrCorrupt] reports records that were altered. The keys of all other
// subjects are loaded nevertheless, so a batch can go on: only the values of the
// subjects with such a record fail.
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
	defer cancel()
	if err := takePlace(ctx, own, s.opened.subjectReads); err != nil {
		return err
	}
	c := run(ctx, own, func() { <-s.opened.subjectReads }, func(ctx context.Context, _ *call) error {
		return s.opened.fetchSubjects(ctx, keys, cold)
	})
	err = c.wait(ctx)
	if err == nil || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	for _, subject := range cold {
		if _, known := s.opened.subjects.Load().getOld(subject); !known {
			return err
		}
	}
	return nil
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
	asked := pk.backend.clock.exact()
	records, errs, err := pk.readRecords(ctx, names)
	if err != nil {
		return err
	}
	damaged := cmp.Or(errs...)
	for i, record := range records {
		if record.Revision == 0 {
			continue
		}
		_, err := pk.cacheSubject(ctx, keys, subjects[i], pseudonyms[i], record, asked)
		switch {
		case err == nil, errors.Is(err, ErrErased):
		case ofOneRecord(err):
			damaged = cmp.Or(damaged, err)
		default:
			return err
		}
	}
	return damaged
}

// readRecords reads the named records of subjects. A record that the store can't read has
// revision 0 in the result, and an error that is of this record in errs.
func (pk *purposeKeys) readRecords(ctx context.Context, names []string) (records []Record, errs []error, err error) {
	records, errs, err = pk.backend.getEach(ctx, names, func(err error) bool { return errors.Is(err, ErrCorrupt) })
	for i, err := range errs {
		if err != nil {
			errs[i] = &recordError{err}
		}
	}
	return records, errs, err
}

// A recordError is an error about one record of a subject. The keys of the purpose and
// the records of other subjects are not at fault, so work on other subjects goes on.
type recordError struct{ err error }

func (e *recordError) Error() string { return e.err.Error() }

func (e *recordError) Unwrap() error { return e.err }

func ofOneRecord(err error) bool { return errors.As(err, new(*recordError)) }

// subjectKey returns the key of a subject, from the cache or from the store. If the
// store has none and create is set, subjectKey makes a key. If create is not set,
// the error is ErrCorrupt: nothing was ever sealed for the subject, so the value
// belongs to another one.
func (pk *purposeKeys) subjectKey(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	key, known := pk.subjects.Load().get(subject)
	switch {
	case known && key == nil:
		pk.backend.stats.subjectHits.add(1)
		return nil, ErrErased
	case known:
		pk.backend.stats.subjectHits.add(1)
		return key, nil
	}
	pk.backend.stats.subjectMisses.add(1)
	if key, known = pk.subjects.Load().getOld(subject); known {
		key, err := pk.renewSubject(ctx, keys, subject, key, create)
		if err == nil && (key == nil || pk.subjects.Load().recentlyErased(subject)) {
			return nil, ErrErased
		}
		return key, err
	}
	return pk.askSubject(ctx, keys, subject, create)
}

// renewSubject asks the store about a subject whose last answer is old, and returns that
// answer if the store does not answer. While it does not, the store is asked once a
// second, and no caller waits.
func (pk *purposeKeys) renewSubject(ctx context.Context, keys *keys, subject string, old *subjectKey, create bool) (*subjectKey, error) {
	now := pk.backend.clock.now()
	if at := pk.retry.Load(); at != 0 && now < at+moment(failureCounts) {
		if now >= at && pk.retry.CompareAndSwap(at, now+moment(lookPause)) {
			own, cancel := pk.backend.ownTime(ctx)
			defer cancel()
			id, g, load := pk.subjectCall(keys, subject, create)
			g.admit = func() error {
				if len(g.places) == cap(g.places) {
					return errLate
				}
				return nil
			}
			if _, _, err := pk.backend.start(ctx, own, id, g, load); err == errClosed {
				return nil, err
			}
		}
		return old, nil
	}
	soon, cancel := context.WithTimeout(ctx, maxPatience)
	defer cancel()
	key, err := pk.askSubject(soon, keys, subject, create)
	if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return key, err
	}
	pk.retry.Store(pk.backend.clock.now() + moment(lookPause))
	return old, nil
}

// subjectCall returns the call that loads the key of a subject.
func (pk *purposeKeys) subjectCall(keys *keys, subject string, create bool) (callID, gate, func(context.Context, *call) error) {
	detail := "?" + subject
	if create {
		detail = "+" + subject // another call: only a caller that seals makes keys
	}
	return callID{actionSubject, pk.id, detail}, gate{places: pk.subjectReads}, func(ctx context.Context, c *call) error {
		var err error
		c.key, err = pk.loadSubject(ctx, keys, subject, create)
		if !errors.Is(err, ErrUnavailable) {
			pk.retry.Store(0)
		}
		return err
	}
}

func (pk *purposeKeys) askSubject(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	id, g, load := pk.subjectCall(keys, subject, create)
	c, _, err := pk.backend.join(ctx, id, g, load)
	if err != nil {
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
		asked := pk.backend.clock.exact()
		records, err := pk.backend.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if records[0].Revision != 0 {
			key, err := pk.cacheSubject(ctx, keys, subject, pseudonym, records[0], asked)
			if err == nil && pk.backend.clock.exact()-asked >= moment(pk.backend.opts.SubjectLifetime) {
				continue // so late that the cache may have forgotten an erasure since
			}
			return key, err
		}
		if !create {
			return nil, ErrCorrupt
		}
		if keys, err = pk.confirmed(ctx); err != nil {
			return nil, err
		}
		fresh := newSubjectRecord(pk.backend.now())
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
		if pk.backend.clock.exact()-asked >= moment(pk.backend.opts.SubjectLifetime) {
			continue
		}
		return key, nil
	}
}

// cacheSubject opens the record of a subject and caches its key. A tombstone is
// cached as well, and returns ErrErased.
func (pk *purposeKeys) cacheSubject(ctx context.Context, keys *keys, subject string, pseudonym [IndexSize]byte, record Record, asked moment) (*subjectKey, error) {
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
			if err == ErrCorrupt { // the store was read, and has no such key
				err = errSubjectRecord
			}
			return subjectRecord{}, err
		}
	}
	return decodeSubject(keys.seal, keys.vault, pk.id.purpose, pseudonym, data)
}

// A subjectRecord is the record of one subject in the store. It holds the subject's
// key or, once erased, is a tombstone. Both have one size, so that a listing of sizes does
// not tell who was erased. A record is sealed under the keys of the purpose
// and bound to the subject's pseudonym, so it can't pass for the record of another
// purpose or another subject.
type subjectRecord struct {
	id  uint32    // the id of the key
	key []byte    // nil in a tombstone
	at  time.Time // when the key or the tombstone was made

	// Of a tombstone: the erasure that it is of, see erasureState.
	count  uint64
	digest format.ErasureDigest
}

const (
	subjectMagic = "ofs1"

	stateKey       = 1
	stateTombstone = 2
	stateSize      = 1 + 4 + format.TimeSize // state, key id, time
	tombstoneSize  = 8 + format.ErasureDigestSize
	recordSize     = stateSize + format.DEKSize // a tombstone is filled up with zeros
)

// newSubjectRecord returns a record with a fresh key, made at the given time.
func newSubjectRecord(at time.Time) subjectRecord {
	var id [4]byte
	rand.Read(id[:])
	return subjectRecord{id: binary.BigEndian.Uint32(id[:]), key: newDEK(), at: at}
}

// open returns the key of r, ready for use, and clears its bytes in r. A tombstone
// is ErrErased.
func (r subjectRecord) open() (*subjectKey, error) {
	if r.key == nil {
		return nil, ErrErased
	}
	defer clear(r.key)
	k, err := newSubjectKey(r.key)
	if err != nil {
		return nil, errSubjectRecord
	}
	return k, nil
}

// encode seals r under the primary key of k.
func (r subjectRecord) encode(k *keys, p purpose.Purpose, pseudonym [IndexSize]byte) []byte {
	plain := make([]byte, 0, recordSize)
	defer func() { clear(plain[:cap(plain)]) }()
	state := byte(stateKey)
	if r.key == nil {
		state = stateTombstone
	}
	plain = append(plain, state)
	plain = binary.BigEndian.AppendUint32(plain, r.id)
	plain = format.AppendSeconds(plain, r.at)
	if r.key == nil {
		plain = binary.BigEndian.AppendUint64(plain, r.count)
		plain = append(plain, r.digest[:]...)
		plain = plain[:recordSize]
	} else {
		plain = append(plain, r.key...)
	}
	return k.seal.seal([]byte(subjectMagic), plain, format.AppendSubjectAAD(nil, p.String(), k.vault, pseudonym))
}

// decodeSubject is the reverse of encode, with the keys of a set. Every fault is
// ErrCorrupt.
func decodeSubject(c *cipherSet, vault format.VaultID, p purpose.Purpose, pseudonym [IndexSize]byte, data []byte) (subjectRecord, error) {
	sealed, ok := cutSubjectRecord(data)
	if !ok {
		return subjectRecord{}, errSubjectRecord
	}
	plain, err := c.open(nil, sealed, format.AppendSubjectAAD(nil, p.String(), vault, pseudonym))
	if err != nil || len(plain) != recordSize {
		return subjectRecord{}, errSubjectRecord
	}
	r := subjectRecord{id: binary.BigEndian.Uint32(plain[1:]), at: format.Seconds(plain[5:])}
	if r.at.Unix() > format.MaxSeconds {
		return subjectRecord{}, errSubjectRecord
	}
	switch plain[0] {
	case stateKey:
		r.key = plain[stateSize:]
		return r, nil
	case stateTombstone:
		r.count = binary.BigEndian.Uint64(plain[stateSize:])
		r.digest = format.ErasureDigest(plain[stateSize+8:])
		if r.count > 0 && allZero(plain[stateSize+tombstoneSize:]) {
			return r, nil
		}
	}
	return subjectRecord{}, errSubjectRecord
}

// allZero reports whether b has no other byte than 0.
func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

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
