package main

import (
	"bytes"
	"database/sql"
	"errors"
	"expvar"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	texttemplate "text/template"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
)

const textPage = `{{.}} {{print .}} {{println .}} {{printf "%v %+v %q %x %s" . . . . .}} {{html .}} {{js .}} {{urlquery .}} {{len (print .)}}`

const htmlPage = `<p title="{{.}}" data-x={{.}} onclick="f({{.}})" style="color: {{.}}">{{.}}</p>
<a href="/find?q={{.}}">x</a><a href="{{.}}">y</a><!-- {{.}} --><textarea>{{.}}</textarea><title>{{.}}</title>`

const scriptPage = `<script>let x = {{.}}, s = '{{.}}'</script>`

var pages = map[string]func(v any) string{
	"text/template":        func(v any) string { return textTemplate(textPage, v) },
	"html/template":        func(v any) string { return htmlTemplate(htmlPage, v) },
	"html/template script": func(v any) string { return htmlTemplate(scriptPage, v) },
	"expvar":               func(v any) string { return expvar.Func(func() any { return v }).String() },
	"error page": func(v any) string {
		w := httptest.NewRecorder()
		http.Error(w, fmt.Sprintf("can't write to %v", v), http.StatusInternalServerError)
		return w.Body.String() + fmt.Sprint(w.Header())
	},
	"redirect": func(v any) string {
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Sprintf("/done?who=%v", v), http.StatusFound)
		return w.Body.String() + fmt.Sprint(w.Header())
	},
	"panic in a handler": func(v any) string {
		return panicking(fmt.Errorf("handling %v: %w", v, errors.New("timeout")))
	},
	"panic with a value": func(v any) string { return panicking(v) },
	"recovered": func(v any) (out string) {
		defer func() { r := recover(); out = fmt.Sprintf("%v %+v %#v", r, r, r) }()
		panic(v)
	},
}

// panicking returns what net/http logs and answers when a handler panics.
func panicking(v any) string {
	var logged bytes.Buffer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(v) }))
	server.Config.ErrorLog = log.New(&logged, "", 0)
	server.Start()
	response, err := server.Client().Get(server.URL)
	body := ""
	if err == nil {
		b, _ := io.ReadAll(response.Body)
		response.Body.Close()
		body = string(b)
	}
	server.Close() // after which nothing is logged
	return logged.String() + body + fmt.Sprint(err)
}

func textTemplate(page string, v any) string {
	var out bytes.Buffer
	err := texttemplate.Must(texttemplate.New("page").Parse(page)).Execute(&out, v)
	return fmt.Sprint(out.String(), err)
}

func htmlTemplate(page string, v any) string {
	var out bytes.Buffer
	err := htmltemplate.Must(htmltemplate.New("page").Parse(page)).Execute(&out, v)
	return fmt.Sprint(out.String(), err)
}

func TestNoPageShowsPersonalData(t *testing.T) {
	row := newRow(t)
	column, err := row.EmailIndex.Value()
	require.NoError(t, err)
	leaks := sentinel.New(person.Address, person.Number, string(column.([]byte)))
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			for what, v := range map[string]any{
				"email": row.Email, "phone": row.Phone, "index": row.EmailIndex, "pointer": &row.Email, "nil pointer": (*pii.Email)(nil),
				"user": row.User, "row": row, "row pointer": &row, "list": []person.Row{row}, "sql.Null": row.Recovery, "map": row.ByLabel,
				"index in a struct": struct{ V sql.Null[pii.Index] }{sql.Null[pii.Index]{V: row.EmailIndex, Valid: true}},
				"error":             fmt.Errorf("sending to %v", row),
			} {
				out := page(v)
				require.Empty(t, leaks.Find(out), "%s: %s", what, out)
			}
			if name != "panic with a value" { // of which net/http prints the type
				require.NotEmpty(t, leaks.Find(page(person.Address)), "the check can't fail")
			}
		})
	}
}

// Templates print the label. html/template writes values into scripts as JSON, with the
// sealed text.
func TestWhatTemplatesPrint(t *testing.T) {
	row := newRow(t)
	text, err := row.Email.MarshalText()
	require.NoError(t, err)
	for _, v := range []any{row.Email, &row.Email} {
		require.Equal(t, "pii.Email(security)<nil>", textTemplate("{{.}}", v))
		require.Equal(t, `<p title="pii.Email(security)">pii.Email(security)</p><nil>`, htmlTemplate(`<p title="{{.}}">{{.}}</p>`, v))
		require.Equal(t, `<script>x = "`+string(text)+`"</script><nil>`, htmlTemplate(`<script>x = {{.}}</script>`, v))
	}
	require.Equal(t, `<p>pii.Email(security) pii.Phone(security)</p><nil>`, htmlTemplate(`<p>{{.Email}} {{.Phone}}</p>`, row))
	require.Contains(t, htmlTemplate(`<script>x = {{.}}</script>`, row), string(text))
	for _, v := range []any{row.EmailIndex, []any{row.EmailIndex}} {
		require.Contains(t, htmlTemplate(`<script>x = {{.}}</script>`, v), "no form outside databases")
	}
}

// expvar drops the error of an index and leaves nothing in its place, which is
// no JSON: /debug/vars as a whole can't be read any more. Tag the field
// json:"-".
func TestExpvarOfAnIndexBreaksThePage(t *testing.T) {
	row := newRow(t)
	require.Empty(t, pages["expvar"](row.EmailIndex))
	require.Contains(t, pages["expvar"](row), "pii1.email.security.", "which has the tag")
}

// A template can call Reveal only if it is handed a scope: hand it none.
func TestTemplatesCantReveal(t *testing.T) {
	row := newRow(t)
	out := textTemplate(`{{.Email.Reveal nil nil}}`, row)
	require.Contains(t, out, "error calling Reveal")
	require.Empty(t, sentinel.New(person.Address).Find(out))
}

// What the runtime prints of a panic that ends the program.
func TestCrashShowsNothing(t *testing.T) {
	const variable = "ONLYFOR_TEST_CRASH"
	row := newRow(t)
	values := map[string]any{
		"error": fmt.Errorf("%v", row), "value": row.Email, "index": row.EmailIndex, "row": row, "pointer": &row.Email, "string": fmt.Sprintf("%+v", row),
	}
	if what := os.Getenv(variable); what != "" {
		go panic(values[what]) // in no goroutine that testing recovers
		select {}
	}
	leaks := sentinel.New(person.Address, person.Number)
	self, err := os.Executable()
	require.NoError(t, err)
	for what := range values {
		cmd := exec.Command(self, "-test.run=^TestCrashShowsNothing$")
		cmd.Env = append(os.Environ(), variable+"="+what, "GOTRACEBACK=system")
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "panic: ")
		require.Empty(t, leaks.Find(string(out)), what)
	}
}

func newRow(t *testing.T) person.Row {
	t.Helper()
	row, err := person.New(t.Context(), piitest.New(t, person.Security).Scope(person.Security))
	require.NoError(t, err)
	return row
}
