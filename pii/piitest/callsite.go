package piitest

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// module begins the names of the functions in the packages of this module.
const module = "github.com/onlyfor/onlyfor/"

// A callSite is a line of the code under test, such as "exporter.go:31".
type callSite string

const unknownCallSite callSite = "an unknown call site"

// vaultCaller returns the line of the code under test that called package vault for
// the action under audit. Only an Auditor may call it: package vault calls its
// Auditor in the goroutine of its caller.
func vaultCaller() callSite {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	inside := false // true above package vault, and so above any Auditor that wraps ours
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

// isLibrary reports whether a function belongs to a package that code under test
// calls. Tests of these packages, in packages such as pii_test, are code under test
// themselves.
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

// kitCaller returns the line outside this package that called into it.
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

// siteOf returns the call site of a frame. It leaves out the folder, as package
// testing does: messages tell nothing about the machine.
func siteOf(f runtime.Frame) callSite {
	if f.File == "" {
		return unknownCallSite
	}
	return callSite(filepath.Base(f.File) + ":" + strconv.Itoa(f.Line))
}
