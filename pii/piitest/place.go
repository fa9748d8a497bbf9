package piitest

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// module is the path that the functions of this module's packages begin with.
const module = "github.com/onlyfor/onlyfor/"

// placeOfUse returns the place in the code under test, as "exporter.go:31", that
// asked package vault for what is being audited. It is called by an Auditor,
// which vault calls in the goroutine of the one who asked.
func placeOfUse() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	inside := false // seen vault, so this is not an auditor that wraps ours any more
	for {
		frame, more := frames.Next()
		ours := isLibrary(frame.Function)
		if inside && !ours {
			return placeOf(frame)
		}
		inside = inside || ours && strings.HasPrefix(frame.Function, module+"vault.")
		if !more {
			return "unknown place"
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

// placeOfCall returns the place outside this package that called into it.
func placeOfCall() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, module+"pii/piitest.") {
			return placeOf(frame)
		}
		if !more {
			return "unknown place"
		}
	}
}

// placeOf leaves out the folder, as package testing does: where it is on this
// machine is nobody's business.
func placeOf(f runtime.Frame) string {
	if f.File == "" {
		return "unknown place"
	}
	return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
}
