// Separate runs a company as three processes: a web front end that collects, a security
// service and an ads service. Each has its own grants and nothing else. Then each tries
// to get at the data of the others, and a table shows the results.
//
//	go -C examples/separate run .
//
// Keys are files in a temporary directory, so the program needs no server and no
// account. README.md beside this file explains the parts and the use of a key service.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitHeld        = 0   // every attempt was refused
	exitGaveWay     = 1   // an attempt was not refused
	exitTrouble     = 2   // the run could not be completed
	exitInterrupted = 130 // by Ctrl-C
)

// maxRun is the longest time of a run, also if a process hangs.
var maxRun = time.Minute

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleFlag {
		if err := serve(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "separate:", err)
			os.Exit(exitTrouble)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := company{out: stdout, errs: stderr}
	flags := flag.NewFlagSet("separate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.kms, "kms", "", "URI `template` of the keys in Vault or OpenBao, such as hcvault://127.0.0.1:8200/transit/keys/separate-{purpose}, in place of files")
	flags.BoolVar(&c.users, "users", os.Geteuid() == 0, "run each process as a user of its own, which takes root")
	flags.BoolVar(&c.broken, "break", false, "give the ads service security's grant too, and have it start without the check, to see what gives way")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitHeld
	case err != nil:
		return exitTrouble
	case flags.NArg() > 0:
		fmt.Fprintln(stderr, "separate: arguments that are no flags")
		return exitTrouble
	}
	return c.exit(ctx)
}

// exit runs the company and returns the exit code.
func (c *company) exit(ctx context.Context) int {
	bounded, cancel := context.WithTimeout(ctx, maxRun)
	defer cancel()
	held, err := c.run(bounded)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(c.errs, "separate: interrupted")
		return exitInterrupted
	case bounded.Err() != nil:
		fmt.Fprintf(c.errs, "separate: not done within %v: %v\n", maxRun, err)
		return exitTrouble
	case err != nil:
		fmt.Fprintln(c.errs, "separate:", err)
		return exitTrouble
	case !held:
		return exitGaveWay
	}
	return exitHeld
}
