package pii_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

// A leakRow pushes a contact that nobody else has through some of the exported
// functions and methods, with success and with each failure. What comes out is
// searched for the contact, and for the keys of its vault and its indexes.
type leakRow struct {
	apis string // such as "vault.Scope.Reveal vault.Reader.Reveal"
	run  func(w *leakWorld)
}

// TestNoAPILeaks is the table of all APIs: [TestNoAPIIsForgotten] sees to it that
// each has a row. With ONLYFOR_LEAKS=1 every error goes through every printer,
// which takes twice as long.
//
// A scope or a vault that is printed by a verb that is an error, such as %w, or by
// what walks through unexported fields, shows the id of its subject: don't make an
// address the id of a person.
func TestNoAPILeaks(t *testing.T) {
	for _, row := range leakRows() {
		first, _, _ := strings.Cut(row.apis, " ")
		t.Run(first, func(t *testing.T) {
			leakTest(t, row.run)
		})
	}
}

// A search that finds nothing proves something only if it can find.
func TestLeakTestsCanFail(t *testing.T) {
	for name, leak := range map[string]func(w *leakWorld){
		"address in a value": func(w *leakWorld) { w.shown(struct{ a string }{w.contact.Address}) },
		"address in an error": func(w *leakWorld) {
			w.failed(fmt.Errorf("no: %w", &hostileError{w.contact.Address}))
		},
		"number, encoded":  func(w *leakWorld) { w.encoded([]byte(w.contact.Number)) },
		"number in a log":  func(w *leakWorld) { slog.New(slog.NewTextHandler(w, nil)).Info(w.contact.Number) },
		"key":              func(w *leakWorld) { w.shown(w.secrets()[0]) },
		"key of a subject": func(w *leakWorld) { w.shown(fmt.Sprintf("%x", w.secrets()[len(w.secrets())-1][8:])) },
		"index":            func(w *leakWorld) { w.shown(indexBytes(w, w.index)) },
		"sealed value":     func(w *leakWorld) { w.failed(fmt.Errorf("no user %s", textOf(w, w.email))) },
	} {
		t.Run(name, func(t *testing.T) {
			log := &quietTest{TB: t}
			done := make(chan struct{})
			go func() { // which FailNow ends
				defer close(done)
				leakTest(log, leak)
			}()
			<-done
			require.NotEmpty(t, log.String())
		})
	}
}

// leakTest runs run with a contact whose number is of no other kind: one in ten has
// the check digit of a tax id.
func leakTest(t testing.TB, run func(w *leakWorld)) {
	t.Helper()
	for drawn := false; !drawn; {
		piitest.NoLeakParallel(t, func(c *piitest.Contact) {
			if _, isTaxID := (taxID{}).Parse(c.Number[1:]); isTaxID {
				return
			}
			drawn = true
			w := newLeakWorld(t, c)
			run(w)
			w.check()
		})
	}
}

// shown takes values, and all ways to print them. Those that get at unexported
// fields show sealed text in place of the label.
func (w *leakWorld) shown(values ...any) {
	w.Helper()
	for _, v := range values {
		if w.before(fmt.Sprintf("%T %+v %#v", v, v, v)) {
			continue
		}
		for _, show := range printers {
			io.WriteString(w, show(v)+"\n")
		}
	}
}

// handled takes scopes and vaults, for what calls their methods or looks into
// structs as fmt does. What walks further by reflection gets to the KEK that the
// test made, and to the test: see TestKeysAreOutOfReflectionsReach.
func (w *leakWorld) handled(values ...any) {
	w.Helper()
	for _, v := range values {
		for name, show := range printers {
			// A verb that is an error shows fields, and with them a subject's id.
			if name != "reflection" && name != "fmt %w" && !strings.HasPrefix(name, "require") {
				fmt.Fprintln(w, show(v))
			}
		}
	}
}

// before reports whether the very same came out before, but for addresses in
// memory: to search it again would tell nothing.
func (w *leakWorld) before(text string) bool {
	text = inMemory.ReplaceAllString(text, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen[text]
	w.seen[text] = true
	return seen
}

var inMemory = regexp.MustCompile(`\b0xc[0-9a-f]{9}\b`)

// encoded takes what an encoder wrote, in which sealed values may be.
func (w *leakWorld) encoded(b []byte) { w.Write(append(b, '\n')) }

// fullyShown is how many different errors of a row go through all printers, which
// are some fifty, and not only through those that errors go through most.
const fullyShown = 4

const leaksVariable = "ONLYFOR_LEAKS"

// failed takes an error, and all ways in which programs hand errors on.
func (w *leakWorld) failed(err error, is ...error) {
	w.Helper()
	require.Error(w, err)
	for _, sentinel := range is {
		require.ErrorIs(w, err, sentinel)
	}
	chain := ""
	for e := err; e != nil; e = errors.Unwrap(e) {
		chain += fmt.Sprintf("%T|%v|%+v|%#v|%s|%q\n", e, e, e, e, e, e)
	}
	if w.before(chain) {
		return
	}
	w.noSeal("error", chain)
	io.WriteString(w, chain)
	if w.errors++; w.errors <= fullyShown || os.Getenv(leaksVariable) != "" {
		w.shown(err)
	}
	for _, e := range []error{errors.Join(io.EOF, err), fmt.Errorf("signing up: %w", err)} {
		fmt.Fprintf(w, "%v %+v %#v %q\n", e, e, e, e)
		io.WriteString(w, printers["slog JSON"](e)+printers["slog text"](e)+printers["html/template"](e))
	}
	w.panics(func() { panic(err) })
	io.WriteString(w, panickingHandler(err))
}

// panics takes what do panics with, as recovered and with the stack.
func (w *leakWorld) panics(do func()) {
	w.Helper()
	defer func() {
		r := recover()
		require.NotNil(w, r, "no panic")
		if text := fmt.Sprintf("%v %+v %#v\n", r, r, r); !w.before("panic " + text) {
			w.noSeal("panic", text)
			log.New(w, "", log.Lshortfile).Printf("%s%s", text, debug.Stack())
		}
	}()
	do()
}

// noSeal fails if text for people has a sealed value in it: it is of no use to
// them, and may be to whoever reads the log.
func (w *leakWorld) noSeal(what, text string) {
	w.Helper()
	if strings.Contains(text, "pii1.") {
		w.Errorf("%s shows a sealed value: %.300s", what, text)
	}
}

// hostileError quotes what it is about, as foreign errors do.
type hostileError struct{ about string }

func (e *hostileError) Error() string { return "no mailbox " + e.about + " here" }

// handlerErrors is the error log of a server, which all rows share.
var handlerErrors = sync.OnceValue(func() *handlerLog {
	h := &handlerLog{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(h.err) }))
	server.Config.ErrorLog = log.New(&h.out, "", 0)
	server.Start()
	h.url = server.URL
	return h
})

type handlerLog struct {
	mu  sync.Mutex
	url string
	err error
	out lockedBuffer
}

// lockedBuffer is written to by the goroutines of a server.
type lockedBuffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

// take returns what was written since it was called last.
func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.out.Reset()
	return b.out.String()
}

// panickingHandler returns what net/http writes of a handler that panics with err,
// to its error log and to the client.
func panickingHandler(err error) string {
	h := handlerErrors()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	response, failure := http.Get(h.url)
	body := ""
	if failure == nil {
		b, _ := io.ReadAll(response.Body)
		response.Body.Close()
		body = string(b)
	}
	// The connection is closed after the panic was logged.
	return h.out.take() + body + fmt.Sprint(failure)
}

// quietTest is a test that fails without failing.
type quietTest struct {
	testing.TB
	mu  sync.Mutex
	out strings.Builder
}

func (q *quietTest) Helper()                           {}
func (q *quietTest) FailNow()                          { runtime.Goexit() }
func (q *quietTest) Error(args ...any)                 { q.write(fmt.Sprintln(args...)) }
func (q *quietTest) Errorf(format string, args ...any) { q.write(fmt.Sprintf(format, args...)) }
func (q *quietTest) Fatal(args ...any)                 { q.Error(args...); q.FailNow() }
func (q *quietTest) Fatalf(format string, args ...any) { q.Errorf(format, args...); q.FailNow() }

func (q *quietTest) write(text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out.WriteString(text + "\n")
}

func (q *quietTest) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.out.String()
}
