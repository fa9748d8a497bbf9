// Listmatch matches an advertiser's list of a million addresses with the users who consented
// to ads: by blind indexes, and beside them by plain SHA-256, as ad platforms do. It does so
// in memory and in an embedded SQLite, and prints the time of both and their ratio.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
)

func main() {
	n := flag.Int("n", 1_000_000, "entries of the list; the table has half as many users")
	flag.Parse()
	if *n < 2 || *n > 100_000_000 || flag.NArg() > 0 {
		log.Fatal("usage: listmatch [-n entries], from 2 to 100,000,000")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "onlyfor-listmatch-")
	if err == nil {
		err = run(ctx, os.Stdout, os.Stderr, dir, *n)
		os.RemoveAll(dir)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run matches a list of n entries and writes the result to out, and progress to errs.
func run(ctx context.Context, out, errs io.Writer, dir string, n int) error {
	c, err := newCompany(ctx, dir)
	if err != nil {
		return err
	}
	defer c.close()
	m := &match{company: c, errs: errs, users: n / 2, entries: n}
	if err := m.store(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d users consented to ads. The list has %d entries.\n\n", m.users, m.entries)
	if err := m.run(ctx); err != nil {
		return err
	}
	for _, f := range m.found {
		fmt.Fprintf(out, "%-46s %9d\n", f.by+":", f.people)
	}
	fmt.Fprintf(out, "%-46s %9d\n", "entries that are no addresses:", m.malformed)
	fmt.Fprintf(out, "\n%-40s %12s %12s %8s\n", "time of an entry, median of the pages", "blind index", "SHA-256", "ratio")
	for _, r := range m.races {
		ours, theirs := median(r.ours), median(r.theirs)
		fmt.Fprintf(out, "%-40s %9d ns %9d ns %8.2f\n", r.name, ours.Nanoseconds(), theirs.Nanoseconds(), float64(ours)/float64(theirs))
	}
	return nil
}
