package vault

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Index returns the blind index of a canonical text of kind k. The index is equal
// for equal text, kind and purpose, and for nothing else. Nobody without the keys
// can compute it. The caller brings text into its canonical form.
//
// A text that is empty or longer than 1024 bytes is [ErrInvalid], as are a nil
// scope and the zero Kind. A closed vault is [ErrNoKeys]. A ctx that is done and an
// auditor that fails are [ErrUnavailable].
func (s *Scope) Index(ctx context.Context, k Kind, canonical string) ([IndexSize]byte, error) {
	var index [IndexSize]byte
	keys, err := s.keysOfText(ctx, k, canonical, true)
	if err == nil {
		index, err = s.index(keys, k, canonical)
	}
	if s.audited() {
		err = s.audit(ctx, s.textEvent(k, err), err)
	} else {
		s.count(audit.Index, k, err)
	}
	if err != nil {
		return [IndexSize]byte{}, &opError{audit.Index, k, err}
	}
	return index, nil
}

// textEvent returns the event of indexing a text, with the id of the primary key.
func (s *Scope) textEvent(k Kind, err error) audit.Event {
	e := audit.Event{Action: audit.Index, Kind: k.name, Count: 1}
	if keys := s.opened.current.Load(); keys != nil && err == nil {
		e.KeyID = keys.index.schedule.primary().id
	}
	return e
}

// keysOfText returns the keys that index a text. The budget of the purpose pays for it, if
// the value that the text is of has not paid.
func (s *Scope) keysOfText(ctx context.Context, k Kind, canonical string, spend bool) (*keys, error) {
	keys, err := s.usableFor(ctx, k)
	if err != nil {
		return nil, err
	}
	if canonical == "" || len(canonical) > format.MaxPlaintext {
		return nil, errSize
	}
	if err := keys.suspended.refusal(audit.Index, ""); err != nil {
		return nil, err
	}
	if spend {
		return keys, s.spend(ctx)
	}
	return keys, nil
}

func (s *Scope) index(keys *keys, k Kind, canonical string) (index [IndexSize]byte, err error) {
	buf := getBuffers()
	defer buf.release()
	return keys.index.compute(indexInput(buf, k, s.opened.id.purpose, canonical))
}

// Indexes returns the blind index of a canonical text under every key of the
// purpose that is not retired, starting with the result of [Scope.Index]. Search
// for all of them while the index columns are computed anew after
// [Admin.Rotate]. Errors are as for [Scope.Index].
func (s *Scope) Indexes(ctx context.Context, k Kind, canonical string) ([][IndexSize]byte, error) {
	var all [][IndexSize]byte
	keys, err := s.keysOfText(ctx, k, canonical, true)
	if err == nil {
		all, err = s.indexes(keys, k, canonical)
	}
	if s.audited() {
		err = s.audit(ctx, s.textEvent(k, err), err)
	} else {
		s.count(audit.Index, k, err)
	}
	if err != nil {
		return nil, &opError{audit.Index, k, err}
	}
	return all, nil
}

func (s *Scope) indexes(keys *keys, k Kind, canonical string) ([][IndexSize]byte, error) {
	buf := getBuffers()
	defer buf.release()
	return keys.index.computeAll(indexInput(buf, k, s.opened.id.purpose, canonical))
}

// IndexSealed returns the blind index of v. It opens v, calls canonical with the
// plaintext, and returns [Scope.Index] of the result. If canonical returns false, or
// no text, v is [ErrCorrupt]. A nil canonical is [ErrInvalid]. Other errors are as for
// [Scope.Reveal].
//
// The event is recorded before canonical is called: it says that v was opened, and so
// may say allowed where the result is ErrCorrupt. If it can't be recorded, canonical is
// not called.
func (s *Scope) IndexSealed(ctx context.Context, k Kind, v Sealed, canonical func(plaintext string) (string, bool)) ([IndexSize]byte, error) {
	var refusal error
	if canonical == nil {
		refusal = errNoCanonical
	}
	plaintext, err := s.reveal(ctx, audit.Index, k, v, refusal)
	if err != nil {
		return [IndexSize]byte{}, err
	}
	text, ok := canonical(plaintext)
	if !ok || text == "" { // the kind would not have sealed this plaintext
		return [IndexSize]byte{}, &opError{audit.Index, k, ErrCorrupt}
	}
	var index [IndexSize]byte
	keys, err := s.keysOfText(ctx, k, text, false)
	if err == nil {
		index, err = s.index(keys, k, text)
	}
	if err != nil {
		return [IndexSize]byte{}, &opError{audit.Index, k, err}
	}
	return index, nil
}

var errNoCanonical = fmt.Errorf("nil canonical: %w", ErrInvalid)

// indexInput returns the input of an index key, in the memory of buf.
func indexInput(buf *buffers, k Kind, p purpose.Purpose, canonical string) []byte {
	size := format.IndexInputSize(k.name, p.String(), canonical)
	return format.AppendIndexInput(buf.plaintext(size), k.name, p.String(), canonical)
}
