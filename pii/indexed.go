package pii

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// SealIndexed seals text of kind K and computes its blind index: one parse of the text,
// and one error. It seals for the purpose of indexed and for the purposes of also. The
// index is the index under the purpose of indexed, the result of [IndexOf] with that
// scope. Indexes under the purposes of also are made with IndexOf.
//
// Text that the kind does not parse is [ErrMalformed]. Other errors are the errors of
// [vault.Seal] and of [vault.Scope.Index], and both make an event. With an error, the
// value is the absence of one, and the index is poisoned, as [Index] describes.
func SealIndexed[K Kind](ctx context.Context, text string, indexed *vault.Scope, also ...vault.Sealer) (Sealed[K], Index, error) {
	var k K
	plaintext, err := parse[K](audit.Seal, text)
	if err != nil {
		return Sealed[K]{}, poisoned, err
	}
	scopes := make([]vault.Sealer, 0, 4) // of a constant size, so that the compiler may keep it on the stack
	scopes = append(append(scopes, indexed), also...)
	value, err := vault.Seal(ctx, k.Kind(), plaintext, scopes...)
	if err != nil {
		return Sealed[K]{}, poisoned, err
	}
	index, err := newIndex(indexed.Index(ctx, k.Kind(), k.Canonical(plaintext)))
	if err != nil {
		return Sealed[K]{}, poisoned, err
	}
	return Sealed[K]{value}, index, nil
}

// SealEmailIndexed is [SealEmail] and [IndexEmail] in one call, as [SealIndexed]
// describes: the address is sealed for the purposes of indexed and of also, and the index
// is the one under the purpose of indexed.
func SealEmailIndexed(ctx context.Context, address string, indexed *vault.Scope, also ...vault.Sealer) (Email, Index, error) {
	sealed, index, err := SealIndexed[email](ctx, address, indexed, also...)
	return Email{sealed}, index, err
}

// SealPhoneIndexed is [SealPhone] and [IndexPhone] in one call, as [SealIndexed]
// describes: the number is sealed for the purposes of indexed and of also, and the index
// is the one under the purpose of indexed.
func SealPhoneIndexed(ctx context.Context, number string, indexed *vault.Scope, also ...vault.Sealer) (Phone, Index, error) {
	sealed, index, err := SealIndexed[phone](ctx, number, indexed, also...)
	return Phone{sealed}, index, err
}

// maxBlank bounds the text that counts as empty, in bytes.
const maxBlank = 256

// isBlank reports whether text is that of a field which somebody left empty.
func isBlank(text string) bool { return len(text) <= maxBlank && trim(text) == "" }

// SealOptional is [Seal] for a field that people may leave empty. Empty text, and up to
// 256 bytes of blanks and invisible characters alone, is the absence of a value: the zero
// Sealed and no error, which is NULL in SQL. No scope is used then, and no event is recorded.
func SealOptional[K Kind](ctx context.Context, text string, scopes ...vault.Sealer) (Sealed[K], error) {
	if isBlank(text) {
		return Sealed[K]{}, nil
	}
	return Seal[K](ctx, text, scopes...)
}

// SealOptionalEmail is [SealEmail] for a field that people may leave empty, as
// [SealOptional] describes.
func SealOptionalEmail(ctx context.Context, address string, scopes ...vault.Sealer) (Email, error) {
	sealed, err := SealOptional[email](ctx, address, scopes...)
	return Email{sealed}, err
}

// SealOptionalPhone is [SealPhone] for a field that people may leave empty, as
// [SealOptional] describes.
func SealOptionalPhone(ctx context.Context, number string, scopes ...vault.Sealer) (Phone, error) {
	sealed, err := SealOptional[phone](ctx, number, scopes...)
	return Phone{sealed}, err
}

// SealOptionalIndexed is [SealIndexed] for a field that people may leave empty. For text
// that [SealOptional] takes for empty, the value and the index are absent, which is NULL
// in both columns. It is no error, no scope is used then, and no event is recorded.
func SealOptionalIndexed[K Kind](ctx context.Context, text string, indexed *vault.Scope, also ...vault.Sealer) (Sealed[K], Index, error) {
	if isBlank(text) {
		return Sealed[K]{}, Index{}, nil
	}
	return SealIndexed[K](ctx, text, indexed, also...)
}

// SealOptionalEmailIndexed is [SealEmailIndexed] for a field that people may leave empty,
// as [SealOptionalIndexed] describes.
func SealOptionalEmailIndexed(ctx context.Context, address string, indexed *vault.Scope, also ...vault.Sealer) (Email, Index, error) {
	sealed, index, err := SealOptionalIndexed[email](ctx, address, indexed, also...)
	return Email{sealed}, index, err
}

// SealOptionalPhoneIndexed is [SealPhoneIndexed] for a field that people may leave empty,
// as [SealOptionalIndexed] describes.
func SealOptionalPhoneIndexed(ctx context.Context, number string, indexed *vault.Scope, also ...vault.Sealer) (Phone, Index, error) {
	sealed, index, err := SealOptionalIndexed[phone](ctx, number, indexed, also...)
	return Phone{sealed}, index, err
}

// OrNobody makes a look-up of malformed text find nobody. It takes the results of
// [IndexesEmail], [IndexesPhone] or [IndexesOf]:
//
//	wanted, err := pii.OrNobody(pii.IndexesEmail(ctx, form.Email, security)) // WHERE email_index IN (…)
//
// If err is [ErrMalformed], OrNobody returns one index of 16 random bytes and no error.
// A query with that index runs as any other does and finds no row, so a service answers
// the same to a malformed address as to the address of nobody. The index is a new one
// in each call. It is for queries: a column that holds it is of no use to anybody.
//
// OrNobody returns every other error, with indexes that stay poisoned: a vault that
// can't compute an index knows nothing about the person.
func OrNobody(indexes []Index, err error) ([]Index, error) {
	if !errors.Is(err, ErrMalformed) {
		return indexes, err
	}
	var bytes [vault.IndexSize]byte
	rand.Read(bytes[:]) // never fails
	nobody, err := newIndex(bytes, nil)
	return []Index{nobody}, err
}

// Args returns indexes as arguments of a query with database/sql, with one parameter for
// each in WHERE … IN (…):
//
//	args := pii.Args(wanted)
//	query := "SELECT id FROM users WHERE email_index IN (?" + strings.Repeat(", ?", len(args)-1) + ")"
//	err := db.QueryRowContext(ctx, query, args...).Scan(&id)
//
// For no indexes it returns one NULL, which equals nothing: IN () is no SQL. Libraries that
// write such a list themselves, such as GORM, sqlx and bun, take the []Index as it is. So does
// = ANY($1) on PostgreSQL with pgx, alone or below database/sql. Other drivers of database/sql
// refuse a []Index as one argument. For the indexes of a long list, ask for some hundreds at a
// time ([slices.Chunk]): databases limit the number of parameters.
func Args(indexes []Index) []any {
	if len(indexes) == 0 {
		return []any{nil}
	}
	args := make([]any, len(indexes))
	for i, x := range indexes {
		args[i] = x
	}
	return args
}
