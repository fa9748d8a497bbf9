package piitest_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

func TestNoLeakCaptures(t *testing.T) {
	for name, test := range map[string]struct {
		leak func(c *piitest.Contact)
		want string
	}{
		"standard output":   {func(c *piitest.Contact) { fmt.Println(c.Address) }, "standard output ("},
		"standard error":    {func(c *piitest.Contact) { fmt.Fprintln(os.Stderr, c.Number) }, "standard error ("},
		"log":               {func(c *piitest.Contact) { log.Printf("user %s", c.Address) }, "log ("},
		"slog":              {func(c *piitest.Contact) { slog.Info("in", "user", c.Address) }, "slog ("},
		"slog, debug":       {func(c *piitest.Contact) { slog.Debug("in", "user", c.Address) }, "slog ("},
		"slog, with":        {func(c *piitest.Contact) { slog.With("user", c.Address).WithGroup("g").Warn("in", "a", 1) }, "slog ("},
		"slog, as JSON":     {func(c *piitest.Contact) { slog.Info("in", "user", jsonOnly{c.Address}) }, "slog ("},
		"logger of default": {func(c *piitest.Contact) { slog.NewLogLogger(slog.Default().Handler(), slog.LevelInfo).Print(c.Address) }, "slog ("},
		"hash in a log":     {func(c *piitest.Contact) { log.Printf("%x", sum256(c.Address)) }, "log ("},
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) { piitest.NoLeak(tb, test.leak) },
				"piitest: "+test.want, "made up for this test", "return errors that do not quote their input")
		})
	}
}

// jsonOnly is printed by fmt without what is in it.
type jsonOnly struct{ Address string }

func (jsonOnly) String() string { return "user" }

func TestNoLeakPutsEverythingBack(t *testing.T) {
	var logged, slogged bytes.Buffer
	slogWas, logWas, flagsWas := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(slogWas)
		log.SetOutput(logWas)
		log.SetFlags(flagsWas)
	})
	slog.SetDefault(slog.New(slog.NewTextHandler(&slogged, nil)))
	log.SetOutput(&logged)
	log.SetFlags(log.Lmsgprefix) // which is not what slog.SetDefault leaves behind
	mine, stdout, stderr := slog.Default(), os.Stdout, os.Stderr

	for name, f := range map[string]func(tb testing.TB){
		"returns": func(testing.TB) {},
		"leaks":   func(testing.TB) { fmt.Println("nothing") },
		"ends":    func(tb testing.TB) { tb.FailNow() },
		"panics":  func(testing.TB) { panic("on purpose") },
	} {
		t.Run(name, func(t *testing.T) {
			logged.Reset()
			slogged.Reset()
			failures(t, func(tb testing.TB) {
				defer func() { recover() }()
				piitest.NoLeak(tb, func(c *piitest.Contact) {
					log.Print("to the log")
					slog.With("k", 1).Info("to slog")
					slog.Debug("to nobody")
					if name == "leaks" {
						log.Print(c.Address)
					}
					if name != "leaks" {
						f(&goexit{tb})
					}
				})
			})
			require.Same(t, mine, slog.Default())
			require.Same(t, stdout, os.Stdout)
			require.Same(t, stderr, os.Stderr)
			require.Equal(t, &logged, log.Writer())
			require.Equal(t, log.Lmsgprefix, log.Flags())
			if name == "leaks" { // then nothing is passed on
				require.Empty(t, logged.String()+slogged.String())
				return
			}
			require.Equal(t, "to the log\n", logged.String())
			require.Contains(t, slogged.String(), `level=INFO msg="to slog" k=1`)
			require.NotContains(t, slogged.String(), "nobody")
		})
	}
}

// goexit ends a test as t.FailNow does.
type goexit struct{ testing.TB }

func (g *goexit) FailNow() { g.TB.Fatal("piitest: ends") }

func TestNoLeakOfAPanic(t *testing.T) {
	type leaking func(testing.TB, func(*piitest.Contact))
	for name, noLeak := range map[string]leaking{"NoLeak": piitest.NoLeak, "NoLeakParallel": piitest.NoLeakParallel} {
		t.Run(name, func(t *testing.T) {
			log := failures(t, func(tb testing.TB) {
				noLeak(tb, func(c *piitest.Contact) { panic(fmt.Errorf("no user %q", c.Address)) })
			})
			require.Len(t, log, 2)
			require.Contains(t, log[0], "panic (")
			require.Contains(t, log[1], "the code under test panicked; with what is withheld")
			// One that says nothing goes on.
			require.PanicsWithValue(t, "harmless", func() {
				noLeak(t, func(*piitest.Contact) { panic("harmless") })
			})
		})
	}
}

func TestNoLeakPasses(t *testing.T) {
	kit := piitest.New(t, security)
	piitest.NoLeak(t, func(c *piitest.Contact) {
		scope := kit.Scope(security)
		email, phone := c.Email(scope), c.Phone(scope)
		hint, err := email.Hint(t.Context(), scope)
		require.NoError(t, err)
		slog.Debug("signed up", "email", email, "phone", phone, "hint", hint)
		c.Search("stored", struct{ A, B any }{email, phone})
		_, err = phone.Reveal(context.Background(), nil)
		c.Search("error", err)
	})
}

func TestNoLeakWithin(t *testing.T) {
	complains(t, func(tb testing.TB) {
		piitest.NoLeak(tb, func(*piitest.Contact) {
			piitest.NoLeak(tb, func(*piitest.Contact) {})
		})
	}, "NoLeak within NoLeak")
	piitest.NoLeak(t, func(*piitest.Contact) {}) // and once more after that
}

func TestNoLeakInParallel(t *testing.T) {
	parallel := func(t *testing.T) {
		complains(t, func(tb testing.TB) { piitest.NoLeak(tb, func(*piitest.Contact) {}) },
			"remove t.Parallel from this test and those around it, or use NoLeakParallel")
		complains(t, func(tb testing.TB) {
			piitest.NoLeakParallel(tb, func(c *piitest.Contact) { fmt.Fprint(c.Writer("log"), c.Address) })
		}, "log (")
	}
	t.Run("itself", func(t *testing.T) {
		t.Parallel()
		parallel(t)
	})
	t.Run("around", func(t *testing.T) {
		t.Parallel()
		t.Run("within", parallel)
	})
	t.Run("afterwards", func(t *testing.T) {
		piitest.NoLeak(t, func(*piitest.Contact) {})
		require.Panics(t, t.Parallel)
	})
}
