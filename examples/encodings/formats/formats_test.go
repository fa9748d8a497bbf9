package main

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

// A format is an encoder with its decoder, and what is known of it.
type format struct {
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
	// null is a document whose field V is null, "" if the format has none.
	null string
	// nullKeeps says that null leaves a field as it was. Otherwise it makes it
	// the zero value.
	nullKeeps bool
	// indexLost says that an Index is left out without an error. Otherwise it is
	// refused.
	indexLost bool
	// indexKept says that an index goes in, for lookups.
	indexKept bool
	// zeroIndexLeftOut says that the format does not ask a zero Index.
	zeroIndexLeftOut bool
	// noOmit says that the format writes an absent value, as empty text.
	noOmit bool
	// noTags says that a field can't be left out.
	noTags bool
	// skipsDocuments says that a document in place of a value is passed over.
	skipsDocuments bool
	// quotesKeys says that errors have the path to where they arose.
	quotesKeys bool
	// noMaps says that the format has no maps.
	noMaps bool
	// hidesCause says that errors about plaintext do not wrap those of the
	// library.
	hidesCause bool
}

// Ways in which models hold a value.
type (
	plain[T any] struct {
		V T `json:"v" xml:"v"`
	}
	pointer[T any] struct {
		V *T `json:"v" xml:"v"`
	}
	null[T any] struct {
		V sql.Null[T] `json:"v" xml:"v"`
	}
	many[T any] struct {
		V []T `json:"v" xml:"v"`
	}
	labelled[T any] struct {
		V map[string]T `json:"v" xml:"v"`
	}
	keyed[T comparable] struct {
		V map[T]int `json:"v" xml:"v"`
	}
	absent struct {
		W string `json:"w" xml:"w"`
	}
	optional[T any] struct {
		W string `json:"w" xml:"w"`
		V T      `json:"v,omitzero" yaml:"v,omitempty" bson:"v,omitempty" dynamodbav:"v,omitempty" msgpack:"v,omitempty" xml:"v"`
	}
)

func testFormat(t *testing.T, f format) {
	kit := piitest.New(t, person.Security, person.Advertising)
	scope := kit.Scope(person.Security)
	row, err := person.New(t.Context(), scope)
	require.NoError(t, err)
	column, err := row.EmailIndex.Value()
	require.NoError(t, err)
	leaks := sentinel.New(person.Address, person.Number, string(column.([]byte)))
	clean := func(t *testing.T, output string) {
		t.Helper()
		require.Empty(t, leaks.Find(output), "%q", output)
	}
	if f.noMaps {
		row.ByLabel = nil
	}
	user, index := row.User, row.EmailIndex

	t.Run("a user comes back", func(t *testing.T) {
		data, err := f.marshal(user)
		require.NoError(t, err)
		clean(t, string(data))
		var got person.User
		require.NoError(t, f.unmarshal(data, &got))
		require.Equal(t, user.Stored(), got)
		address, err := got.Email.Reveal(t.Context(), scope)
		require.NoError(t, err)
		require.Equal(t, person.Address, address)
		number, err := got.Recovery.V.Reveal(t.Context(), scope)
		require.NoError(t, err)
		require.Equal(t, person.Number, number)
		require.Equal(t, "pii.Email(security)", got.Email.GoString())
		_, err = got.Email.Reveal(t.Context(), kit.Scope(person.Advertising))
		require.Error(t, err)
	})

	if !f.noTags {
		t.Run("a row comes back without its index", func(t *testing.T) {
			data, err := f.marshal(row)
			require.NoError(t, err)
			clean(t, string(data))
			got := person.Row{EmailIndex: index}
			require.NoError(t, f.unmarshal(data, &got))
			require.Equal(t, user.Stored(), got.User)
			require.True(t, got.EmailIndex.Equal(index), "it was touched")
		})
	}

	t.Run("a user without anything comes back", func(t *testing.T) {
		data, err := f.marshal(person.User{})
		require.NoError(t, err)
		var got person.User
		require.NoError(t, f.unmarshal(data, &got))
		require.True(t, got.Email.IsZero() && got.Phone.IsZero() && got.Optional.IsZero() && got.Recovery.V.IsZero())
		require.False(t, got.Recovery.Valid)
		require.Nil(t, got.Backup)
		require.Empty(t, got.Others)
		require.Empty(t, got.ByLabel)
	})

	t.Run("zero and absent values", func(t *testing.T) {
		for _, v := range []pii.Email{{}, user.Email} {
			data, err := f.marshal(plain[pii.Email]{v})
			require.NoError(t, err)
			var got plain[pii.Email]
			require.NoError(t, f.unmarshal(data, &got))
			require.True(t, got.V == v)
			var p pointer[pii.Email]
			require.NoError(t, f.unmarshal(data, &p))
			if p.V != nil {
				require.True(t, *p.V == v)
			} else {
				require.True(t, v.IsZero())
			}
		}
		zero, err := f.marshal(optional[pii.Email]{W: "w"})
		require.NoError(t, err)
		without, err := f.marshal(absent{"w"})
		require.NoError(t, err)
		got := optional[pii.Email]{V: user.Email}
		require.NoError(t, f.unmarshal(without, &got))
		require.True(t, got.V == user.Email, "what is absent leaves a field as it was")
		got = optional[pii.Email]{}
		require.NoError(t, f.unmarshal(zero, &got))
		require.True(t, got.V.IsZero())
		full, err := f.marshal(optional[pii.Email]{W: "w", V: user.Email})
		require.NoError(t, err)
		require.Less(t, len(zero), len(full))
		if !f.noOmit {
			got = optional[pii.Email]{V: user.Email}
			require.NoError(t, f.unmarshal(zero, &got))
			require.True(t, got.V == user.Email, "the zero value was not omitted: %q", zero)
		}
	})

	if f.null != "" {
		t.Run("null", func(t *testing.T) {
			got := plain[pii.Email]{user.Email}
			require.NoError(t, f.unmarshal([]byte(f.null), &got))
			if f.nullKeeps {
				require.True(t, got.V == user.Email)
			} else {
				require.True(t, got.V.IsZero())
			}
			p := pointer[pii.Email]{&user.Email}
			require.NoError(t, f.unmarshal([]byte(f.null), &p))
			require.Nil(t, p.V)
		})
	}

	// What is not sealed, or of another kind, is refused without a word of it.
	t.Run("refused", func(t *testing.T) {
		sealedPhone, err := user.Phone.MarshalText()
		require.NoError(t, err)
		type attempt struct{ in, into any }
		attempts := map[string]attempt{
			"another kind":              {plain[pii.Phone]{user.Phone}, &plain[pii.Email]{user.Email}},
			"another kind to a pointer": {pointer[pii.Phone]{&user.Phone}, &pointer[pii.Email]{}},
			"another kind in a list":    {many[pii.Phone]{[]pii.Phone{user.Phone}}, &many[pii.Email]{}},
			"another kind in sql.Null":  {null[pii.Phone]{user.Recovery}, &null[pii.Email]{}},
			"plaintext":                 {plain[string]{person.Address}, &plain[pii.Email]{user.Email}},
			"plain number":              {plain[string]{person.Number}, &plain[pii.Phone]{user.Phone}},
			"plaintext as bytes":        {plain[[]byte]{[]byte(person.Address)}, &plain[pii.Email]{user.Email}},
			"plaintext for a pointer":   {plain[string]{person.Address}, &pointer[pii.Email]{}},
			"plaintext in a list":       {many[string]{[]string{person.Address}}, &many[pii.Email]{}},
			"plaintext in sql.Null":     {null[string]{sql.Null[string]{V: person.Address, Valid: true}}, &null[pii.Email]{}},
			"a number":                  {plain[int64]{73918462504}, &plain[pii.Phone]{user.Phone}},
			"a list":                    {many[string]{[]string{person.Address, person.Number}}, &plain[pii.Email]{user.Email}},
			"something after it":        {plain[string]{string(sealedPhone) + " " + person.Number}, &plain[pii.Phone]{user.Phone}},
		}
		if !f.noMaps {
			attempts["plaintext in a map"] = attempt{labelled[string]{map[string]string{"a": person.Address}}, &labelled[pii.Email]{}}
			attempts["another kind in a map"] = attempt{labelled[pii.Phone]{map[string]pii.Phone{"a": user.Phone}}, &labelled[pii.Email]{}}
			attempts["plaintext as a key"] = attempt{keyed[string]{map[string]int{person.Address: 1}}, &keyed[pii.Email]{}}
			attempts["a document"] = attempt{labelled[string]{map[string]string{"Email": person.Address}}, &plain[pii.Email]{user.Email}}
		}
		for name, a := range attempts {
			t.Run(name, func(t *testing.T) {
				data, err := f.marshal(a.in)
				require.NoError(t, err)
				err = f.unmarshal(data, a.into)
				if name == "a document" && f.skipsDocuments {
					require.NoError(t, err)
					require.True(t, a.into.(*plain[pii.Email]).V == user.Email, "it was changed")
					return
				}
				require.Error(t, err, "%#v of %q", a.into, data)
				if name == "plaintext as a key" && f.quotesKeys {
					require.NotEmpty(t, leaks.Find(err.Error()))
					return
				}
				clean(t, err.Error())
				clean(t, fmt.Sprintf("%+v %#v", err, err))
				require.NotContains(t, err.Error(), "pii1.", "not even sealed text")
				if name == "another kind" || name == "plaintext" && !f.hidesCause {
					require.ErrorIs(t, err, vault.ErrCorrupt)
				}
				switch into := a.into.(type) {
				case *plain[pii.Email]:
					require.True(t, into.V == user.Email, "it was changed")
				case *plain[pii.Phone]:
					require.True(t, into.V == user.Phone, "it was changed")
				}
			})
		}
	})

	t.Run("an index stays out", func(t *testing.T) {
		if f.indexKept {
			data, err := f.marshal(plain[pii.Index]{index})
			require.NoError(t, err)
			var got plain[pii.Index]
			require.NoError(t, f.unmarshal(data, &got))
			require.True(t, got.V.Equal(index))
			return
		}
		for name, v := range map[string]any{
			"plain":    plain[pii.Index]{index},
			"pointer":  pointer[pii.Index]{&index},
			"list":     many[pii.Index]{[]pii.Index{index}},
			"zero":     plain[pii.Index]{},
			"sql.Null": null[pii.Index]{sql.Null[pii.Index]{V: index, Valid: true}},
		} {
			data, err := f.marshal(v)
			clean(t, string(data))
			if f.indexLost || name == "zero" && f.zeroIndexLeftOut {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorIs(t, err, pii.ErrNoText, "%s: %q", name, data)
			clean(t, err.Error())
		}
	})

	t.Run("the check sees plaintext in this format", func(t *testing.T) {
		for _, v := range []any{plain[string]{person.Address}, plain[string]{person.Number}, plain[string]{fmt.Sprintf("%x", column)}} {
			data, err := f.marshal(v)
			require.NoError(t, err)
			require.NotEmpty(t, leaks.Find(string(data)), "%q", data)
		}
	})
}
