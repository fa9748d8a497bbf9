package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/onlyfor/onlyfor/pii/piivet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/config"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/adopt"
)

// isTool reports whether go vet runs this executable as its tool. go vet does so to ask
// for the version, to ask for the flags, and to analyze one package, which a .cfg file
// describes.
func isTool(args []string) bool {
	return len(args) == 1 && (args[0] == "-V=full" || args[0] == "-flags") ||
		len(args) > 0 && strings.HasSuffix(args[len(args)-1], ".cfg")
}

// tool answers go vet. It does not return.
func tool() {
	args := os.Args[1:]
	if args[0] == "-V=full" {
		version()
	}
	if path := args[len(args)-1]; strings.HasSuffix(path, ".cfg") && untouched(path) {
		os.Exit(0)
	}
	collectLess()
	unitchecker.Main(analyzers(args)...)
}

// collectLess makes garbage collections rare until a process has a gigabyte: it analyzes
// one package and ends soon. GOGC and GOMEMLIMIT take precedence.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// version prints the identity of this executable for the cache of go vet. The identity
// covers the executable and .piivet.json. It does not return.
func version() {
	exe, err := os.Executable()
	if err == nil {
		var dir, line string
		if dir, err = os.Getwd(); err == nil {
			if line, err = config.VersionLine(exe, dir); err == nil {
				fmt.Print(line)
				os.Exit(0)
			}
		}
	}
	fmt.Fprintln(os.Stderr, "piivet:", err)
	os.Exit(1)
}

// analyzers returns the rules, and each further analyzer that the flags ask for: go vet runs
// every analyzer that the tool has, if no flag names one.
func analyzers(args []string) []*analysis.Analyzer {
	all := piivet.Analyzers()
	for _, a := range []*analysis.Analyzer{adopt.Analyzer, inventory.Analyzer, govet.Answer} {
		if args[0] == "-flags" || slices.Contains(args, "-"+a.Name) || slices.Contains(args, "-"+a.Name+"=true") {
			all = append(all, a)
		}
	}
	return all
}

// untouched reports whether go vet asks for a package's facts alone and the package can
// have none, since it belongs to another module and does not use the library. It then has
// written the empty facts. This spares parsing the standard library and most
// dependencies.
func untouched(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	var unit unitchecker.Config
	if json.Unmarshal(text, &unit) != nil || !unit.VetxOnly || unit.VetxOutput == "" || known.Part(unit.ImportPath) {
		return false
	}
	if m := unit.Module; m != nil && m.Path != "" && m.Version == "" || m == nil && unit.ModulePath != "" && unit.ModuleVersion == "" {
		return false // of the main module
	}
	for _, imported := range unit.ImportMap {
		if known.Part(known.PackagePath(imported)) {
			return false
		}
	}
	// A package that uses the library always has a fact that says so.
	for _, facts := range unit.PackageVetx {
		if info, err := os.Stat(facts); err != nil || info.Size() > 0 {
			return false
		}
	}
	return os.WriteFile(unit.VetxOutput, nil, 0o666) == nil
}
