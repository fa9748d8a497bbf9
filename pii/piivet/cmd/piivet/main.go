package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
)

// Exit codes.
const (
	nothing = iota // nothing to report
	found          // findings, or uses that are not in the lock file
	failed         // could not be checked
)

func main() {
	if isTool(os.Args[1:]) {
		tool() // does not return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// A command is a parsed command line.
type command struct {
	adopt, report, html, json bool
	check, update             string
	rules                     string
	tags                      string
	tests                     bool
	patterns                  []string

	executable, dir string
	stdout, stderr  io.Writer
}

const usage = `usage: piivet [flags] [packages]

  piivet ./...                       what should be different
  piivet -adopt ./...                what to wrap: fields, keys and columns of plain text
  piivet -report ./...               every purpose, its notices, and what is done for it
  piivet -check piivet.lock ./...    fail if that is more than the lock file says
  piivet -update piivet.lock ./...   write the lock file

Without packages it is ./... that is looked at.

`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := command{stdout: stdout, stderr: stderr}
	flags := flag.NewFlagSet("piivet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&c.adopt, "adopt", false, "list struct fields, keys of maps and columns that look like an e-mail address or phone number in plain text")
	flags.BoolVar(&c.report, "report", false, "write the register: every purpose, its notices, and what is done for it")
	flags.BoolVar(&c.html, "html", false, "with -report: as one HTML page")
	flags.BoolVar(&c.json, "json", false, "write JSON")
	flags.StringVar(&c.check, "check", "", "compare the register with a lock `file`")
	flags.StringVar(&c.update, "update", "", "write the register's pairs of place and purpose to a lock `file`")
	flags.StringVar(&c.rules, "rules", "", "run these rules only, such as leak,hash")
	flags.StringVar(&c.tags, "tags", "", "build tags, as for go build")
	flags.BoolVar(&c.tests, "tests", true, "look at test files too; -tests=false works before the tests compile, and -adopt never looks at them")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nothing
	case err != nil:
		return failed
	}
	if c.patterns = flags.Args(); len(c.patterns) == 0 {
		c.patterns = []string{"./..."}
	}
	code, err := c.run(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "piivet:", err)
		return failed
	}
	return code
}

func (c *command) run(ctx context.Context) (code int, err error) {
	modes := 0
	for _, mode := range []bool{c.adopt, c.report, c.check != "", c.update != ""} {
		if mode {
			modes++
		}
	}
	switch {
	case modes > 1:
		return 0, errors.New("-adopt, -report, -check and -update are for one at a time")
	case c.html && (!c.report || c.json):
		return 0, errors.New("-html goes with -report, and not with -json")
	case c.json && (c.check != "" || c.update != ""):
		return 0, errors.New("-json goes with neither -check nor -update")
	case c.rules != "" && modes > 0:
		return 0, errors.New("-rules goes with none of -adopt, -report, -check and -update")
	}
	for _, pattern := range c.patterns {
		if strings.HasPrefix(pattern, "-") {
			return 0, fmt.Errorf("flag %s after a package: flags come first", pattern)
		}
	}
	if c.executable, err = os.Executable(); err != nil {
		return 0, err
	}
	if c.dir, err = os.Getwd(); err != nil {
		return 0, err
	}
	switch {
	case c.adopt:
		return c.runAdopt(ctx)
	case c.report:
		return c.runReport(ctx)
	case c.check != "":
		return c.runCheck(ctx)
	case c.update != "":
		return c.runUpdate(ctx)
	}
	return c.runRules(ctx)
}

// findings runs go vet with this executable as the tool.
func (c *command) findings(ctx context.Context, analyzers []string, flags ...string) ([]govet.Finding, error) {
	run := govet.Run{Tool: c.executable, Analyzers: analyzers, Flags: flags, Patterns: c.patterns}
	if c.tags != "" {
		run.Build = append(run.Build, "-tags="+c.tags)
	}
	if !c.tests {
		overlay, err := c.withoutTests(ctx)
		if err != nil {
			return nil, err
		}
		defer os.Remove(overlay)
		run.Build = append(run.Build, "-overlay="+overlay)
	}
	return run.Findings(ctx)
}

func (c *command) runRules(ctx context.Context) (int, error) {
	var rules []string
	for _, a := range piivet.Analyzers() {
		rules = append(rules, a.Name)
	}
	if c.rules != "" {
		known := rules
		rules = strings.Split(c.rules, ",")
		for _, rule := range rules {
			if !slices.Contains(known, rule) {
				return 0, fmt.Errorf("there is no rule %q", rule)
			}
		}
	}
	findings, err := c.findings(ctx, rules)
	if err != nil {
		return 0, err
	}
	if err := c.writeFindings(findings); err != nil {
		return 0, err
	}
	if len(findings) > 0 {
		return found, nil
	}
	return nothing, nil
}
