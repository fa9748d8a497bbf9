package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A suite is the test binary of one package.
type suite struct {
	binary, dir string
	tests       []test
}

type test struct {
	name    string
	took    time.Duration
	reached map[int]bool // mutants
}

// build compiles the tests of the packages and of the packages below their folders
// internal, where the longer suites are. It runs each test alone once.
func build(c config, work string, packages []string) ([]*suite, error) {
	var all []string
	for _, p := range packages {
		below, err := goCommand(c, "list", "-e", p, p+"/internal/...")
		if err != nil {
			return nil, err
		}
		for _, p := range strings.Fields(below) {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	var suites []*suite
	for i, p := range all {
		out, err := goCommand(c, "list", "-f", "{{.Dir}}", p)
		if err != nil {
			return nil, err
		}
		s := &suite{binary: filepath.Join(work, fmt.Sprintf("%d.test", i)), dir: strings.TrimSpace(out)}
		if _, err := goCommand(c, "test", "-c", "-vet=off", "-overlay", filepath.Join(work, "overlay.json"), "-o", s.binary, p); err != nil {
			return nil, err
		}
		if _, err := os.Stat(s.binary); err != nil {
			continue // without tests
		}
		if err := s.record(c, work); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		suites = append(suites, s)
	}
	return suites, nil
}

func goCommand(c config, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = c.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}

func (s *suite) record(c config, work string) error {
	cmd := exec.Command(s.binary, "-test.list", ".")
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(out)) {
		if strings.HasPrefix(name, "Benchmark") {
			continue
		}
		trace := filepath.Join(work, "trace")
		os.Remove(trace)
		start := time.Now()
		failed, out := s.run(c, []string{name}, min(c.longest, 10*time.Minute), "MUTANT_TRACE="+trace)
		if time.Since(start) > c.longest {
			continue
		}
		if failed {
			fmt.Printf("%s is left out, as it fails with every change switched off\n", name)
			if c.verbose {
				fmt.Printf("%s", out)
			}
			continue
		}
		t := test{name, time.Since(start), map[int]bool{}}
		if f, err := os.Open(trace); err == nil {
			for sc := bufio.NewScanner(f); sc.Scan(); {
				if id, err := strconv.Atoi(sc.Text()); err == nil {
					t.reached[id] = true
				}
			}
			f.Close()
		}
		s.tests = append(s.tests, t)
	}
	slices.SortStableFunc(s.tests, func(a, b test) int { return cmp.Compare(a.took, b.took) })
	return nil
}

// run reports whether one of the tests failed or hung, and returns the output.
func (s *suite) run(c config, names []string, limit time.Duration, env ...string) (failed bool, out []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for i, n := range names {
		names[i] = regexp.QuoteMeta(n)
	}
	cmd := exec.CommandContext(ctx, s.binary, "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one group with the processes that the tests start
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return err != nil && !errors.Is(err, exec.ErrWaitDelay), out
}

// try runs the tests for each mutant. It returns the mutants that it tried, and the
// survivors among them.
func try(c config, mutants []Mutant, suites []*suite) (tried, survivors []Mutant) {
	work := make(chan Mutant)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range c.jobs {
		wg.Go(func() {
			for m := range work {
				by, reached := killer(c, m, suites)
				mu.Lock()
				tried = append(tried, m)
				switch {
				case by == "" && !reached:
					fmt.Printf("%d not reached: %s\n", m.Line, m.Key())
				case by == "":
					fmt.Printf("%d lives: %s\n", m.Line, m.Key())
				case c.verbose:
					fmt.Printf("%d killed by %s: %s\n", m.Line, by, m.Key())
				}
				if by == "" {
					survivors = append(survivors, m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		if m.ID%c.every == 0 && c.only.MatchString(m.Key()) && (c.again == nil || c.again[m.Key()]) && (c.since == nil || c.since[m.File][m.Line]) {
			work <- m
		}
	}
	close(work)
	wg.Wait()
	return tried, survivors
}

// batches are the total times of the tests in one process, in the order of the
// processes. Many quick tests share a process, because a process costs more than
// they do.
var batches = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

func killer(c config, m Mutant, suites []*suite) (by string, reached bool) {
	for _, s := range suites {
		var names []string
		var sum time.Duration
		batch := 0
		flush := func() bool {
			if len(names) == 0 {
				return false
			}
			failed, out := s.run(c, names, 10*sum+c.patience, "MUTANT="+strconv.Itoa(m.ID))
			if failed {
				by = failure(out)
			}
			names, sum, batch = nil, 0, batch+1
			return failed
		}
		for _, t := range s.tests {
			if !t.reached[m.ID] {
				continue
			}
			reached = true
			names, sum = append(names, t.name), sum+t.took
			if batch >= len(batches) || sum > batches[batch] {
				if flush() {
					return by, true
				}
			}
		}
		if flush() {
			return by, true
		}
	}
	return "", reached
}

var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

func failure(out []byte) string {
	if m := failedTest.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return "a crash or a hang"
}

func countTests(suites []*suite) int {
	n := 0
	for _, s := range suites {
		n += len(s.tests)
	}
	return n
}
