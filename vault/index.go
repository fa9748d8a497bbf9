package vault

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Index returns the blind index of a canonical text of kind k: the same for
// the same text, kind and purpose, and for nothing else. Nobody without the keys
// can compute it. Bringing text into its canonical form is up to the caller.
//
// Text that is empty or longer than [MaxPlaintext] is [ErrInvalid], as are a nil
// scope and the zero Kind; [ErrNoKeys] is a closed vault, [ErrUnavailable] a ctx
// that is done or an auditor that fails.
func (s *Scope) Index(ctx context.Context, k Kind, canonical string) ([IndexSize]byte, error) {
	index, err := s.index(ctx, k, canonical)
	if s.audited() {
		err = s.audit(ctx, Event{Action: ActionIndex, Kind: k.name}, err)
	}
	if err != nil {
		return [IndexSize]byte{}, &opError{ActionIndex, k, err}
	}
	return index, nil
}

// IndexSealed returns the blind index of what canonical makes of the plaintext
// of v, as [Scope.Index] would. Its errors are those of [Scope.Reveal]; it is
// [ErrCorrupt] if canonical returns nothing, and [ErrInvalid] if it is nil.
func (s *Scope) IndexSealed(ctx context.Context, k Kind, v Sealed, canonical func(plaintext string) string) ([IndexSize]byte, error) {
	if canonical == nil {
		return [IndexSize]byte{}, &opError{ActionIndex, k, fmt.Errorf("nil canonical: %w", ErrInvalid)}
	}
	index, err := s.indexSealed(ctx, k, v, canonical)
	if s.audited() {
		err = s.audit(ctx, Event{Action: ActionIndex, Kind: k.name, Collected: v.Purposes()}, err)
	}
	if err != nil {
		return [IndexSize]byte{}, &opError{ActionIndex, k, err}
	}
	return index, nil
}

func (s *Scope) indexSealed(ctx context.Context, k Kind, v Sealed, canonical func(string) string) ([IndexSize]byte, error) {
	plaintext, err := s.unseal(ctx, k, v)
	if err != nil {
		return [IndexSize]byte{}, err
	}
	text := canonical(plaintext)
	if text == "" { // what was sealed is nothing that this kind seals
		return [IndexSize]byte{}, ErrCorrupt
	}
	return s.index(ctx, k, text)
}

// indexInput returns the input of an index key, in scr.
func indexInput(buf *buffers, k Kind, p purpose.Purpose, canonical string) []byte {
	size := format.IndexInputSize(k.name, p.String(), canonical)
	return format.AppendIndexInput(buf.plaintext(size), k.name, p.String(), canonical)
}

func (s *Scope) index(ctx context.Context, k Kind, canonical string) (index [IndexSize]byte, err error) {
	keys, err := s.keysFor(ctx, k)
	if err != nil {
		return index, err
	}
	if canonical == "" || len(canonical) > MaxPlaintext {
		return index, errSize
	}
	buf := getBuffers()
	defer buf.release()
	return keys.index.compute(indexInput(buf, k, s.opened.id.purpose, canonical))
}

// Indexes returns the blind index of a canonical text under every key of the
// purpose that is not retired, the one of [Scope.Index] first: what to look for
// while the index columns are computed anew after [Vault.RotateIndex]. Errors are
// those of [Scope.Index].
func (s *Scope) Indexes(ctx context.Context, k Kind, canonical string) ([][IndexSize]byte, error) {
	all, err := s.indexes(ctx, k, canonical)
	if s.audited() {
		err = s.audit(ctx, Event{Action: ActionIndex, Kind: k.name}, err)
	}
	if err != nil {
		return nil, &opError{ActionIndex, k, err}
	}
	return all, nil
}

func (s *Scope) indexes(ctx context.Context, k Kind, canonical string) ([][IndexSize]byte, error) {
	keys, err := s.keysFor(ctx, k)
	if err != nil {
		return nil, err
	}
	if canonical == "" || len(canonical) > MaxPlaintext {
		return nil, errSize
	}
	buf := getBuffers()
	defer buf.release()
	return keys.index.computeAll(indexInput(buf, k, s.opened.id.purpose, canonical))
}
