package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// adsProcessFlag makes this program the ad team's own process. People do not use it,
// so no help mentions it.
const adsProcessFlag = "-ads-process"

// maxAnswer is the size of the longest answer of the other process, in bytes.
const maxAnswer = 1 << 20

// startAdsProcess runs the ad team in a process of its own, and returns the roads that
// it took. The process knows the places of the database and the key store, and holds
// one KEK, advertising's.
func startAdsProcess(ctx context.Context, s *state, o options, stderr io.Writer) ([]road, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("ads process: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, adsProcessFlag, "-state", s.dir,
		"-list", o.list, "-n", strconv.Itoa(o.n), "-tries", strconv.Itoa(o.tries))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var answer bytes.Buffer
	cmd.Stdout, cmd.Stderr = &capped{&answer, maxAnswer}, stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ads process: %w", err)
	}
	var roads []road
	if err := json.Unmarshal(answer.Bytes(), &roads); err != nil {
		return nil, errors.New("ads process: malformed answer")
	}
	return roads, nil
}

// capped writes up to left bytes, then fails.
type capped struct {
	w    io.Writer
	left int
}

func (c *capped) Write(b []byte) (int, error) {
	if len(b) > c.left {
		return 0, errors.New("answer is too long")
	}
	c.left -= len(b)
	return c.w.Write(b)
}

// adsProcess is the other process. It writes the roads that it took to stdout.
func adsProcess(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	var dir string
	flags := flag.NewFlagSet("adtargeting "+adsProcessFlag, flag.ContinueOnError)
	flags.SetOutput(stderr)
	o.register(flags)
	flags.StringVar(&dir, "state", "", "")
	if err := flags.Parse(args); err != nil || dir == "" {
		return errors.New("ads process: bad flags")
	}
	state := &state{dir: dir}
	audit, err := newRecorder(state.auditLog("ads-process"), o.n > 0)
	if err != nil {
		return err
	}
	defer audit.close()
	v, err := teamVault(ctx, state, purposes.Advertising, audit)
	if err != nil {
		return err
	}
	defer v.Close()
	w := walker{who: "ads process", audit: audit}
	team := adTeam{state: state, audit: audit, list: o.listSource(), tries: o.tries, log: io.Discard}
	if err := w.walk(ctx, "open its own scope", allow, func(ctx context.Context, r *road) (err error) {
		team.scope, err = v.Scope(ctx, purposes.Advertising)
		return r.decided(1, err)
	}); err != nil {
		return err
	}
	if err := team.work(ctx, &w); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(w.roads)
}
