package pii_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

func TestZeroIndexIsAbsent(t *testing.T) {
	var x pii.Index
	require.True(t, x.IsZero())
	require.False(t, x.Equal(x), "as NULL equals nothing")
	column, err := x.Value()
	require.NoError(t, err)
	require.Nil(t, column)
}

func TestIndexIs16BytesOfItsOwn(t *testing.T) {
	security, _ := newScopes(t)
	x, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	require.False(t, x.IsZero())
	first := indexBytes(t, x)
	require.Len(t, first, vault.IndexSize)
	column, err := x.Value()
	require.NoError(t, err)
	clear(column.([]byte)) // a driver may do as it likes
	require.Equal(t, first, indexBytes(t, x))
	require.True(t, x.Equal(x))
}

// Models with an Index compare in tests, and ORMs that join rows on one use it as a key.
func TestIndexesCompare(t *testing.T) {
	type model struct {
		ID    int
		Index pii.Index
	}
	security, advertising := newScopes(t)
	index := func(scope *vault.Scope, address string) pii.Index {
		x, err := pii.IndexEmail(ctx, address, scope)
		require.NoError(t, err)
		return x
	}
	x := index(security, testAddress)
	again := index(security, testAddress)
	var scanned pii.Index
	require.NoError(t, scanned.Scan(indexBytes(t, x)))
	poisoned, err := pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	others := map[string]pii.Index{
		"of another person": index(security, "b"+testAddress), "for another purpose": index(advertising, testAddress), "none": {}, "poisoned": poisoned,
	}
	for name, same := range map[string]pii.Index{"computed again": again, "of the database": scanned} {
		require.True(t, x == same, name)
		require.True(t, reflect.DeepEqual(model{1, x}, model{1, same}), name)
		require.Equal(t, model{1, x}, model{1, same}, name)
		require.Equal(t, 7, map[pii.Index]int{x: 7}[same], name)
	}
	keys := map[any]string{x: "x"}
	for name, other := range others {
		require.False(t, x == other, name)
		require.False(t, reflect.DeepEqual(model{1, x}, model{1, other}), name)
		require.NotEqual(t, model{1, x}, model{1, other}, name)
		require.NotContains(t, keys, any(other), name)
		keys[other] = name
	}
	require.Equal(t, []pii.Index{{}, poisoned}, []pii.Index{{}, poisoned}, "for tests")
	require.False(t, poisoned.Equal(poisoned) || pii.Index{}.Equal(pii.Index{}), "for decisions")
}

func TestIndexScan(t *testing.T) {
	security, _ := newScopes(t)
	x, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	data := indexBytes(t, x)

	var got pii.Index
	buffer := bytes.Clone(data)
	require.NoError(t, got.Scan(buffer))
	clear(buffer)
	require.True(t, got.Equal(x), "Scan kept the driver's bytes")
	require.Equal(t, data, indexBytes(t, got))

	require.NoError(t, got.Scan(nil))
	require.True(t, got.IsZero())

	refused := map[string]any{
		"15 bytes":          data[:15],
		"17 bytes":          append(bytes.Clone(data), 0),
		"no bytes":          []byte{},
		"nil bytes":         []byte(nil),
		"64 MB":             make([]byte, 64<<20),
		"text of 16 bytes":  string(data),
		"text":              testAddress,
		"empty text":        "",
		"an array":          [16]byte(data),
		"int64":             int64(7),
		"float64":           7.5,
		"bool":              true,
		"time":              time.Now(),
		"raw bytes":         sql.RawBytes(data),
		"an index":          x,
		"a pointer to one":  &x,
		"32 letters of hex": []byte(strings.Repeat("0f", 16)),
	}
	for name, src := range refused {
		t.Run(name, func(t *testing.T) {
			for _, before := range []pii.Index{{}, x} {
				got := before
				err := got.Scan(src)
				require.ErrorIs(t, err, vault.ErrCorrupt)
				require.EqualError(t, err, "pii: scanning index: "+vault.ErrCorrupt.Error())
				require.Equal(t, before.IsZero(), got.IsZero())
				require.Equal(t, before.Equal(x), got.Equal(x), "it was changed")
			}
		})
	}
}

func TestIndexGoesThroughDatabaseSQL(t *testing.T) {
	security, _ := newScopes(t)
	x, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	poisoned, err := pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	db := sql.OpenDB(echo{})
	defer db.Close()

	var plain pii.Index
	var pointer *pii.Index
	var null sql.Null[pii.Index]
	require.NoError(t, db.QueryRow("", x, &x, sql.Null[pii.Index]{V: x, Valid: true}).Scan(&plain, &pointer, &null))
	require.True(t, plain.Equal(x) && pointer.Equal(x) && null.V.Equal(x) && null.Valid)
	require.NoError(t, db.QueryRow("", pii.Index{}, (*pii.Index)(nil), nil).Scan(&plain, &pointer, &null))
	require.True(t, plain.IsZero() && pointer == nil && !null.Valid)

	for _, arg := range []any{poisoned, &poisoned, sql.Null[pii.Index]{V: poisoned, Valid: true}} {
		err := db.QueryRow("", arg).Scan(&plain)
		require.ErrorIs(t, err, pii.ErrPoisoned, "the query was run")
	}
}

// Every way to an index that fails, and what it says.
func TestIndexOfAFailureIsPoisoned(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	f := seal(t, security)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	closed := func() *vault.Scope {
		kit := piitest.New(t, forSecurity)
		s := kit.Scope(forSecurity)
		require.NoError(t, kit.Vault.Close())
		return s
	}()
	for name, c := range map[string]struct {
		ctx   context.Context
		scope *vault.Scope
		is    error
	}{
		"nil scope":         {ctx, nil, vault.ErrInvalid},
		"zero scope":        {ctx, &vault.Scope{}, vault.ErrInvalid},
		"cancelled context": {cancelled, security, vault.ErrUnavailable},
		"closed vault":      {ctx, closed, vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			for what, index := range map[string]func() (pii.Index, error){
				"IndexEmail":  func() (pii.Index, error) { return pii.IndexEmail(c.ctx, testAddress, c.scope) },
				"IndexPhone":  func() (pii.Index, error) { return pii.IndexPhone(c.ctx, testNumber, c.scope) },
				"IndexOf":     func() (pii.Index, error) { return pii.IndexOf[taxID](c.ctx, testTaxID, c.scope) },
				"Email.Index": func() (pii.Index, error) { return f.email.Index(c.ctx, c.scope) },
				"Phone.Index": func() (pii.Index, error) { return f.phone.Index(c.ctx, c.scope) },
				"TaxID.Index": func() (pii.Index, error) { return f.taxID.Index(c.ctx, c.scope) },
			} {
				x, err := index()
				require.ErrorIs(t, err, c.is, what)
				requireNone(t, err.Error(), testAddress)
				requireNone(t, err.Error(), testNumber)
				requireNone(t, err.Error(), testTaxID)
				requirePoisoned(t, x)
				require.False(t, x.Equal(x))
			}
		})
	}
	for name, index := range map[string]func() (pii.Index, error){
		"no address":          func() (pii.Index, error) { return pii.IndexEmail(ctx, "Hxw93Jd", security) },
		"no number":           func() (pii.Index, error) { return pii.IndexPhone(ctx, "Hxw93Jd", security) },
		"empty plaintext":     func() (pii.Index, error) { return pii.IndexOf[taxID](ctx, "", security) },
		"plaintext too long":  func() (pii.Index, error) { return pii.IndexOf[taxID](ctx, strings.Repeat("1", 1025), security) },
		"wrong purpose":       func() (pii.Index, error) { return f.email.Index(ctx, advertising) },
		"wrong purpose again": func() (pii.Index, error) { return f.taxID.Index(ctx, advertising) },
		"zero value":          func() (pii.Index, error) { return pii.Email{}.Index(ctx, security) },
	} {
		x, err := index()
		require.Error(t, err, name)
		requirePoisoned(t, x)
	}
	good, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	bad, err := pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	require.False(t, good.Equal(bad) || bad.Equal(good))
	zeros := pii.Index{}
	require.NoError(t, zeros.Scan(make([]byte, vault.IndexSize)))
	require.False(t, zeros.Equal(bad) || bad.Equal(zeros), "poison is not sixteen zeros")
}

func TestIndexesAreEqualForOnePurposeAndKindAlone(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising, forBilling)
	elsewhere := piitest.New(t, forSecurity)
	const text = "+4915112345678" // a number, and as text of another kind the same bytes
	type maker func(*vault.Scope) (pii.Index, error)
	makers := map[string]maker{
		"phone": func(s *vault.Scope) (pii.Index, error) { return pii.IndexPhone(ctx, text, s) },
		"text":  func(s *vault.Scope) (pii.Index, error) { return pii.IndexOf[anyKind](ctx, text, s) },
		"email": func(s *vault.Scope) (pii.Index, error) { return pii.IndexEmail(ctx, text+"@example.com", s) },
	}
	scopes := map[string]*vault.Scope{
		"security":              kit.Scope(forSecurity),
		"advertising":           kit.Scope(forAdvertising),
		"billing":               kit.Scope(forBilling),
		"security of elsewhere": elsewhere.Scope(forSecurity),
	}
	type made struct {
		by string
		x  pii.Index
	}
	var all []made
	for kind, index := range makers {
		for scope, s := range scopes {
			for range 2 {
				x, err := index(s)
				require.NoError(t, err)
				all = append(all, made{kind + " for " + scope, x})
			}
		}
	}
	again, err := pii.IndexPhone(ctx, text, kit.Scope(forSecurity)) // a second scope of the same purpose
	require.NoError(t, err)
	all = append(all, made{"phone for security", again})
	for _, a := range all {
		for _, b := range all {
			require.Equal(t, a.by == b.by, a.x.Equal(b.x), "%s and %s", a.by, b.by)
			require.Equal(t, a.by == b.by, bytes.Equal(indexBytes(t, a.x), indexBytes(t, b.x)))
		}
	}
}

// An index that got lost in JSON without a word would be NULL in the next row.
func TestIndexHasNoText(t *testing.T) {
	security, _ := newScopes(t)
	x, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	for name, x := range map[string]pii.Index{"index": x, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			_, err := x.MarshalText()
			require.ErrorIs(t, err, pii.ErrNoText)
			_, err = x.MarshalBinary()
			require.ErrorIs(t, err, pii.ErrNoText)
			require.ErrorIs(t, x.UnmarshalBinary(make([]byte, vault.IndexSize)), pii.ErrNoText)
			_, err = json.Marshal(struct{ Index pii.Index }{x})
			require.ErrorIs(t, err, pii.ErrNoText)
			_, err = xml.Marshal(struct{ Index pii.Index }{x})
			require.Error(t, err)
			text, err := json.Marshal(struct {
				Index pii.Index `json:"-"`
			}{x})
			require.NoError(t, err)
			require.Equal(t, "{}", string(text))
		})
	}
	require.ErrorIs(t, json.Unmarshal([]byte(`{"Index":"AAAA"}`), &struct{ Index pii.Index }{}), pii.ErrNoText)
	require.NoError(t, json.Unmarshal([]byte(`{"Index":null}`), &struct{ Index pii.Index }{}))
}

func TestIndexInBSON(t *testing.T) {
	security, _ := newScopes(t)
	x, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	want := append([]byte{16, 0, 0, 0, 0}, indexBytes(t, x)...)

	typ, data, err := x.MarshalBSONValue()
	require.NoError(t, err)
	require.Equal(t, byte(0x05), typ)
	require.Equal(t, want, data)
	clear(data) // a driver may do as it likes
	_, data, err = x.MarshalBSONValue()
	require.NoError(t, err)
	require.Equal(t, want, data)

	var got pii.Index
	require.NoError(t, got.UnmarshalBSONValue(0x05, data))
	clear(data)
	require.True(t, got.Equal(x), "it kept the driver's bytes")
	require.NoError(t, got.UnmarshalBSONValue(0x0a, nil))
	require.True(t, got.IsZero())

	// A filter on null finds every document without the field.
	_, _, err = pii.Index{}.MarshalBSONValue()
	require.Equal(t, pii.ErrNoIndex, err)
	poisoned, err := pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	_, _, err = poisoned.MarshalBSONValue()
	require.Equal(t, pii.ErrPoisoned, err)

	for name, c := range map[string]struct {
		typ  byte
		data []byte
	}{
		"nothing":             {0x05, nil},
		"a length alone":      {0x05, want[:4]},
		"one byte less":       {0x05, want[:len(want)-1]},
		"one byte more":       {0x05, append(bytes.Clone(want), 0)},
		"the largest length":  {0x05, append([]byte{255, 255, 255, 255, 0}, want[5:]...)},
		"15 bytes":            {0x05, append([]byte{15, 0, 0, 0, 0}, want[6:]...)},
		"17 bytes":            {0x05, append([]byte{17, 0, 0, 0, 0, 0}, want[5:]...)},
		"subtype UUID":        {0x05, append([]byte{16, 0, 0, 0, 4}, want[5:]...)},
		"a string":            {0x02, want},
		"a string of 16":      {0x02, bsonString(string(want[5:]))},
		"null with data":      {0x0a, []byte{0}},
		"undefined":           {0x06, nil},
		"an object id":        {0x07, want[:12]},
		"an empty document":   {0x03, []byte{5, 0, 0, 0, 0}},
		"plaintext":           {0x02, bsonString(testAddress)},
		"plaintext as binary": {0x05, []byte(testAddress[:21])},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []pii.Index{{}, x} {
				got := before
				err := got.UnmarshalBSONValue(c.typ, c.data)
				require.ErrorIs(t, err, vault.ErrCorrupt)
				require.EqualError(t, err, "pii: decoding index: "+vault.ErrCorrupt.Error())
				require.Equal(t, before.IsZero(), got.IsZero())
				require.Equal(t, before.Equal(x), got.Equal(x), "it was changed")
			}
		})
	}
}
