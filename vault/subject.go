package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// For returns a scope for values of one person. What it seals opens only for the
// same person: with a random key of that subject, which the store keeps wrapped,
// under a keyed pseudonym. [Vault.Erase] destroys the key and with it all that
// was sealed so, wherever it is by now. Indexes are those of the purpose, or
// looking people up would not work.
//
// The subject is the id under which the person is known for good, such as
// the primary key of their row: 1 to 255 bytes of any kind. Another length is
// [ErrInvalid] when the returned scope is used, and so is narrowing a scope of
// one subject to another. For itself asks nothing of anybody; the first use of a
// subject reads the store once, and what it says is believed for
// [Options.SubjectLifetime].
func (s *Scope) For(subject string) *Scope {
	if s == nil {
		return nil
	}
	narrowed := *s
	if narrowed.subjectErr == nil { // what was refused once stays so
		narrowed.subjectErr = s.mayNarrow(subject)
	}
	narrowed.subject = subject
	return &narrowed
}

func (s *Scope) mayNarrow(subject string) error {
	switch {
	case subject == "" || len(subject) > format.MaxSubject:
		return errSubjectID
	case s.subject != "" && s.subject != subject:
		return errOtherSubject
	}
	return nil
}

var (
	errSubjectID    = fmt.Errorf("subject id is empty or too long: %w", ErrInvalid)
	errOtherSubject = fmt.Errorf("scope is of another subject: %w", ErrInvalid)
)

// Prefetch has the keys of the given subjects at hand before they are used, at
// the cost of one read of the store, whatever their number: for pages and
// batches. Subjects without a key, or erased, are left to their first use.
// More than [Options.SubjectCache] do not fit.
//
// A nil scope and subjects that [Scope.For] refuses are [ErrInvalid];
// [ErrUnavailable] is a store that does not answer or a ctx that is done,
// [ErrCorrupt] a record that was altered, [ErrNoKeys] a closed vault.
func (s *Scope) Prefetch(ctx context.Context, subjects ...string) error {
	if err := s.prefetch(ctx, subjects); err != nil {
		return fmt.Errorf("vault: fetching keys of subjects: %w", err)
	}
	return nil
}

func (s *Scope) prefetch(ctx context.Context, subjects []string) error {
	keys, err := s.keys(ctx)
	if err != nil {
		return err
	}
	var cold []string
	for _, subject := range subjects {
		if err := s.mayNarrow(subject); err != nil {
			return err
		}
		if _, known := s.ring.subjects.Load().get(subject); !known {
			cold = append(cold, subject)
		}
	}
	if len(cold) == 0 {
		return nil
	}
	// Like a flight, so that a store that hangs holds up nobody for ever.
	fl := &flight{done: make(chan struct{})}
	var cancel context.CancelFunc
	fl.ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.ring.backend.opts.Timeout)
	select {
	case s.ring.loads <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-fl.ctx.Done():
		cancel()
		return fmt.Errorf("too many reads are waiting: %w: %w", ErrUnavailable, fl.ctx.Err())
	}
	go func() {
		defer cancel()
		defer func() { <-s.ring.loads }()
		fl.err = guard(fl.ctx, func(ctx context.Context) error { return s.ring.fetch(ctx, keys, cold) })
		close(fl.done)
	}()
	return fl.wait(ctx)
}

// maxLoads bounds how many reads about subjects wait for the store at a time.
const maxLoads = 64

// fetch reads the records of subjects in one go, and remembers what they say.
func (r *ring) fetch(ctx context.Context, keys *keys, subjects []string) error {
	names := make([]string, len(subjects))
	pseudonyms := make([][IndexSize]byte, len(subjects))
	for i, subject := range subjects {
		var err error
		if pseudonyms[i], err = keys.pseudonymOf(r.key.purpose, subject); err != nil {
			return err
		}
		names[i] = subjectRecordName(r.key.purpose, pseudonyms[i])
	}
	asked := time.Now()
	records, err := r.backend.get(ctx, names...)
	if err != nil {
		return err
	}
	for i, record := range records {
		if record.Revision == 0 {
			continue
		}
		if _, err := r.remember(ctx, keys, subjects[i], pseudonyms[i], record, asked); err != nil && !errors.Is(err, ErrErased) {
			return err
		}
	}
	return nil
}

// remember opens a record and keeps what it says. A tombstone is ErrErased.
func (r *ring) remember(ctx context.Context, keys *keys, subject string, pseudonym [IndexSize]byte, record Record, asked time.Time) (*subjectKey, error) {
	found, err := r.decode(ctx, keys, pseudonym, record.Data)
	if err != nil {
		return nil, err
	}
	key, err := found.open()
	if err == nil || errors.Is(err, ErrErased) {
		r.subjects.Load().put(subject, key, asked)
	}
	return key, err
}

// decode opens a record about a subject, under newer keys if it takes such.
func (r *ring) decode(ctx context.Context, keys *keys, pseudonym [IndexSize]byte, data []byte) (subjectRecord, error) {
	sealed, ok := cutSubject(data)
	if !ok {
		return subjectRecord{}, errSubjectRecord
	}
	if !keys.seal.knows(sealed) {
		var err error
		if keys, err = r.learn(ctx, sealed); err != nil {
			return subjectRecord{}, err
		}
	}
	return decodeSubject(keys, r.key.purpose, pseudonym, data)
}

// subjectKey returns the key of a subject. If the store has none, it makes one
// where create says so, and is ErrCorrupt otherwise: nothing was ever sealed
// for that subject, so the value is another's.
func (r *ring) subjectKey(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	key, known := r.subjects.Load().get(subject)
	switch {
	case known && key == nil:
		return nil, ErrErased
	case known:
		return key, nil
	}
	detail := "?" + subject
	if create {
		detail = "+" + subject // another flight: only one that seals makes keys
	}
	fl, _, err := r.backend.depart(ctx, flightKey{actionSubject, r.key, detail}, func(ctx context.Context, fl *flight) error {
		select {
		case r.loads <- struct{}{}:
			defer func() { <-r.loads }()
		case <-ctx.Done():
			return fmt.Errorf("too many reads are waiting: %w: %w", ErrUnavailable, ctx.Err())
		}
		var err error
		fl.key, err = r.loadSubject(ctx, keys, subject, create)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := fl.wait(ctx); err != nil {
		return nil, err
	}
	// What was found may have been erased while it was on its way.
	if r.subjects.Load().wasErased(subject) {
		return nil, ErrErased
	}
	return fl.key, nil
}

func (r *ring) loadSubject(ctx context.Context, keys *keys, subject string, create bool) (*subjectKey, error) {
	pseudonym, err := keys.pseudonymOf(r.key.purpose, subject)
	if err != nil {
		return nil, err
	}
	name := subjectRecordName(r.key.purpose, pseudonym)
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		asked := time.Now()
		records, err := r.backend.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if records[0].Revision != 0 {
			key, err := r.remember(ctx, keys, subject, pseudonym, records[0], asked)
			if err == nil && time.Since(asked) >= r.backend.opts.SubjectLifetime {
				continue // it may have been erased since, and nobody remember that
			}
			return key, err
		}
		if !create {
			return nil, ErrCorrupt
		}
		fresh := newSubjectRecord()
		data := fresh.encode(keys, r.key.purpose, pseudonym)
		_, err = r.backend.store.Put(ctx, Record{Name: name, Data: data})
		switch {
		case errors.Is(err, ErrConflict):
			continue // somebody else made one, which is the one to use
		case err != nil:
			return nil, storeError(err)
		}
		key, err := fresh.open()
		if err != nil {
			return nil, err
		}
		r.subjects.Load().put(subject, key, asked)
		if time.Since(asked) >= r.backend.opts.SubjectLifetime {
			continue
		}
		return key, nil
	}
}
