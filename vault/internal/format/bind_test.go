package format_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Names that are joined without their lengths make ("a", "bc") and ("ab", "c")
// the same bytes, and what is bound to one opens as the other.

// FuzzSlotAAD: two different lists of what a slot binds are never the same bytes.
func FuzzSlotAAD(f *testing.F) {
	f.Add("email", "security", "", "v1", "emai", "lsecurity", "", "v1")
	f.Add("email", "security", "alice", "v1", "email", "security", "alic", "ev1")
	f.Add("a", "b", "c", "", "a", "b", "c", "")
	f.Add("note", "ads", "x", "notice", "note", "ads", "notice", "x")
	f.Fuzz(func(t *testing.T, kind1, purpose1, subject1, notice1, kind2, purpose2, subject2, notice2 string) {
		one, ok1 := slotAADOf(kind1, purpose1, subject1, notice1)
		two, ok2 := slotAADOf(kind2, purpose2, subject2, notice2)
		if !ok1 || !ok2 {
			return
		}
		same := kind1 == kind2 && purpose1 == purpose2 && subject1 == subject2 && notice1 == notice2
		require.Equal(t, same, bytes.Equal(one, two))
	})
}

func slotAADOf(kind, name, subject, notice string) ([]byte, bool) {
	if !format.ValidKind(kind) || len(subject) > format.MaxSubject || notice != "" && !purpose.ValidReference(notice) {
		return nil, false
	}
	p, err := purpose.Parse(name)
	if err != nil {
		return nil, false
	}
	header := format.AppendHeader(nil, format.OfSubject, &purpose.Provenance{Collected: time.Unix(1, 0), Notice: notice})
	return format.AppendSlotAAD(nil, kind, p.String(), make([]byte, format.IDSize), header, subject), true
}

// FuzzIndexInput: two different lists of what an index is computed of are never
// the same bytes, so a phone number is never found as an e-mail address.
func FuzzIndexInput(f *testing.F) {
	f.Add("email", "security", "a@example.com", "emai", "lsecurity", "a@example.com")
	f.Add("email", "ads", "x", "email", "ad", "sx")
	f.Fuzz(func(t *testing.T, kind1, purpose1, text1, kind2, purpose2, text2 string) {
		if max(len(kind1), len(kind2), len(purpose1), len(purpose2)) > 255 {
			return
		}
		one := format.AppendIndexInput(nil, kind1, purpose1, text1)
		two := format.AppendIndexInput(nil, kind2, purpose2, text2)
		same := kind1 == kind2 && purpose1 == purpose2 && text1 == text2
		require.Equal(t, same, bytes.Equal(one, two))
	})
}
