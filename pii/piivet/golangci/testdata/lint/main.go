// Lint is golangci-lint with piivet in it. "golangci-lint custom" makes the
// same of .custom-gcl.yml: the command, and an import of the plugin.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"

	_ "github.com/onlyfor/onlyfor/pii/piivet/golangci"
)

func main() {
	// Its cache knows a "(devel)" by the content of the executable. By a number it
	// would answer with what another version of the plugin found.
	info := commands.BuildInfo{Version: "(devel)", GoVersion: "unknown", Commit: "unknown", Date: "unknown"}
	if err := commands.Execute(info); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitcodes.Failure)
	}
}
