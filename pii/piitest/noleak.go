package piitest

import "testing"

// NoLeak hands a made-up contact to f, and fails the test if the contact turns up in
// the output of the process meanwhile, or in a sink of c:
//
//	piitest.NoLeak(t, func(c *piitest.Contact) {
//		err := service.SignUp(c.Address, c.Number)
//		c.Search("error", err)
//		c.Rows("users", rows)
//	})
//
// NoLeak captures os.Stdout, os.Stderr, the default loggers of packages log and slog,
// and the value of a panic of f. It captures every level of slog, since production
// may log more than a test.
//
// On Unix it captures the file descriptors 1 and 2 as well, and so loggers that took
// os.Stderr when the program started, println, C code and child processes. On other
// systems a logger made before NoLeak keeps its destination: make it in f, or let it write
// to [Contact.Writer]. The same holds everywhere for loggers that write to files and
// sockets. Under go test -v the lines of t.Log go to file descriptor 1 too, so f must not
// log the contact there.
//
// When f returns, the captured output goes to its original destinations, unless the
// contact leaked. A crash of the program within f is reported on standard error at once.
//
// Sealed values may come out. NoLeak searches for plaintext and for its unkeyed
// hashes, hex and base64, as [Contact] describes. [Canary] searches for more.
//
// A process has one os.Stdout. Parallel tests are therefore refused, and package
// testing refuses t.Parallel after NoLeak. Use [NoLeakParallel] there.
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

// NoLeakParallel is [NoLeak] for parallel tests: it captures no output of the process.
// It searches the sinks of c and the value of a panic of f. Give the code under test
// a logger that writes to c.Writer.
func NoLeakParallel(t testing.TB, f func(c *Contact)) {
	mustTest()
	t.Helper()
	noLeak(t, f, false)
	// A test without sinks passes here: f may be only about panics.
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
		if !returned { // recover returns nil after t.FailNow
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

// parallelEnv is set for its side effect: package testing refuses to set a variable
// in a parallel test, and to make a test parallel after it has set one.
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
