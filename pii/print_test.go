package pii_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// Ways in which programs hold values.
type (
	exported[T any]   struct{ V T }
	unexported[T any] struct {
		name string
		v    T
	}
	nested[T any] struct {
		inner *unexported[T]
		list  []T
		any   any
	}
)

func holders[T any](v T) map[string]any {
	return map[string]any{
		"itself":               v,
		"pointer":              &v,
		"pointer to pointer":   ptr(&v),
		"exported field":       exported[T]{v},
		"unexported field":     unexported[T]{"n", v},
		"pointer to struct":    &unexported[T]{"n", v},
		"pointer to a pointer": unexported[*T]{"n", &v},
		"nested":               nested[T]{&unexported[T]{"n", v}, []T{v}, v},
		"slice":                []T{v, v},
		"slice of pointers":    []*T{&v},
		"array":                [1]T{v},
		"map":                  map[string]T{"k": v},
		"slice of any":         []any{v, &v},
		"sql.Null":             sql.Null[T]{V: v, Valid: true},
		"function":             func() T { return v },
		"channel":              make(chan T),
		"error":                fmt.Errorf("looking up %v: %w", v, errors.New("timeout")),
	}
}

func ptr[T any](v T) *T { return &v }

// printers are what shows a value in logs, traces, pages and test output.
var printers = map[string]func(v any) string{
	"slog text": func(v any) string {
		return logged(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }, v)
	},
	"slog JSON": func(v any) string {
		return logged(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }, v)
	},
	"log": func(v any) string {
		var out bytes.Buffer
		log.New(&out, "", 0).Print(v, "and", v)
		return out.String()
	},
	"text/template": func(v any) string {
		var out bytes.Buffer
		err := texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{print .}} {{printf "%v %q %x" . . .}} {{html .}} {{js .}}`)).Execute(&out, v)
		return fmt.Sprint(out.String(), err)
	},
	"html/template": func(v any) string {
		var out bytes.Buffer
		err := htmltemplate.Must(htmltemplate.New("").Parse(`<p title="{{.}}">{{.}}</p><a href="/?q={{.}}">x</a>`)).Execute(&out, v)
		return fmt.Sprint(out.String(), err)
	},
	"html/template script": func(v any) string {
		var out bytes.Buffer
		err := htmltemplate.Must(htmltemplate.New("").Parse(`<script>let x = {{.}}</script>`)).Execute(&out, v)
		return fmt.Sprint(out.String(), err)
	},
	"encoding/json": func(v any) string { out, err := json.Marshal(v); return string(out) + fmt.Sprint(err) },
	"errors.Join":   func(v any) string { return errors.Join(errors.New("a"), fmt.Errorf("%v", v)).Error() },
	"panic value": func(v any) (out string) {
		defer func() { out = fmt.Sprintf("%v %+v", recover(), v) }()
		panic(v)
	},
	"require.Equal": func(v any) string {
		return failure(func(t require.TestingT) { require.Equal(t, reflect.Zero(reflect.TypeOf(v)).Interface(), v) })
	},
	"require.Nil":      func(v any) string { return failure(func(t require.TestingT) { require.Nil(t, v) }) },
	"require.Empty":    func(v any) string { return failure(func(t require.TestingT) { require.Empty(t, v) }) },
	"require.Contains": func(v any) string { return failure(func(t require.TestingT) { require.Contains(t, []any{v}, "x") }) },
	"require.NotEqual": func(v any) string {
		return failure(func(t require.TestingT) { require.NotEqual(t, v, v); require.Equal(t, "x", v) })
	},
	"require.Same": func(v any) string { return failure(func(t require.TestingT) { require.Same(t, v, &v) }) },
	"reflection": func(v any) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%T ", v)
		walk(&b, reflect.ValueOf(v), 0)
		return b.String()
	},
}

func init() {
	for _, verb := range []string{
		"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%#x", "%d", "%t", "%p", "%T", "%c", "%U", "%e", "%g", "%b", "%o", "%w", "%y",
		"%10v", "%-20s|", "%.3s", "%+.2v", "%08d", "%*v",
	} {
		printers["fmt "+verb] = func(v any) string {
			if verb == "%*v" {
				return fmt.Sprintf(verb, 40, v)
			}
			return fmt.Sprintf(verb, v)
		}
	}
}

func logged(handler func(io.Writer) slog.Handler, v any) string {
	var out bytes.Buffer
	l := slog.New(handler(&out))
	l.Info("m", "v", v)
	l.With("w", v).WithGroup("g").Info("m", slog.Group("h", slog.Any("v", v)))
	return out.String()
}

// failingT is a test that fails and keeps what it was told.
type failingT struct{ out strings.Builder }

func (f *failingT) Errorf(format string, args ...any) { fmt.Fprintf(&f.out, format, args...) }
func (f *failingT) FailNow()                          { panic("failed") }

// failure returns what a check says when it fails, or panics with.
func failure(check func(require.TestingT)) (out string) {
	f := &failingT{}
	defer func() { out = fmt.Sprint(f.out.String(), recover() != nil) }()
	check(f)
	return ""
}

// walk writes everything of v that reflection reaches, through unexported
// fields as well. Package unsafe reaches more: the key that hides an Index, and
// whatever else the process holds.
func walk(out *strings.Builder, v reflect.Value, depth int) {
	if depth > 20 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		walk(out, v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(out, v.Field(i), depth+1)
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			walk(out, v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walk(out, k, depth+1)
			walk(out, v.MapIndex(k), depth+1)
		}
	case reflect.String:
		fmt.Fprintf(out, "%s ", v.String())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		fmt.Fprintf(out, "%d ", v.Uint())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		fmt.Fprintf(out, "%d ", v.Int())
	case reflect.Func:
		// A function in an unexported field can't be called.
		func() {
			defer func() { recover() }()
			for _, result := range v.Call(nil) {
				walk(out, result, depth+1)
			}
		}()
	}
}

func TestNoPrinterShowsPlaintext(t *testing.T) {
	security, advertising := newScopes(t)
	f := seal(t, security, advertising)
	for holder, v := range merge(holders(f.email), holders(f.phone), holders(f.taxID), holders(f)) {
		for printer, show := range printers {
			out := show(v)
			require.NotEmpty(t, out, "%s of %s", printer, holder)
			for _, plaintext := range []string{testAddress, testNumber, testTaxID} {
				if part := leaked(out, plaintext); part != "" {
					require.Fail(t, "plaintext", "%s of %s shows %q: %s", printer, holder, part, out)
				}
			}
		}
	}
}

// scannedBytes are an index of which no four bytes, as they are or in base64, occur
// in a message: random ones spell a word now and then.
const scannedBytes = "\xda\x84\xed\xfb\xbe\xc4\xa7\xf3\xd2\xea\xdb\xd7\x93\xec\xe1\x8b"

func TestNoPrinterShowsIndexBytes(t *testing.T) {
	security, _ := newScopes(t)
	index, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	var scanned pii.Index
	require.NoError(t, scanned.Scan([]byte(scannedBytes)))
	for _, shown := range []struct {
		secret     string
		few, few64 int
		holders    map[string]any
	}{
		{scannedBytes, 4, 4, merge(holders(scanned), holders(exported[pii.Index]{scanned}), holders(setOf(t, scanned)))},
		{string(indexBytes(t, index)), 8, chance, merge(holders(index), holders(exported[pii.Index]{index}), holders(setOf(t, index)))},
	} {
		for holder, v := range shown.holders {
			for printer, show := range printers {
				out := show(v)
				if part := leakedBytes(out, shown.secret, shown.few, shown.few64); part != "" {
					require.Fail(t, "index", "%s of %s shows %q: %s", printer, holder, part, out)
				}
			}
		}
		secret := []byte(shown.secret)
		for _, out := range []string{string(secret), fmt.Sprint(secret[:8]), fmt.Sprintf("%x", secret[5:13]), base64.StdEncoding.EncodeToString(secret[2:])} {
			require.NotEmpty(t, leakedBytes(out, shown.secret, shown.few, shown.few64), out)
		}
	}
	require.NotEmpty(t, leakedBytes(scannedBytes[7:11], scannedBytes, 4, 4))
}

func setOf(t *testing.T, indexes ...pii.Index) (s pii.IndexSet) {
	t.Helper()
	require.NoError(t, s.Add(indexes...))
	return s
}

func merge(all ...map[string]any) map[string]any {
	merged := make(map[string]any)
	for i, m := range all {
		for k, v := range m {
			merged[fmt.Sprint(k, " ", i)] = v
		}
	}
	return merged
}

func TestPrintersShowTheLabel(t *testing.T) {
	security, advertising := newScopes(t)
	f := seal(t, security, advertising)
	index, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	_, err = pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	for label, v := range map[string]any{
		"pii.Email(advertising+security)":    f.email,
		"pii.Phone(advertising+security)":    f.phone,
		"people.TaxID(advertising+security)": f.taxID,
		"pii.Email()":                        pii.Email{},
		"pii.Phone()":                        pii.Phone{},
		"people.TaxID()":                     TaxID{},
		"pii.Index":                          index,
		"pii.IndexSet":                       setOf(t, index),
	} {
		for format, want := range map[string]string{
			"%v": label, "%+v": label, "%#v": label, "%s": label, "%x": label, "%X": label, "%d": label, "%t": label, "%.2s": label[:2],
			"%q": `"` + label + `"`, "%40v": fmt.Sprintf("%40s", label), "%-40s|": fmt.Sprintf("%-40s|", label), "%2v": label,
			"%50q": fmt.Sprintf("%50q", label), "%-50q|": fmt.Sprintf("%-50q|", label), "%#q": "`" + label + "`",
		} {
			require.Equal(t, want, fmt.Sprintf(format, v), format)
		}
		require.Equal(t, "["+label+"]", fmt.Sprint([]any{v}))
		require.Equal(t, "map[k:"+label+"]", fmt.Sprint(map[string]any{"k": v}))
		require.Equal(t, label, fmt.Sprint(reflect.ValueOf(v)))
		require.Equal(t, label, v.(slog.LogValuer).LogValue().String())
		require.Equal(t, label, v.(fmt.GoStringer).GoString())
		// Code that took an address from a method String must not compile with a label.
		require.NotImplements(t, (*fmt.Stringer)(nil), v)
		require.Contains(t, printers["slog text"](v), "v="+label)
		require.Contains(t, printers["slog JSON"](v), `"v":"`+label+`"`)
		require.Contains(t, printers["html/template"](v), label[:9])
	}
	require.Equal(t, "bytes", index.GormDataType())
}

// A nil pointer prints as such.
func TestPrintersTakeNilPointers(t *testing.T) {
	for _, v := range []any{(*pii.Email)(nil), (*pii.Phone)(nil), (*TaxID)(nil), (*pii.Index)(nil), (*pii.IndexSet)(nil)} {
		require.Equal(t, "<nil>", fmt.Sprint(v))
		require.NotPanics(t, func() { printers["slog text"](v) })
		require.NotPanics(t, func() { printers["slog JSON"](v) })
	}
}

// Package flag quotes what a value refuses, where it can't be kept from it: an
// address is no flag, and neither is anything else that others see in a list of
// processes.
func TestFlagsQuoteWhatTheyRefuse(t *testing.T) {
	var email pii.Email
	requireNone(t, email.UnmarshalText([]byte(testAddress)).Error(), testAddress)
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&email, "email", pii.Email{}, "a trap")
	err := flags.Parse([]string{"-email", testAddress})
	require.ErrorContains(t, err, testAddress)
	require.True(t, email.IsZero())
}

// What the runtime prints of a value that ends the program.
func TestPanicShowsTheLabel(t *testing.T) {
	const variable = "ONLYFOR_TEST_PANIC"
	if os.Getenv(variable) != "" {
		security, _ := newScopes(t)
		email := seal(t, security).email
		go panic(email) // in no goroutine that testing recovers
		select {}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestPanicShowsTheLabel$")
	cmd.Env = append(os.Environ(), variable+"=1", "GOTRACEBACK=system")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "pii.Email")
	requireNone(t, string(out), testAddress)
}
