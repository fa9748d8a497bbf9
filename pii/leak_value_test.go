package pii_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"expvar"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// decodable is what decoders know of values and indexes.
type decodable interface {
	sql.Scanner
	encoding.TextUnmarshaler
	encoding.BinaryUnmarshaler
	UnmarshalBSONValue(typ byte, data []byte) error
}

// garbled has texts decoded, which must not become part of an error. is is what
// the error is when it is the decoder of text's or of binary's own.
func (w *leakWorld) garbled(into func() decodable, is error) {
	w.Helper()
	digits, err := strconv.ParseInt(w.contact.Number[1:], 10, 64)
	require.NoError(w, err)
	for _, text := range w.texts() {
		v := into()
		for _, src := range []any{text, []byte(text), &text, int(digits % 1e10), uint64(digits), digits, float64(digits), true, time.Now(), struct{ a string }{text}, w.hostile(), []string{text}, sql.NullString{String: text}} {
			if b, ok := src.([]byte); !ok || len(b) != vault.IndexSize { // any 16 bytes are an index
				w.failed(v.Scan(src), vault.ErrCorrupt)
			}
		}
		w.failed(v.UnmarshalText([]byte(text)), is)
		w.failed(v.UnmarshalBinary([]byte(text)), is)
		for typ := range byte(20) {
			w.failed(v.UnmarshalBSONValue(typ, []byte(text)), vault.ErrCorrupt)
			w.failed(v.UnmarshalBSONValue(typ, append([]byte{byte(len(text) + 1), 0, 0, 0}, text+"\x00"...)), vault.ErrCorrupt)
		}
		quoted, err := json.Marshal(text)
		require.NoError(w, err)
		for _, document := range []string{string(quoted), "[" + string(quoted) + "]", `{"a":` + string(quoted) + `}`, w.contact.Number[1:], text, `"` + text} {
			if err := json.Unmarshal([]byte(document), into()); err != nil && !isSyntax(err) {
				w.failed(err)
			}
			w.tried(json.Unmarshal([]byte(`{"V":`+document+`}`), &struct{ V decodable }{into()}))
		}
		var escaped bytes.Buffer
		require.NoError(w, xml.EscapeText(&escaped, []byte(text)))
		w.tried(xml.Unmarshal([]byte("<a>"+escaped.String()+"</a>"), into()))
		var wire bytes.Buffer
		require.NoError(w, gob.NewEncoder(&wire).Encode(text))
		w.failed(gob.NewDecoder(&wire).Decode(into()))
		_, err = fmt.Sscan(text, into())
		w.failed(err)
		_, err = fmt.Sscanf(text, "%v", into())
		w.failed(err)
		if err := queryRow(w, text).Scan(into()); err != nil || len(text) != vault.IndexSize {
			w.failed(err, vault.ErrCorrupt)
		}
		w.failed(queryRow(w, text).Scan(into(), into()))
		w.shown(v)
	}
}

// isSyntax reports whether JSON was not even JSON, of which one character is
// shown.
func isSyntax(err error) bool {
	_, ok := err.(*json.SyntaxError)
	return ok
}

// queryRow returns a row with the text in a column.
func queryRow(w *leakWorld, text string) *sql.Row {
	return openLeakDB(w, text).QueryRow("SELECT email FROM users")
}

func openLeakDB(w *leakWorld, text string) *sql.DB {
	db := sql.OpenDB(&leakDB{plain: text})
	w.Cleanup(func() { db.Close() })
	return db
}

// Documents that a service would write.
type (
	leakDocument struct {
		Email pii.Email
		Phone *pii.Phone
		Null  sql.Null[pii.Email]
	}
	indexDocument struct{ X pii.Index }
)

var valueRows = []leakRow{
	{"pii.SealEmail pii.SealPhone pii.Seal pii.Valid pii.ValidEmail pii.ValidPhone pii.email.Parse pii.email.Kind pii.phone.Parse pii.phone.Kind " +
		"pii.malformedError.Error pii.malformedError.Is", func(w *leakWorld) {
		for _, text := range w.mistyped() {
			if !pii.ValidEmail(text) {
				_, err := pii.SealEmail(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
			}
			if !pii.ValidPhone(text) {
				_, err := pii.SealPhone(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
			}
			if !pii.Valid[taxID](text) {
				_, err := pii.Seal[taxID](ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
			}
		}
		w.each(func(c context.Context, s *vault.Scope) {
			email, err := pii.SealEmail(c, w.contact.Address, s)
			w.failed(err)
			phone, err := pii.SealPhone(c, w.contact.Number, s)
			w.failed(err)
			w.shown(email, phone)
		})
		w.shown(w.email, w.phone, holders(w.email)["nested"], holders(w.phone)["nested"])
	}},
	{"pii.Sealed.Reveal pii.Sealed.Hint pii.Sealed.Index pii.email.Mask pii.email.Canonical pii.phone.Mask pii.phone.Canonical " +
		"pii.email.ValidPlaintext pii.phone.ValidPlaintext pii.corruptError.Error pii.corruptError.Unwrap", func(w *leakWorld) {
		emailHint, err := w.email.Hint(ctx, w.security)
		require.NoError(w, err)
		phoneHint, err := w.phone.Hint(ctx, w.security)
		require.NoError(w, err)
		w.shown(emailHint, phoneHint)
		for i, v := range w.refusedValues() {
			var email pii.Email
			var phone pii.Phone
			if phone.UnmarshalText([]byte(textOf(w, v))) != nil { // of another kind
				require.NoError(w, email.UnmarshalText([]byte(textOf(w, v))), "value %d", i)
			}
			_, err := email.Reveal(ctx, w.security)
			w.failed(err)
			_, err = email.Hint(ctx, w.security)
			w.failed(err)
			x, err := email.Index(ctx, w.security)
			w.failed(err)
			w.shown(x)
			w.failed(x.Scan(w.contact.Address), vault.ErrCorrupt)
		}
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := w.email.Reveal(c, s)
			w.failed(err)
			_, err = w.phone.Hint(c, s)
			w.failed(err)
			_, err = w.email.Index(c, s)
			w.failed(err)
		})
		_, err = w.email.Reveal(ctx, nil)
		w.failed(err, vault.ErrInvalid)
		// Text that was sealed past Parse does not come out, not even masked.
		for _, text := range w.mistyped() {
			if len(text) > maxPlaintext || pii.ValidEmail(text) || strings.Contains(text, "xn--") { // no table judges stored A-labels
				continue
			}
			v, err := vault.Seal(ctx, emailKind, text, w.security)
			require.NoError(w, err)
			var email pii.Email
			require.NoError(w, email.UnmarshalText([]byte(textOf(w, v))))
			_, err = email.Reveal(ctx, w.security)
			w.failed(err, vault.ErrCorrupt)
			hint, err := email.Hint(ctx, w.security)
			w.failed(err, vault.ErrCorrupt)
			w.shown(hint)
			_, err = email.Reseal(ctx, w.security)
			w.failed(err, vault.ErrCorrupt)
			_, err = email.Index(ctx, w.security)
			w.tried(err)
		}
	}},
	{"pii.Email.Extend pii.Email.Reseal pii.Email.Without pii.Email.WithoutExpired pii.Email.Equal pii.Phone.Extend pii.Phone.Reseal pii.Phone.Without " +
		"pii.Phone.WithoutExpired pii.Phone.Equal pii.Sealed.Extend pii.Sealed.Reseal pii.Sealed.Without pii.Sealed.WithoutExpired " +
		"pii.Sealed.Purposes pii.Sealed.Provenance pii.Sealed.ByCollector pii.Sealed.IsZero pii.Sealed.OnPrimaryKey " +
		"pii.Email.Withdraw pii.Email.Sweep pii.Phone.Withdraw pii.Phone.Sweep pii.Sealed.Withdraw pii.Sealed.Sweep", func(w *leakWorld) {
		consented := w.ads.Under(purpose.Basis{Consent: "c"})
		email, err := w.email.Extend(ctx, w.security, consented)
		require.NoError(w, err)
		phone, err := w.phone.Extend(ctx, w.security, consented)
		require.NoError(w, err)
		email, err = email.Reseal(ctx, w.security, w.ads)
		require.NoError(w, err)
		phone, err = phone.Reseal(ctx, w.ads)
		require.NoError(w, err)
		w.each(func(c context.Context, s *vault.Scope) {
			got, err := w.email.Extend(c, s, consented)
			w.failed(err)
			w.shown(got)
			_, err = w.phone.Reseal(c, s)
			w.failed(err)
		})
		withdrawn, err := email.Withdraw(ctx, forAdvertising, w.security)
		w.tried(err)
		swept, err := phone.Sweep(ctx, w.security)
		w.tried(err)
		w.shown(withdrawn, swept)
		_, err = phone.Withdraw(ctx, forAdvertising, nil)
		w.failed(err, vault.ErrInvalid)
		_, err = email.Sweep(ctx, nil)
		w.failed(err, vault.ErrInvalid)
		provenance, _ := email.Provenance(forAdvertising)
		w.shown(email, phone, email.Without(forSecurity), phone.Without(forSecurity), email.WithoutExpired(), phone.WithoutExpired(),
			email.Equal(w.email), phone.Equal(w.phone), email.Purposes(), provenance, email.ByCollector(forSecurity), email.IsZero(),
			email.OnPrimaryKey(w.security))
	}},
	{"pii.Sealed.Scan pii.Sealed.UnmarshalText pii.Sealed.UnmarshalBinary pii.Sealed.UnmarshalBSONValue", func(w *leakWorld) {
		w.garbled(func() decodable { return new(pii.Email) }, vault.ErrCorrupt)
		w.garbled(func() decodable { return new(pii.Phone) }, vault.ErrCorrupt)
	}},
	{"pii.Sealed.Value pii.Sealed.MarshalText pii.Sealed.AppendText pii.Sealed.MarshalBinary pii.Sealed.AppendBinary pii.Sealed.MarshalBSONValue " +
		"pii.Sealed.GormDataType", func(w *leakWorld) {
		row := leakDocument{w.email, &w.phone, sql.Null[pii.Email]{V: w.email, Valid: true}}
		for _, encode := range []func(any) ([]byte, error){
			json.Marshal, xml.Marshal,
			func(v any) ([]byte, error) {
				var b bytes.Buffer
				err := gob.NewEncoder(&b).Encode(v)
				return b.Bytes(), err
			},
			func(v any) ([]byte, error) { return []byte(expvar.Func(func() any { return v }).String()), nil },
		} {
			for _, v := range []any{&w.email, w.phone, []pii.Email{w.email}, row} {
				b, err := encode(v)
				require.NoError(w, err)
				require.NotEmpty(w, b)
				w.encoded(b)
			}
		}
		value, err := w.email.Value()
		require.NoError(w, err)
		_, bson, err := w.email.MarshalBSONValue()
		require.NoError(w, err)
		w.encoded(fmt.Appendf(bson, "%v %s", value, w.email.GormDataType()))
		w.encoded(marshalled(w, w.phone.MarshalText))
		w.encoded(marshalled(w, w.phone.MarshalBinary))
		w.encoded(marshalled(w, func() ([]byte, error) { return w.email.AppendText(nil) }))
		w.encoded(marshalled(w, func() ([]byte, error) { return w.email.AppendBinary(nil) }))
	}},
	{"pii.Sealed.GoString pii.Sealed.Format pii.Sealed.LogValue", func(w *leakWorld) {
		for _, v := range []any{w.email, w.phone} {
			for _, held := range holders(v) {
				w.shown(held)
			}
		}
		for name, held := range holders(w.email) {
			if name != "function" { // which prints an address
				w.shown(held)
			}
		}
		w.shown(w.email.GoString(), w.email.LogValue(), fmt.Sprintf("%+08.3q|%*d", w.email, 3, w.email))
	}},
	{"batch.Map", func(w *leakWorld) {
		texts := w.texts()
		seal := func(c context.Context, text string) (pii.Email, error) { return pii.SealEmail(c, text, w.security) }
		for email, err := range batch.Map(ctx, slices.Values(texts), seal) {
			w.shown(email)
			w.tried(err)
		}
		for _, c := range w.refusedContexts() {
			for _, err := range batch.Map(c, slices.Values(texts), seal) {
				w.failed(err, vault.ErrUnavailable)
			}
		}
		w.panics(func() {
			for range batch.Map(ctx, slices.Values(texts), func(context.Context, string) (int, error) { panic("f") }) {
			}
		})
	}},
}
