package piitest

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// module is the path that the functions of this module's packages begin with.
const module = "github.com/onlyfor/onlyfor/"

// A callSite is a line of the code under test, such as "exporter.go:31".
type callSite string

const unknownCallSite callSite = "an unknown call site"

// vaultCaller returns the place in the code under test, as "exporter.go:31", that
// asked package vault for what is being audited. It is called by an Auditor,
// which vault calls in the goroutine of the one who asked.
func vaultCaller() callSite {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	inside := false // seen vault, so this is not an auditor that wraps ours any more
	for {
		frame, more := frames.Next()
		ours := isLibrary(frame.Function)
		if inside && !ours {
			return siteOf(frame)
		}
		inside = inside || ours && strings.HasPrefix(frame.Function, module+"vault.")
		if !more {
			return unknownCallSite
		}
	}
}

// isLibrary reports whether a function is of the packages that code under test
// calls. Their tests, in packages such as pii_test, are code under test.
func isLibrary(function string) bool {
	rest, ok := strings.CutPrefix(function, module)
	if !ok {
		return false
	}
	for _, own := range []string{"vault.", "pii.", "pii/piitest."} {
		if strings.HasPrefix(rest, own) {
			return true
		}
	}
	return false
}

// kitCaller returns the place outside this package that called into it.
func kitCaller() callSite {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, module+"pii/piitest.") {
			return siteOf(frame)
		}
		if !more {
			return unknownCallSite
		}
	}
}

// siteOf leaves out the folder, as package testing does: where it is on this
// machine is nobody's business.
func siteOf(f runtime.Frame) callSite {
	if f.File == "" {
		return unknownCallSite
	}
	return callSite(filepath.Base(f.File) + ":" + strconv.Itoa(f.Line))
}
