package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
)

// Ways in which programs hold what they log.
type (
	exported[T any]   struct{ V T }
	unexported[T any] struct {
		name string
		v    T
	}
)

func holders[T any](v T) map[string]any {
	pointer := &v
	return map[string]any{
		"value":             v,
		"pointer":           pointer,
		"pointer twice":     &pointer,
		"nil pointer":       (*T)(nil),
		"exported":          exported[T]{v},
		"exported pointer":  &exported[*T]{&v},
		"unexported":        unexported[T]{"n", v},
		"unexported by ref": &unexported[*T]{"n", &v},
		"slice":             []T{v},
		"map":               map[string]T{"k": v},
		"any":               []any{v, &v},
		"sql.Null":          sql.Null[T]{V: v, Valid: true},
		"error":             fmt.Errorf("looking up %v: %w", v, errors.New("timeout")),
		"joined errors":     errors.Join(errors.New("a"), fmt.Errorf("user %+v", exported[T]{v})),
		"error with field":  failure[T]{v},
		"function":          func() T { return v },
	}
}

// A failure is an error type that keeps what it is about.
type failure[T any] struct{ V T }

func (f failure[T]) Error() string { return fmt.Sprintf("no mailbox for %v", f.V) }

// A way logs v with the message "greeting".
type way func(w io.Writer, v any)

var ways = map[string]way{
	"log": func(w io.Writer, v any) { log.New(w, "", 0).Printf("greeting %v %+v %#v %s", v, v, v, v) },
	"slog text": func(w io.Writer, v any) {
		slog.New(slog.NewTextHandler(w, nil)).With("w", v).WithGroup("g").Info("greeting", "v", v)
	},
	"slog JSON": func(w io.Writer, v any) {
		slog.New(slog.NewJSONHandler(w, nil)).With("w", v).WithGroup("g").Info("greeting", "v", v)
	},
	"zap.Any, production":     zapWay(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zap.Any),
	"zap.Any, development":    zapWay(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zap.Any),
	"zap.Reflect":             zapWay(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zap.Reflect),
	"zap.Reflect development": zapWay(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zap.Reflect),
	"zap.String": zapWay(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), func(k string, v any) zap.Field {
		if s, ok := v.(fmt.GoStringer); ok && !isNil(v) {
			return zap.String(k, s.GoString())
		}
		return zap.Any(k, v)
	}),
	"zap sugared": func(w io.Writer, v any) {
		s := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(w), zap.DebugLevel)).Sugar()
		s.Infow("greeting", "v", v)
	},
	"zap sugared print": func(w io.Writer, v any) {
		s := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(w), zap.DebugLevel)).Sugar()
		s.Infof("greeting %v %+v", v, v)
		s.Info("greeting ", v)
		s.With(v).Info("greeting") // a key that is none
	},
	"zerolog.Interface": func(w io.Writer, v any) {
		l := zerolog.New(w)
		l.Info().Interface("v", v).Msg("greeting")
	},
	"zerolog.Any and Fields": func(w io.Writer, v any) {
		l := zerolog.New(w).With().Interface("w", v).Logger()
		l.Info().Any("v", v).Fields(map[string]any{"f": v}).Msg("greeting")
	},
	"zerolog.Str": func(w io.Writer, v any) {
		l := zerolog.New(w)
		e := l.Info()
		if s, ok := v.(fmt.GoStringer); ok && !isNil(v) {
			e = e.Str("v", s.GoString())
		}
		e.Msg("greeting")
	},
	"zerolog.Object": func(w io.Writer, v any) {
		l := zerolog.New(w)
		l.Info().Object("v", object{v}).Msg("greeting")
	},
	"zerolog.Msgf": func(w io.Writer, v any) {
		l := zerolog.New(w)
		l.Info().Type("t", v).Msgf("greeting %v %+v", v, v)
	},
	"zerolog console": func(w io.Writer, v any) {
		l := zerolog.New(zerolog.ConsoleWriter{Out: w, NoColor: true})
		l.Info().Interface("v", v).Msg("greeting")
	},
	"logrus text":        logrusWay(&logrus.TextFormatter{DisableColors: true}),
	"logrus text colour": logrusWay(&logrus.TextFormatter{ForceColors: true}),
	"logrus JSON":        logrusWay(&logrus.JSONFormatter{}),
}

// object is how a service logs its own structs with zerolog.
type object struct{ v any }

func (o object) MarshalZerologObject(e *zerolog.Event) { e.Str("v", fmt.Sprint(o.v)) }

func zapWay(encoder zapcore.Encoder, field func(string, any) zap.Field) way {
	return func(w io.Writer, v any) {
		l := zap.New(zapcore.NewCore(encoder.Clone(), zapcore.AddSync(w), zap.DebugLevel), zap.ErrorOutput(zapcore.AddSync(w)))
		l.With(field("w", v)).Info("greeting", field("v", v))
	}
}

func logrusWay(f logrus.Formatter) way {
	return func(w io.Writer, v any) {
		l := logrus.New()
		l.Formatter, l.Out = f, w
		e := l.WithField("v", v)
		if err, ok := v.(error); ok {
			e = e.WithError(err)
		}
		e.Info("greeting ", v)
	}
}

func shown(w way, v any) string {
	var out bytes.Buffer
	w(&out, v)
	return out.String()
}

func TestNoLoggerShowsPersonalData(t *testing.T) {
	row := newRow(t)
	column, err := row.EmailIndex.Value()
	require.NoError(t, err)
	leaks := sentinel.New(person.Address, person.Number, string(column.([]byte)))
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			for _, all := range []map[string]any{
				holders(row.Email), holders(row.Phone), holders(row.EmailIndex), holders(row.User), holders(row),
				holders(pii.Email{}), holders(pii.Index{}),
			} {
				for holder, v := range all {
					out := shown(w, v)
					require.Empty(t, leaks.Find(out), "%s: %s", holder, out)
				}
			}
			for _, plain := range []string{person.Address, person.Number} {
				if name != "zerolog.Str" { // it is given nothing but labels
					require.NotEmpty(t, leaks.Find(shown(w, exported[string]{plain})), "the check can't fail")
				}
			}
		})
	}
}

// What each way prints of a sealed value: alone, in an exported field, in an
// unexported one and as a nil pointer; and of an index alone and in a field.
var prints = map[string][6]string{
	"log":                     {"label", "label", "sealed", "nothing", "label", "label"},
	"logrus JSON":             {"sealed", "sealed", "sealed", "nothing", "line lost", "line lost"},
	"logrus text colour":      {"label", "label", "sealed", "nothing", "label", "label"},
	"logrus text":             {"label", "label", "sealed", "nothing", "label", "label"},
	"slog JSON":               {"label", "sealed", "nothing", "stack", "label", "refused"},
	"slog text":               {"label", "label", "sealed", "stack", "label", "label"},
	"zap sugared print":       {"sealed", "sealed", "sealed", "nothing", "refused", "refused"},
	"zap sugared":             {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zap.Any, development":    {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zap.Any, production":     {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zap.Reflect development": {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zap.Reflect":             {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zap.String":              {"label", "sealed", "nothing", "nothing", "label", "refused"},
	"zerolog console":         {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zerolog.Any and Fields":  {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zerolog.Interface":       {"sealed", "sealed", "nothing", "nothing", "refused", "refused"},
	"zerolog.Msgf":            {"label", "label", "sealed", "nothing", "label", "label"},
	"zerolog.Object":          {"label", "label", "sealed", "nothing", "label", "label"},
	"zerolog.Str":             {"label", "nothing", "nothing", "nothing", "label", "nothing"},
}

func TestWhatLoggersPrint(t *testing.T) {
	row := newRow(t)
	for name, w := range ways {
		got := [6]string{}
		for i, v := range []any{
			row.Email, exported[pii.Email]{row.Email}, unexported[pii.Email]{"n", row.Email}, (*pii.Email)(nil),
			row.EmailIndex, exported[pii.Index]{row.EmailIndex},
		} {
			got[i] = classify(shown(w, v))
		}
		require.Equal(t, prints[name], got, name)
	}
	require.Len(t, prints, len(ways))
}

func classify(out string) string {
	for _, c := range []struct{ has, means string }{
		{"pii1.email.", "sealed"},
		{"pii.Email(security)", "label"},
		{pii.ErrNoText.Error()[:20], "refused"},
		{"pii.Index", "label"},
		{"LogValue panicked", "stack"},
		{"greeting", "nothing"},
	} {
		if strings.Contains(out, c.has) {
			return c.means
		}
	}
	return "line lost"
}

// logrus writes why to standard error, and not the line. Tag the field json:"-".
func TestLogrusJSONLosesLinesWithAnIndex(t *testing.T) {
	row := newRow(t)
	require.Empty(t, shown(ways["logrus JSON"], row.EmailIndex))
	require.Empty(t, shown(ways["logrus JSON"], exported[pii.Index]{row.EmailIndex}))
	require.Contains(t, shown(ways["logrus JSON"], row), "greeting", "which has the tag")
}

func TestZerologPrintsNullForNilPointers(t *testing.T) {
	require.Contains(t, shown(ways["zerolog.Interface"], (*pii.Email)(nil)), `"v":null`)
}

func newRow(t *testing.T) person.Row {
	t.Helper()
	row, err := person.New(t.Context(), piitest.New(t, person.Security).Scope(person.Security))
	require.NoError(t, err)
	return row
}

func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
