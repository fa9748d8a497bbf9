// Adtargeting tells a story that happened, and how it ends when purposes are
// bound into the data.
//
// A company collects e-mail addresses and phone numbers to secure accounts.
// Later its ad team gets a list of customers from an advertiser, and looks for
// these people among the company's users: by a join, in a full dump, by opening
// values, by relabelling them, by exchanging keys. It finds only the people who
// agreed to ads. README.md beside this file explains each road.
//
//	go run ./adtargeting
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
)

// The exit codes.
const (
	exitHeld        = 0   // every boundary held
	exitGaveWay     = 1   // a boundary gave way, or people who consented were not matched
	exitTrouble     = 2   // the run could not be completed
	exitInterrupted = 130 // by Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == adsProcessFlag {
		err := adsProcess(ctx, args[1:], stdout, stderr)
		if ctx.Err() != nil {
			return exitInterrupted // Ctrl-C reaches both processes, and the other one prints it
		}
		return exitCode(ctx, true, err, stderr)
	}
	held, err := company(ctx, args, stdout, stderr)
	return exitCode(ctx, held, err, stderr)
}

func exitCode(ctx context.Context, held bool, err error, stderr io.Writer) int {
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitHeld
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "adtargeting: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "adtargeting:", err)
		return exitTrouble
	case !held:
		return exitGaveWay
	}
	return exitHeld
}

// company runs the whole story and reports whether every boundary held.
func company(ctx context.Context, args []string, stdout, stderr io.Writer) (held bool, err error) {
	opts, err := parseOptions(args, stderr)
	if err != nil {
		return false, err
	}
	state, err := newState(opts.keep)
	if err != nil {
		return false, err
	}
	defer func() {
		if closeErr := state.close(); err == nil {
			err = closeErr
		}
	}()
	s, err := newStory(ctx, opts, state, stdout, stderr)
	if err != nil {
		return false, err
	}
	defer s.close()
	if err := s.tell(ctx); err != nil {
		return false, err
	}
	return s.verdict(), nil
}
