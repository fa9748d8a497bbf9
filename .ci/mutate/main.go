// Mutate changes the code in small ways, one at a time, and runs the tests: a
// change that no test notices is a check that somebody could delete. From the
// top of the repository:
//
//	go -C .ci/mutate run . -C ../.. ./purpose ./vault/... ./pii
//
// It prints each change that survived, and the score. Those that are in the file
// of -known, each with the reason why it is let live, are counted apart; any
// other makes it fail, and so does one of that file that there no longer is.
//
// The changes are: conditions that always or never hold, operands of && and ||
// left out, < for <= and the like, statements dropped, errors swallowed, boolean
// results negated, nothing appended, and zero values for arguments, fields and
// results that are data (which leaves a field out of associated data, for one).
// Locking is let alone, as are the words of messages, and packages that tests alone
// import.
//
// All changes of a package are compiled at once, each behind a switch that an
// environment variable turns on. A first run of each test alone records which
// changes it reaches, among the package's own and those of the suites below its folder
// internal; a change is then tried with those tests only, quick ones first, until one
// fails. What lives has been through all of them, which is what takes time: some two
// hours for vault, on two cores. A first look with -longest 500ms and a second one
// with -again at what lived takes half an hour.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
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
	again := flag.String("again", "", "try those changes only that live in this `file`, an earlier output")
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
	again             map[string]bool // keys, nil for all
	jobs, every       int
	patience, longest time.Duration
	verbose           bool
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
	mutants, packages, err := prepare(c.dir, work, patterns)
	if err != nil {
		return false, err
	}
	suites, err := build(c, work, append(packages, strings.Fields(c.tests)...))
	if err != nil {
		return false, err
	}
	fmt.Printf("%d changes, %d tests\n", len(mutants), countTests(suites))
	tried, survivors := try(c, mutants, suites)
	return report(os.Stdout, tried, survivors, known, len(tried) == len(mutants)), nil
}
