package vault

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// parts is a value taken apart, for putting it together anew.
type parts struct {
	kind  string
	id    []byte
	parts []part // in the order of their names
}

type part struct {
	name string
	slot []byte // as it stands in the body
}

func (v Sealed) parts() (*parts, error) {
	if v.IsZero() {
		return nil, errAbsent
	}
	kind, names, body := cut(v.text)
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || len(raw) < idSize {
		return nil, ErrCorrupt
	}
	value := &parts{kind: kind, id: raw[:idSize:idSize]}
	rest := raw[idSize:]
	for name := range strings.SplitSeq(names, separator) {
		before := rest
		var ok bool
		if _, rest, ok = cutSlot(rest); !ok {
			return nil, ErrCorrupt
		}
		n := len(before) - len(rest)
		value.parts = append(value.parts, part{name, before[:n:n]})
	}
	return value, nil
}

// slotType returns the type of the slot for p, 0 if there is none.
func (v *parts) slotType(p purpose.Purpose) byte {
	for _, part := range v.parts {
		if part.name == p.String() {
			return part.slot[0]
		}
	}
	return 0
}

// put seals a slot of the value for s, in place of the one for that purpose if
// there is one.
func (v *parts) put(ctx context.Context, s *Scope, k Kind, plaintext string, p *Provenance) error {
	scr := getScratch()
	defer scr.release()
	body, err := s.appendSlotWith(ctx, append(scr.body[:0], v.id...), scr, k, plaintext, p)
	if err != nil {
		return err
	}
	fresh := part{s.Purpose().String(), append([]byte(nil), body[idSize:]...)}
	i, found := slices.BinarySearchFunc(v.parts, fresh.name, func(p part, name string) int {
		return strings.Compare(p.name, name)
	})
	if found {
		v.parts[i] = fresh
	} else {
		v.parts = slices.Insert(v.parts, i, fresh)
	}
	return nil
}

// seal returns the value in its text form.
func (v *parts) seal() Sealed {
	text := []byte(textMagic + v.kind)
	body := v.id
	for i, part := range v.parts {
		joint := separator
		if i == 0 {
			joint = "."
		}
		text = append(append(text, joint...), part.name...)
		body = append(body, part.slot...)
	}
	text = append(text, '.')
	return Sealed{string(base64.RawURLEncoding.AppendEncode(text, body))}
}
