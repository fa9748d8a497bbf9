package pii_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A sealedValue is what a value of any kind can do, and a sealedPointer what a
// pointer to one can.
type (
	sealedValue interface {
		comparable
		driver.Valuer
		encoding.TextMarshaler
		encoding.TextAppender
		encoding.BinaryMarshaler
		encoding.BinaryAppender
		MarshalBSONValue() (byte, []byte, error)
		fmt.GoStringer
		fmt.Formatter
		slog.LogValuer
		GormDataType() string
		IsZero() bool
		Purposes() purpose.Set
		Reveal(context.Context, vault.Revealer) (string, error)
		Hint(context.Context, vault.Revealer) (string, error)
		Index(context.Context, *vault.Scope) (pii.Index, error)
	}
	sealedPointer[T any] interface {
		*T
		sql.Scanner
		encoding.TextUnmarshaler
		encoding.BinaryUnmarshaler
		UnmarshalBSONValue(byte, []byte) error
	}
)

// fixtures are one value of each kind, the last of them a kind of a user's own.
type fixtures struct {
	email pii.Email
	phone pii.Phone
	taxID TaxID
}

func seal(t testing.TB, scopes ...vault.Sealer) (f fixtures) {
	t.Helper()
	var err error
	f.email, err = pii.SealEmail(ctx, testAddress, scopes...)
	require.NoError(t, err)
	f.phone, err = pii.SealPhone(ctx, testNumber, scopes...)
	require.NoError(t, err)
	f.taxID, err = SealTaxID(ctx, testTaxID, scopes...)
	require.NoError(t, err)
	return f
}

func TestEncodings(t *testing.T) {
	security, _ := newScopes(t)
	f := seal(t, security)
	t.Run("Email", func(t *testing.T) { testEncodings(t, f.email, "email", testAddress, f.phone, f.taxID) })
	t.Run("Phone", func(t *testing.T) { testEncodings(t, f.phone, "phone", testNumber, f.taxID, f.email) })
	t.Run("TaxID", func(t *testing.T) { testEncodings(t, f.taxID, "tax-id", testTaxID, f.email, f.phone) })
}

func testEncodings[T sealedValue, P sealedPointer[T], A, B sealedValue](t *testing.T, value T, kind, plaintext string, a A, b B, _ ...P) {
	var zero T
	sealed := textOf(t, value)
	binary, err := value.MarshalBinary()
	require.NoError(t, err)

	// decode checks one decoder with one input, starting at a value and at
	// the zero one: what is refused leaves both as they were.
	decode := func(t *testing.T, refusal string, want T, with func(P) error) {
		t.Helper()
		for _, before := range []T{value, zero} {
			got := before
			err := with(P(&got))
			if refusal != "" {
				require.ErrorIs(t, err, vault.ErrCorrupt)
				require.EqualError(t, err, packageOf(kind)+": "+refusal+" "+kind+": "+vault.ErrCorrupt.Error(), "the message is constant")
				want = before
			} else {
				require.NoError(t, err)
			}
			require.True(t, got == want)
		}
	}

	// Texts that are not one of this kind.
	refused := map[string]string{
		"plaintext":                     plaintext,
		"plaintext of another kind":     "bob@example.com",
		"a value of another kind":       textOf(t, a),
		"a value of a third kind":       textOf(t, b),
		"a value relabelled to another": strings.Replace(sealed, "."+kind+".", ".other.", 1),
		"a blank":                       " ",
		"a blank before":                " " + sealed,
		"a line break behind":           sealed + "\n",
		"NUL behind":                    sealed + "\x00",
		"one letter less":               sealed[:len(sealed)-1],
		"its first field":               "pii1",
		"an unknown version":            "pii2" + sealed[4:],
		"upper case":                    strings.ToUpper(sealed),
		"quotes":                        `"` + sealed + `"`,
		"the label":                     value.GoString(),
		"invalid UTF-8":                 sealed + "\xff",
		"the binary form":               string(binary),
		"null":                          "null",
		"zeros":                         strings.Repeat("\x00", 100),
		"1 MB":                          strings.Repeat("A", 1<<20),
		"1 MB that begins well":         sealed + strings.Repeat("A", 1<<20),
	}

	t.Run("Value", func(t *testing.T) {
		column, err := value.Value()
		require.NoError(t, err)
		require.Equal(t, driver.Value(sealed), column)
		require.True(t, strings.HasPrefix(sealed, "pii1."+kind+".security."))
		column, err = zero.Value()
		require.NoError(t, err)
		require.Nil(t, column)
	})

	t.Run("Scan", func(t *testing.T) {
		for name, c := range map[string]struct {
			src  any
			want T
		}{
			"string":       {sealed, value},
			"bytes":        {[]byte(sealed), value},
			"NULL":         {nil, zero},
			"empty string": {"", zero},
			"empty bytes":  {[]byte{}, zero},
			"nil bytes":    {[]byte(nil), zero},
		} {
			t.Run(name, func(t *testing.T) {
				decode(t, "", c.want, func(p P) error { return p.Scan(c.src) })
			})
		}
		for name, src := range map[string]any{
			"int64":            int64(73918462504),
			"float64":          float64(73918462504),
			"bool":             true,
			"time":             time.Now(),
			"rune":             'x',
			"pointer":          &sealed,
			"raw bytes":        sql.RawBytes(sealed),
			"named string":     json.Number(sealed),
			"an Email":         a,
			"itself":           value,
			"a pointer to it":  &value,
			"map":              map[string]any{"Hxw93Jd": sealed},
			"error with value": fmt.Errorf("%s", plaintext),
		} {
			t.Run(name, func(t *testing.T) {
				decode(t, "scanning", zero, func(p P) error { return p.Scan(src) })
			})
		}
		for name, text := range refused {
			t.Run(name, func(t *testing.T) {
				decode(t, "scanning", zero, func(p P) error { return p.Scan(text) })
				decode(t, "scanning", zero, func(p P) error { return p.Scan([]byte(text)) })
			})
		}
	})

	t.Run("Scan copies", func(t *testing.T) {
		for name, with := range map[string]func(P, []byte) error{
			"Scan":            func(p P, b []byte) error { return p.Scan(b) },
			"UnmarshalText":   P.UnmarshalText,
			"UnmarshalBinary": func(p P, b []byte) error { copy(b, binary); return p.UnmarshalBinary(b[:len(binary)]) },
			"UnmarshalBSONValue": func(p P, b []byte) error {
				_, data, _ := value.MarshalBSONValue()
				err := p.UnmarshalBSONValue(0x02, data)
				clear(data)
				return err
			},
		} {
			buffer := []byte(sealed) // as a driver has one for all rows
			var first T
			require.NoError(t, with(&first, buffer), name)
			for i := range buffer {
				buffer[i] = 'x'
			}
			require.True(t, first == value, name)
		}
	})

	t.Run("what encoders return is the caller's", func(t *testing.T) {
		for name, encode := range map[string]func() ([]byte, error){
			"MarshalText":   value.MarshalText,
			"MarshalBinary": value.MarshalBinary,
			"BSON":          func() ([]byte, error) { _, data, err := value.MarshalBSONValue(); return data, err },
		} {
			data, err := encode()
			require.NoError(t, err, name)
			clear(data)
			require.Equal(t, sealed, textOf(t, value), name)
		}
	})

	t.Run("text", func(t *testing.T) {
		decode(t, "", value, func(p P) error { return p.UnmarshalText([]byte(sealed)) })
		decode(t, "", zero, func(p P) error { return p.UnmarshalText(nil) })
		for name, text := range refused {
			t.Run(name, func(t *testing.T) {
				decode(t, "decoding", zero, func(p P) error { return p.UnmarshalText([]byte(text)) })
			})
		}
		require.Empty(t, textOf(t, zero))
		appended, err := value.AppendText([]byte("before "))
		require.NoError(t, err)
		require.Equal(t, "before "+sealed, string(appended))
	})

	t.Run("binary", func(t *testing.T) {
		decode(t, "", value, func(p P) error { return p.UnmarshalBinary(binary) })
		decode(t, "", zero, func(p P) error { return p.UnmarshalBinary(nil) })
		other, err := a.MarshalBinary()
		require.NoError(t, err)
		for name, data := range map[string][]byte{
			"text":             []byte(sealed),
			"plaintext":        []byte(plaintext),
			"another kind":     other,
			"one byte less":    binary[:len(binary)-1],
			"one byte more":    append(bytes.Clone(binary), 0),
			"its first byte":   binary[:1],
			"1 MB":             make([]byte, 1<<20),
			"1 MB like it":     append(bytes.Clone(binary), make([]byte, 1<<20)...),
			"lengths too long": {1, 255, 255, 255},
		} {
			t.Run(name, func(t *testing.T) {
				decode(t, "decoding", zero, func(p P) error { return p.UnmarshalBinary(data) })
			})
		}
		empty, err := zero.MarshalBinary()
		require.NoError(t, err)
		require.Empty(t, empty)
		appended, err := value.AppendBinary([]byte("before "))
		require.NoError(t, err)
		require.Equal(t, "before "+string(binary), string(appended))
		require.Less(t, len(binary), len(sealed))
	})

	t.Run("BSON", func(t *testing.T) {
		size := len(sealed) + 1
		want := append([]byte{byte(size), byte(size >> 8), 0, 0}, sealed...)
		want = append(want, 0)
		typ, data, err := value.MarshalBSONValue()
		require.NoError(t, err)
		require.Equal(t, byte(0x02), typ)
		require.Equal(t, want, data)
		typ, data, err = zero.MarshalBSONValue()
		require.NoError(t, err)
		require.Equal(t, byte(0x0a), typ)
		require.Empty(t, data)

		decode(t, "", value, func(p P) error { return p.UnmarshalBSONValue(0x02, want) })
		decode(t, "", zero, func(p P) error { return p.UnmarshalBSONValue(0x0a, nil) })
		decode(t, "", zero, func(p P) error { return p.UnmarshalBSONValue(0x02, []byte{1, 0, 0, 0, 0}) })
		for name, c := range map[string]struct {
			typ  byte
			data []byte
		}{
			"nothing":                   {0x02, nil},
			"half a length":             {0x02, want[:2]},
			"a length alone":            {0x02, want[:4]},
			"length 0":                  {0x02, []byte{0, 0, 0, 0}},
			"length 0 and NUL":          {0x02, []byte{0, 0, 0, 0, 0}},
			"no NUL at the end":         {0x02, append(bytes.Clone(want[:len(want)-1]), 'x')},
			"one byte less":             {0x02, want[:len(want)-1]},
			"one byte more":             {0x02, append(bytes.Clone(want), 0)},
			"the largest length":        {0x02, append([]byte{255, 255, 255, 255}, want[4:]...)},
			"length without NUL":        {0x02, append([]byte{byte(size - 1), byte((size - 1) >> 8), 0, 0}, want[4:]...)},
			"length in big-endian":      {0x02, append([]byte{0, 0, byte(size >> 8), byte(size)}, want[4:]...)},
			"null with data":            {0x0a, []byte{0}},
			"undefined":                 {0x06, nil},
			"double":                    {0x01, make([]byte, 8)},
			"embedded document":         {0x03, []byte{5, 0, 0, 0, 0}},
			"binary":                    {0x05, want},
			"int64":                     {0x12, make([]byte, 8)},
			"symbol":                    {0x0e, want},
			"plaintext":                 {0x02, bsonString(plaintext)},
			"another kind":              {0x02, bsonString(textOf(t, a))},
			"1 MB":                      {0x02, bsonString(strings.Repeat("A", 1<<20))},
			"NUL in front of the other": {0x02, bsonString(sealed + "\x00")},
		} {
			t.Run(name, func(t *testing.T) {
				decode(t, "decoding", zero, func(p P) error { return p.UnmarshalBSONValue(c.typ, c.data) })
			})
		}
	})

	t.Run("JSON", func(t *testing.T) {
		type row struct {
			V    T            `json:"v"`
			Omit T            `json:"omit,omitzero"`
			P    *T           `json:"p"`
			Map  map[string]T `json:"map"`
			Keys map[T]int    `json:"keys"`
		}
		full := row{V: value, Omit: value, P: &value, Map: map[string]T{"a": value}, Keys: map[T]int{value: 1}}
		text, err := json.Marshal(full)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"v":%q,"omit":%[1]q,"p":%[1]q,"map":{"a":%[1]q},"keys":{%[1]q:1}}`, sealed), string(text))
		var got row
		require.NoError(t, json.Unmarshal(text, &got))
		require.Equal(t, full, got)

		text, err = json.Marshal(row{})
		require.NoError(t, err)
		require.JSONEq(t, `{"v":"","p":null,"map":null,"keys":null}`, string(text))
		got = full
		require.NoError(t, json.Unmarshal([]byte(`{"v":"","p":null}`), &got))
		require.True(t, got.V.IsZero())
		require.Nil(t, got.P)

		for name, in := range map[string]string{
			"plaintext":       fmt.Sprintf(`{"v":%q}`, plaintext),
			"number":          `{"v":73918462504}`,
			"object":          fmt.Sprintf(`{"v":{"Email":%q}}`, plaintext),
			"array":           fmt.Sprintf(`{"v":[%q]}`, plaintext),
			"true":            `{"v":true}`,
			"another kind":    fmt.Sprintf(`{"v":%q}`, textOf(t, a)),
			"pointer":         fmt.Sprintf(`{"p":%q}`, plaintext),
			"map value":       fmt.Sprintf(`{"map":{"a":%q}}`, plaintext),
			"map key":         fmt.Sprintf(`{"keys":{%q:1}}`, plaintext),
			"broken escape":   fmt.Sprintf(`{"v":"%s\u12"}`, plaintext),
			"unclosed string": fmt.Sprintf(`{"v":"%s`, plaintext),
		} {
			t.Run(name, func(t *testing.T) {
				got := row{V: value}
				err := json.Unmarshal([]byte(in), &got)
				require.Error(t, err)
				requireNone(t, err.Error(), plaintext)
				requireNone(t, err.Error(), "73918462504")
				require.True(t, got.V == value)
			})
		}
	})

	t.Run("XML", func(t *testing.T) {
		type row struct {
			XMLName xml.Name `xml:"row"`
			Attr    T        `xml:"attr,attr"`
			Element T        `xml:"element"`
			P       *T       `xml:"p"`
		}
		full := row{XMLName: xml.Name{Local: "row"}, Attr: value, Element: value, P: &value}
		text, err := xml.Marshal(full)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`<row attr="%s"><element>%[1]s</element><p>%[1]s</p></row>`, sealed), string(text))
		var got row
		require.NoError(t, xml.Unmarshal(text, &got))
		require.Equal(t, full, got)
		for _, in := range []string{
			fmt.Sprintf(`<row attr="%s"></row>`, plaintext),
			fmt.Sprintf(`<row><element>%s</element></row>`, plaintext),
			fmt.Sprintf(`<row><p>%s</p></row>`, textOf(t, a)),
		} {
			var got row
			err := xml.Unmarshal([]byte(in), &got)
			require.ErrorIs(t, err, vault.ErrCorrupt)
			requireNone(t, err.Error(), plaintext)
			require.True(t, got.Attr.IsZero() && got.Element.IsZero())
		}
	})

	t.Run("gob", func(t *testing.T) {
		type row struct {
			V    T
			Zero T
			P    *T
			Many []T
		}
		var wire bytes.Buffer
		full := row{V: value, P: &value, Many: []T{value, zero}}
		require.NoError(t, gob.NewEncoder(&wire).Encode(full))
		requireNone(t, wire.String(), plaintext)
		var got row
		require.NoError(t, gob.NewDecoder(&wire).Decode(&got))
		require.Equal(t, full, got)

		require.NoError(t, gob.NewEncoder(&wire).Encode(struct{ V A }{a}))
		got = row{}
		err := gob.NewDecoder(&wire).Decode(&got)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.True(t, got.V.IsZero())
	})

	t.Run("database/sql", func(t *testing.T) {
		db := sql.OpenDB(echo{})
		defer db.Close()
		type row struct {
			plain   T
			pointer *T
			null    sql.Null[T]
		}
		for name, c := range map[string]struct {
			args []any
			want row
		}{
			"a value":   {[]any{value, &value, value}, row{value, &value, sql.Null[T]{V: value, Valid: true}}},
			"no value":  {[]any{zero, (*T)(nil), sql.Null[T]{}}, row{}},
			"as text":   {[]any{sealed, sealed, sealed}, row{value, &value, sql.Null[T]{V: value, Valid: true}}},
			"as bytes":  {[]any{[]byte(sealed), []byte(sealed), []byte(sealed)}, row{value, &value, sql.Null[T]{V: value, Valid: true}}},
			"as NULL":   {[]any{nil, nil, nil}, row{}},
			"mixed":     {[]any{value, nil, value}, row{value, nil, sql.Null[T]{V: value, Valid: true}}},
			"zero *T":   {[]any{zero, &zero, zero}, row{}},
			"from Null": {[]any{value, value, sql.Null[T]{V: value, Valid: true}}, row{value, &value, sql.Null[T]{V: value, Valid: true}}},
		} {
			for _, as := range []string{"strings", "bytes"} {
				var got row
				require.NoError(t, db.QueryRow(as, c.args...).Scan(&got.plain, &got.pointer, &got.null), name)
				require.Equal(t, c.want, got, name)
			}
		}
		for _, as := range []string{"strings", "bytes"} {
			for _, bad := range []any{plaintext, textOf(t, a), int64(73918462504), 1.5, true, time.Now()} {
				got := row{plain: value, pointer: &value}
				for _, target := range []any{&got.plain, &got.pointer, &got.null} {
					err := db.QueryRow(as, bad).Scan(target)
					require.ErrorIs(t, err, vault.ErrCorrupt)
					requireNone(t, err.Error(), plaintext)
					requireNone(t, err.Error(), "73918462504")
				}
				require.True(t, got.plain == value)
			}
		}
	})

	t.Run("GORM", func(t *testing.T) { require.Equal(t, "text", value.GormDataType()) })
}

func textOf(t testing.TB, v encoding.TextMarshaler) string {
	t.Helper()
	text, err := v.MarshalText()
	require.NoError(t, err)
	return string(text)
}

// bsonString returns s as bsonspec.org writes a string.
func bsonString(s string) []byte {
	n := len(s) + 1
	return append(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, s...), 0)
}

// Length is looked at before bytes are copied.
func TestDecodersCheckLengthFirst(t *testing.T) {
	var email pii.Email
	var index pii.Index
	huge := bytes.Repeat([]byte("A"), 64<<20)
	text := string(huge)
	data := bsonString(text)
	require.Less(t, allocated(func() {
		require.Error(t, email.Scan(huge))
		require.Error(t, email.Scan(text))
		require.Error(t, email.UnmarshalText(huge))
		require.Error(t, email.UnmarshalBinary(huge))
		require.Error(t, email.UnmarshalBSONValue(0x02, data))
		require.Error(t, index.Scan(huge))
		require.Error(t, index.Scan(text))
	}), uint64(64<<10))
}

// encoding/json does not ask a type that decodes text about null.
func TestJSONNullLeavesAFieldAsItWas(t *testing.T) {
	security, _ := newScopes(t)
	f := seal(t, security)
	got := struct{ Email pii.Email }{f.email}
	require.NoError(t, json.Unmarshal([]byte(`{"Email":null}`), &got))
	require.True(t, got.Email == f.email)
}

func FuzzDecode(f *testing.F) {
	security, _ := newScopes(f)
	fix := seal(f, security)
	for _, v := range []interface {
		encoding.TextMarshaler
		encoding.BinaryMarshaler
	}{fix.email, fix.phone, fix.taxID, pii.Email{}} {
		text, _ := v.MarshalText()
		binary, _ := v.MarshalBinary()
		f.Add(text)
		f.Add(binary)
		f.Add(bsonString(string(text)))
	}
	f.Add([]byte(testAddress))
	f.Fuzz(func(t *testing.T, data []byte) {
		given := bytes.Clone(data)
		for doing, with := range map[string]func(*pii.Email) error{
			"scanning":  func(e *pii.Email) error { return e.Scan(data) },
			"scanning ": func(e *pii.Email) error { return e.Scan(string(data)) },
			"decoding":  func(e *pii.Email) error { return e.UnmarshalText(data) },
			"decoding ": func(e *pii.Email) error { return e.UnmarshalBinary(data) },
			"decoding b": func(e *pii.Email) error {
				return e.UnmarshalBSONValue(0x02, data)
			},
		} {
			email := fix.email
			if err := with(&email); err != nil {
				doing, _, _ = strings.Cut(doing, " ")
				require.EqualError(t, err, "pii: "+doing+" email: "+vault.ErrCorrupt.Error())
				require.True(t, email == fix.email)
				continue
			}
			require.Equal(t, given, data)
			require.NotPanics(t, func() { _ = email.GoString() })
			var again pii.Email
			require.NoError(t, again.UnmarshalText([]byte(textOf(t, email))))
			require.True(t, again == email)
			if address, err := email.Reveal(ctx, security); err == nil {
				require.Equal(t, testAddress, address)
				require.True(t, email == fix.email, "another text opened")
			} else if !email.IsZero() {
				require.True(t, email != fix.email)
			}
		}
	})
}

// echo is a database whose every query returns its arguments as one row, and
// which reuses its buffers as real drivers do.
type echo struct{}

func (echo) Connect(context.Context) (driver.Conn, error) { return echo{}, nil }
func (echo) Driver() driver.Driver                        { return nil }
func (echo) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (echo) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (echo) Close() error                                 { return nil }

func (echo) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows := &echoRows{}
	for _, a := range args {
		switch v := a.Value.(type) {
		case string:
			if query == "bytes" {
				a.Value = []byte(v)
			}
		case []byte:
			a.Value = bytes.Clone(v)
		}
		rows.row = append(rows.row, a.Value)
	}
	return rows, nil
}

type echoRows struct {
	row  []driver.Value
	done bool
}

func (r *echoRows) Columns() []string { return make([]string, len(r.row)) }

func (r *echoRows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	copy(dest, r.row)
	return nil
}

func (r *echoRows) Close() error {
	for _, v := range r.row {
		if b, ok := v.([]byte); ok {
			clear(b)
		}
	}
	return nil
}

// packageOf returns the package that errors about a kind begin with.
func packageOf(kind string) string {
	if kind == "tax-id" {
		return "people"
	}
	return "pii"
}
