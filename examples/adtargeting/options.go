package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// options has the flags of the command line.
type options struct {
	users string // file of people, "" for the sample
	list  string // file of the advertiser's customers, "" for the sample
	n     int    // number of people to make up, 0 for none
	tries int    // number of values to try on each road
	keep  string // directory that stays after the run, "" for a temporary one
}

// maxPeople is the limit of made-up phone numbers.
const maxPeople = 100_000_000

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.users, "users", "", "read people from `file`: CSV with the columns email, phone and ads_consent, or JSON lines")
	flags.StringVar(&o.list, "list", "", "read the advertiser's list from `file`: CSV with the columns email and phone, or JSON lines")
	flags.IntVar(&o.n, "n", 0, "make up this many people and a list; the audit log then keeps refusals only")
	flags.IntVar(&o.tries, "tries", 10_000, "how many people to try on roads that go value by value")
	flags.StringVar(&o.keep, "keep", "", "keep database, keys and audit logs in `directory`, which must be new or empty")
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("adtargeting", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: adtargeting [-users file | -n people] [-list file] [-tries people] [-keep directory]")
		flags.PrintDefaults()
	}
	o.register(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("bad flags") // package flag has printed which
	}
	switch {
	case flags.NArg() > 0:
		return o, errors.New("unexpected argument: files are given with -users and -list")
	case o.n < 0 || o.n > maxPeople:
		return o, fmt.Errorf("-n is from 1 to %s", number(maxPeople))
	case o.n > 0 && o.users != "":
		return o, errors.New("-n and -users exclude each other")
	case o.tries < 1:
		return o, errors.New("-tries is 1 or more")
	}
	return o, nil
}

func (o options) userSource() source {
	switch {
	case o.n > 0:
		return generatedUsers(o.n)
	case o.users != "":
		return fileSource("users", o.users)
	}
	return sampleUsers()
}

func (o options) listSource() source {
	switch {
	case o.list != "":
		return fileSource("list", o.list)
	case o.n > 0:
		return generatedList(o.n)
	}
	return sampleList()
}
