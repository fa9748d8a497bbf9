package main

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/davecgh/go-spew/spew"
	"github.com/google/go-cmp/cmp"
	"github.com/kr/pretty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
)

// export lets cmp compare the unexported field of person.User.
var export = cmp.Exporter(func(t reflect.Type) bool { return t == reflect.TypeFor[person.User]() })

// A recorder is a test that fails and keeps what it is told.
type recorder struct{ out string }

func (r *recorder) Errorf(format string, args ...any) { r.out += fmt.Sprintf(format, args...) }
func (r *recorder) FailNow()                          {}

var raw = spew.ConfigState{Indent: " ", DisableMethods: true}

var tools = map[string]func(a, b any) string{
	"cmp.Diff":      func(a, b any) string { return cmp.Diff(a, b, sameIndex, export) },
	"cmp.Diff, all": func(a, b any) string { return cmp.Diff(a, b, cmp.Exporter(func(reflect.Type) bool { return true })) },
	"require.Equal": func(a, b any) string { return told(func(t *recorder) { require.Equal(t, a, b) }) },
	"EqualValues":   func(a, b any) string { return told(func(t *recorder) { assert.EqualValues(t, a, b) }) },
	"EqualExported": func(a, b any) string { return told(func(t *recorder) { assert.EqualExportedValues(t, a, b) }) },
	"NotEqual":      func(a, _ any) string { return told(func(t *recorder) { assert.NotEqual(t, a, a); assert.Empty(t, a) }) },
	"Contains":      func(a, b any) string { return told(func(t *recorder) { assert.Contains(t, []any{a}, b) }) },
	"ElementsMatch": func(a, b any) string { return told(func(t *recorder) { assert.ElementsMatch(t, []any{a}, []any{b}) }) },
	"JSONEq": func(a, b any) string {
		return told(func(t *recorder) { assert.JSONEq(t, fmt.Sprint(a), fmt.Sprint(b)) })
	},
	"spew.Sdump":    func(a, b any) string { return spew.Sdump(a, b) },
	"spew.Sprintf":  func(a, b any) string { return spew.Sprintf("%v %+v %#v %#+v", a, a, b, b) },
	"spew, raw":     func(a, b any) string { return raw.Sdump(a, b) },
	"pretty.Sprint": func(a, b any) string { return pretty.Sprint(a, b) },
	"pretty.Diff":   func(a, b any) string { return fmt.Sprint(pretty.Diff(a, b)) },
	"pretty.Formatter": func(a, b any) string {
		return fmt.Sprintf("%# v %v", pretty.Formatter(a), pretty.Formatter(b))
	},
}

func told(check func(*recorder)) string {
	r := &recorder{}
	check(r)
	return r.out
}

func TestNoDiffShowsPersonalData(t *testing.T) {
	kit := piitest.New(t, person.Security)
	row, err := person.New(t.Context(), kit.Scope(person.Security))
	require.NoError(t, err)
	other, err := person.New(t.Context(), kit.Scope(person.Security))
	require.NoError(t, err)
	column, err := row.EmailIndex.Value()
	require.NoError(t, err)
	leaks := sentinel.New(person.Address, person.Number, string(column.([]byte)))

	for name, tool := range tools {
		for what, pair := range map[string][2]any{
			"rows":          {row, other},
			"pointers":      {&row, &other},
			"users":         {row.User, other.User},
			"lists":         {[]person.Row{row}, []person.Row{other, row}},
			"emails":        {row.Email, other.Email},
			"phones":        {row.Phone, other.Phone},
			"email or none": {row.Email, pii.Email{}},
			"indexes":       {row.EmailIndex, pii.Index{}},
			"nil pointers":  {(*pii.Email)(nil), &row.Email},
			"nil index":     {(*pii.Index)(nil), &row.EmailIndex},
			"other kinds":   {row.Email, row.Phone},
		} {
			out := tool(pair[0], pair[1])
			require.Empty(t, leaks.Find(out), "%s of %s: %s", name, what, out)
		}
		if name != "JSONEq" {
			plain := struct{ V string }{person.Address}
			require.NotEmpty(t, leaks.Find(tool(plain, struct{ V string }{"x"})), "%s can't fail", name)
		}
	}
}

// Which tools say something of a sealed value: its label, or the sealed text.
func TestWhatDiffsShow(t *testing.T) {
	row := newRow(t)
	for name, want := range map[string]string{
		"spew.Sdump": "pii1.email.security.", "spew, raw": "pii1.email.security.",
		"pretty.Sprint": "pii.Email(security)", "pretty.Diff": "pii1.email.security.",
		"cmp.Diff": "pii1.email.security.", "require.Equal": "pii.Email(security)",
	} {
		require.Contains(t, tools[name](row.Email, pii.Email{}), want, name)
	}
	// Where two labels are the same, cmp and testify show the sealed text as well.
	again := newRow(t).Email
	require.Contains(t, tools["cmp.Diff"](row.Email, again), "pii1.email.security.")
	require.Contains(t, tools["require.Equal"](row.Email, again), "pii1.email.security.")
}

// Sealed values compare by themselves.
func TestSealedValuesCompare(t *testing.T) {
	kit := piitest.New(t, person.Security)
	scope := kit.Scope(person.Security)
	a, err := pii.SealEmail(t.Context(), person.Address, scope)
	require.NoError(t, err)
	again, err := pii.SealEmail(t.Context(), person.Address, scope)
	require.NoError(t, err)
	same := a

	require.True(t, a == same)
	require.Equal(t, a, same)
	require.True(t, assert.ObjectsAreEqual(a, same))
	require.True(t, reflect.DeepEqual(a, same))
	require.True(t, reflect.DeepEqual(&a, &same))
	require.Empty(t, cmp.Diff(a, same))
	require.Empty(t, cmp.Diff(pii.Email{}, pii.Email{}))
	require.Empty(t, cmp.Diff([]*pii.Email{&a, nil}, []*pii.Email{&same, nil}))
	require.Empty(t, pretty.Diff(a, same))

	// Two seals of one address are two values.
	require.False(t, a == again)
	require.False(t, assert.ObjectsAreEqual(a, again))
	require.NotEmpty(t, cmp.Diff(a, again))
}

// Rows without an index compare, too.
func TestRowsCompare(t *testing.T) {
	row := newRow(t)
	same := row
	require.Empty(t, cmp.Diff(row, same, sameIndex, export))
	require.Empty(t, cmp.Diff(person.Row{}, person.Row{}, sameIndex, export))
	require.Equal(t, row.User, same.User)
	same.EmailIndex = pii.Index{}
	require.NotEmpty(t, cmp.Diff(row, same, sameIndex, export))
}

// Indexes compare like any other value.
func TestIndexesCompare(t *testing.T) {
	row := newRow(t)
	a := row.EmailIndex
	var b pii.Index
	column, err := a.Value()
	require.NoError(t, err)
	require.NoError(t, b.Scan(column))
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)

	require.True(t, a.Equal(b))
	require.True(t, a == b)
	require.True(t, reflect.DeepEqual(a, b))
	require.Equal(t, a, b)
	require.True(t, assert.ObjectsAreEqual(pii.Index{}, pii.Index{}))
	require.False(t, reflect.DeepEqual(a, pii.Index{}))
	require.False(t, assert.ObjectsAreEqual(a, newRow(t).EmailIndex))
	require.NotEmpty(t, told(func(r *recorder) { require.Equal(r, a, newRow(t).EmailIndex) }))

	// cmp asks Equal. It does not mind that the zero Index is not equal to
	// itself: it reports a difference between two that print alike.
	require.Empty(t, cmp.Diff(a, b))
	require.Empty(t, cmp.Diff(&a, &b))
	require.NotEmpty(t, cmp.Diff(pii.Index{}, pii.Index{}))
	require.NotEmpty(t, cmp.Diff(poisoned, poisoned))

	// The option sees absence as equal, and a failure as equal to nothing.
	require.Empty(t, cmp.Diff(pii.Index{}, pii.Index{}, sameIndex))
	require.Empty(t, cmp.Diff(a, b, sameIndex))
	require.NotEmpty(t, cmp.Diff(poisoned, poisoned, sameIndex))
	require.NotEmpty(t, cmp.Diff(a, pii.Index{}, sameIndex))
	require.NotEmpty(t, cmp.Diff(pii.Index{}, poisoned, sameIndex))
}

// Without an option for unexported fields cmp panics, as for any struct, and
// the panic has no values.
func TestCmpPanicsOnUnexportedFields(t *testing.T) {
	row := newRow(t)
	defer func() {
		require.Empty(t, sentinel.New(person.Address, person.Number).Find(fmt.Sprint(recover())))
	}()
	cmp.Diff(row, row)
	require.Fail(t, "no panic")
}

func newRow(t *testing.T) person.Row {
	t.Helper()
	row, err := person.New(t.Context(), piitest.New(t, person.Security).Scope(person.Security))
	require.NoError(t, err)
	return row
}
