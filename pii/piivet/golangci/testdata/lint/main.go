// Lint is golangci-lint with piivet in it, as `golangci-lint custom` makes it
// from .custom-gcl.yml: its command, and an import of the plugin.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"

	_ "github.com/onlyfor/onlyfor/pii/piivet/golangci"
)

func main() {
	if err := commands.Execute(commands.BuildInfo{GoVersion: "unknown", Version: "v2.15.0", Commit: "?", Date: "unknown"}); err != nil {
		fmt.Fprintf(os.Stderr, "The command is terminated due to an error: %v\n", err)
		os.Exit(exitcodes.Failure)
	}
}
