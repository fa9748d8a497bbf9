package vault_test

import (
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// absentIDs are texts of ids that do not exist yet, as programs make them.
func absentIDs() map[string]string {
	var (
		number *int64
		none   any
		uuid   [16]byte
	)
	const nilUUID = "00000000-0000-0000-0000-000000000000"
	return map[string]string{
		"no id":                        "",
		"an integer of 0":              fmt.Sprint(0),
		"padded":                       fmt.Sprintf("%010d", 0),
		"hexadecimal":                  fmt.Sprintf("%#x", 0),
		"nil UUID":                     nilUUID,
		"nil UUID in braces":           "{" + nilUUID + "}",
		"nil UUID as a name":           "urn:uuid:" + nilUUID,
		"nil UUID without hyphens":     strings.ReplaceAll(nilUUID, "-", ""),
		"nil UUID in bytes":            string(uuid[:]),
		"nil UUID printed as an array": fmt.Sprint(uuid),
		"zero ObjectID, KSUID, ULID":   strings.Repeat("0", 24),
		"zero KSUID":                   strings.Repeat("0", 27),
		"0 in eight bytes":             string(binary.BigEndian.AppendUint64(nil, 0)),
		"nil pointer":                  fmt.Sprint(number),
		"nil interface":                fmt.Sprint(none),
		"nil with a prefix":            fmt.Sprintf("user-%v", number),
		"nil as a string":              fmt.Sprintf("%s", none),
		"nil as a number":              fmt.Sprintf("%d", none),
		"a forgotten argument":         "%!s(BADINDEX)",
		"a number as a string":         "%!s(int64=0)",
		"NULL of database/sql":         fmt.Sprint(sql.NullInt64{}),
		"NULL text of database/sql":    fmt.Sprint(sql.NullString{}),
		"null of JSON":                 "null",
		"NULL":                         "NULL",
		"nil":                          "nil",
	}
}

// Everybody who is sealed for the id that does not exist yet would have one key, which
// the erasure of one of them destroys.
func TestIDFirst(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, s)
	for name, id := range absentIDs() {
		t.Run(name, func(t *testing.T) {
			require.False(t, vault.ValidSubject(id))
			_, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For(id))
			require.ErrorIs(t, err, vault.ErrInvalid)
			if id != "" {
				require.EqualError(t, err, "vault: sealing note: subject id is the text of an id that does not exist yet; make the id first: invalid argument")
			}
			vaulttest.Refuses(t, s.For(id), value, vault.ErrInvalid)
			vaulttest.Refuses(t, s.For(id).For("alice"), value, vault.ErrInvalid)
			require.ErrorIs(t, s.Prefetch(t.Context(), "alice", id), vault.ErrInvalid)
			_, err = s.Pseudonym(t.Context(), id)
			require.ErrorIs(t, err, vault.ErrInvalid)
			_, err = v.Erase(t.Context(), id, vaulttest.Security)
			require.ErrorIs(t, err, vault.ErrInvalid, "a certificate of nobody's erasure")
		})
	}
	require.NotPanics(t, func() { _ = s.Under(purpose.Basis{}).For("0") })
}

// An id that does exist is accepted, however much it looks like another.
func TestIDsThatExist(t *testing.T) {
	for _, id := range []string{
		"1", "10", "00000000-0000-0000-0000-000000000001", "10000000-0000-0000-0000-000000000000", "uid-0", "0a", "a0",
		"Null", "nils", "nullius", "falsetto", "%!", "%!s", "100%!", "%20", "alice", "0x1", "é", "\xff", "\x00\x01", "\x01\x00",
		"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", strings.Repeat("0", 254) + "1",
	} {
		require.True(t, vault.ValidSubject(id), "%q", id)
	}
	require.False(t, vault.ValidSubject(strings.Repeat("x", 256)))
	for n := uint64(1); n < 70_000; n++ {
		raw := binary.BigEndian.AppendUint64(nil, n)
		for _, id := range []string{fmt.Sprint(n), fmt.Sprintf("%#x", n), fmt.Sprintf("%026d", n), string(raw), hex.EncodeToString(raw)} {
			require.True(t, vault.ValidSubject(id), "%q", id)
		}
	}
	r := seed.Rand(t)
	for range 10_000 {
		var uuid [16]byte
		for i := range uuid {
			uuid[i] = byte(r.IntN(256))
		}
		// Of 2^32 random ids, one is refused as the text of a forgotten argument, and far
		// fewer for a nil within them. Such an id is not drawn.
		id := string(uuid[:])
		if strings.HasPrefix(id, "%!") && id[3] == '(' && id[15] == ')' || strings.Contains(id, "<nil>") {
			continue
		}
		require.True(t, vault.ValidSubject(id), "%x", uuid)
	}
}
