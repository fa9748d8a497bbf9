package piitest

import "testing"

// NoLeak hands a made-up contact to f and fails the test if it can be read from
// what the process writes meanwhile, or from what f hands to the outlets of c:
//
//	piitest.NoLeak(t, func(c *piitest.Contact) {
//		err := service.SignUp(c.Address, c.Number)
//		c.Search("error", err)
//		c.Rows("users", rows)
//	})
//
// It captures os.Stdout, os.Stderr, the default loggers of packages log and slog,
// the latter at every level, since production may log what a test does not; and
// what f panics with. A logger that was made before writes where it was told to:
// make it within f, or have it write to [Contact.Writer]. What bypasses package os
// is not seen, such as println. If nothing leaked, what was captured is written
// on to where it was bound for when f returns; otherwise it is dropped.
//
// Sealed values may come out: this is about plaintext and its unkeyed hashes,
// hex and base64, as [Contact] describes. For more see [Canary].
//
// As there is one os.Stdout in a process, NoLeak is refused in parallel tests and
// makes testing refuse t.Parallel after it. There use [NoLeakParallel].
func NoLeak(t testing.TB, f func(c *Contact)) {
	mustTest()
	t.Helper()
	refuseParallel(t)
	if !capturing.TryLock() {
		t.Fatal("piitest: NoLeak within NoLeak: the inner one would see nothing of what the outer one does: use one")
	}
	defer capturing.Unlock()
	noLeak(t, f, true)
}

// NoLeakParallel is [NoLeak] without what there is one of in a process: it
// searches what f hands to the outlets of c, and what f panics with. Give the
// code under test a logger that writes to c.Writer. It may be used in parallel
// tests.
func NoLeakParallel(t testing.TB, f func(c *Contact)) {
	mustTest()
	t.Helper()
	noLeak(t, f, false)
	// Nothing to search is not checked here: f may be only about panics.
}

func noLeak(t testing.TB, f func(c *Contact), process bool) {
	t.Helper()
	c := newContact(t, rules{
		subject: "made up for this test",
		advice: "log and store the sealed value, which prints as a label, " +
			"and return errors that do not quote their input",
	})
	var captured *capture
	if process {
		captured = newCapture(t, c)
	}
	returned := false
	defer func() {
		t.Helper()
		var panicked any
		if !returned { // nil if it was t.FailNow
			panicked = recover()
			c.sink("panic").addRenderings(panicked)
		}
		if captured != nil {
			captured.restore()
		}
		clean := c.check(t)
		switch {
		case captured != nil && clean:
			captured.forward()
		case panicked != nil && !clean:
			t.Fatal("piitest: the code under test panicked; with what is withheld, for personal data came out")
		}
		if panicked != nil {
			panic(panicked)
		}
	}()
	f(c)
	returned = true
}

// parallelEnv is set for its side effect: package testing refuses it in parallel
// tests, and refuses to make a test parallel that has set it.
const parallelEnv = "PIITEST_NOLEAK"

func refuseParallel(t testing.TB) {
	t.Helper()
	refused := false
	func() {
		defer func() { refused = recover() != nil }()
		t.Setenv(parallelEnv, "1")
	}()
	if refused {
		t.Fatal("piitest: NoLeak captures os.Stdout, os.Stderr and the default loggers, which other tests write to at the " +
			"same time: remove t.Parallel from this test and those around it, or use NoLeakParallel")
	}
}
