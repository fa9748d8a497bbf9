package main

import (
	"fmt"
	"runtime/debug"
)

// version returns the text of --version: the version of the module, the revision that it
// was built from, and the release of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "onlyfor (unknown build)"
	}
	text := "onlyfor " + info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			text += ", revision " + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			text += " (modified)"
		}
	}
	return fmt.Sprintf("%s, %s", text, info.GoVersion)
}
