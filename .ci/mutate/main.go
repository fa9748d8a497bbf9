// Mutate makes one small change of the code after the other and runs the tests. A
// change that no test notices is a check that somebody could delete. Run it from the
// top of the repository:
//
//	go -C .ci/mutate run . -C ../.. ./purpose ./vault/... ./pii
//
// It prints each change that survived, and the score. The file of -known lists the
// accepted survivors, each with a reason, and they are counted apart. Mutate fails
// for any other survivor, and for a line of that file whose change is killed or gone.
//
// The changes are conditions that always or never hold, missing operands of && and
// ||, < for <= and the like, dropped statements, swallowed errors, negated boolean
// results, appends of nothing, and zero values for arguments, fields and results
// that hold data. A zero value leaves a field out of associated data, for example.
// Mutate changes neither locking nor the words of messages, and no package that only
// tests import.
//
// All changes of a package are compiled at once, each behind a switch that an
// environment variable turns on. Mutate first runs each test of the package, and of
// the suites below its folder internal, alone and records the changes that the test
// reaches. It then tries a change with the tests that reach it, quick ones first,
// until one fails. A survivor has been through all of its tests, and survivors take
// most of the time: some two hours for vault, on two cores. A run with
// -longest 500ms, and another with -again for the survivors, takes half an hour.
// After a change of the code, -since tries the changed lines alone, and -unlisted leaves
// out the survivors that are known.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	c := config{}
	flag.StringVar(&c.dir, "C", ".", "the module's `directory`")
	flag.StringVar(&c.known, "known", "survivors.txt", "the `file` of survivors that are let live")
	only := flag.String("only", "", "try changes whose key matches this `regexp`, which -v prints")
	flag.StringVar(&c.tests, "tests", "", "further packages whose `tests` are run, separated by spaces")
	flag.IntVar(&c.jobs, "j", runtime.NumCPU(), "tests that run at once")
	flag.IntVar(&c.every, "every", 1, "try each `n`-th change only")
	flag.DurationVar(&c.patience, "patience", 30*time.Second, "`time` added to ten times that of the tests before they count as hung")
	flag.DurationVar(&c.longest, "longest", time.Hour, "leave out tests that take longer than this `time`, for a first look")
	since := flag.String("since", "", "try changes of lines only that git finds changed since this `revision`")
	again := flag.String("again", "", "try those changes only that live in this `file`, an earlier output")
	flag.BoolVar(&c.unlisted, "unlisted", false, "leave out the changes that the file of -known lists, which take most of the time")
	flag.BoolVar(&c.verbose, "v", false, "print the killed too")
	flag.Parse()
	c.only = regexp.MustCompile(*only)
	if *again != "" {
		earlier, err := os.ReadFile(*again)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutate:", err)
			os.Exit(2)
		}
		c.again = survivorsOf(string(earlier))
	}
	if *since != "" {
		diff, err := exec.Command("git", "-C", c.dir, "diff", "--relative", "--no-prefix", "-U0", *since).Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutate: git diff:", err)
			os.Exit(2)
		}
		c.since = linesOf(string(diff))
	}
	ok, err := run(c, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type config struct {
	dir, known, tests string
	only              *regexp.Regexp
	again             map[string]bool         // by key, nil for all
	since             map[string]map[int]bool // lines by file, nil for all
	jobs, every       int
	patience, longest time.Duration
	verbose, unlisted bool
}

func run(c config, patterns []string) (bool, error) {
	known, err := readKnown(c.known)
	if err != nil {
		return false, err
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	start := time.Now()
	mutants, packages, err := prepare(c.dir, work, patterns)
	if err != nil {
		return false, err
	}
	if c.unlisted {
		mutants = slices.DeleteFunc(mutants, func(m Mutant) bool { return known[m.Key()] != "" })
		known = nil
	}
	suites, err := build(c, work, append(packages, strings.Fields(c.tests)...))
	if err != nil {
		return false, err
	}
	fmt.Printf("%d changes, %d tests, built and each test run once in %v\n", len(mutants), countTests(suites), time.Since(start).Round(time.Second))
	tried, survivors := try(c, mutants, suites)
	return report(os.Stdout, tried, survivors, known, len(tried) == len(mutants)), nil
}
