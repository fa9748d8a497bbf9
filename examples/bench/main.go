// Bench measures the cost of sealing, revealing and indexing, beside the primitives
// that they are made of and beside other libraries that do the same job. It prints
// ratios: nanoseconds mean nothing on another machine, and little on a busy one.
//
//	go -C examples/bench run .
//
// Contenders take turns in slices of two milliseconds, so that other work of the
// machine slows down all of them alike. The best slice of each contender counts.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	rounds := flag.Int("rounds", 300, "how many `slices` each contender gets")
	peers := flag.Bool("peers", true, "measure other libraries too")
	benchstat := flag.String("benchstat", "", "write every slice to this `file`, for benchstat")
	flag.Parse()
	if *rounds < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	samples := io.Discard
	if *benchstat != "" {
		f, err := os.Create(*benchstat)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer f.Close()
		samples = f
	}
	if err := run(context.Background(), os.Stdout, samples, *rounds, *peers); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything, and prints a table for each race.
func run(ctx context.Context, out, samples io.Writer, rounds int, withPeers bool) error {
	races, err := allRaces(ctx, withPeers)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "One e-mail address of %d bytes, one phone number. %s, %s/%s, %d processors.\n",
		len(address), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	for _, r := range races {
		n := rounds
		if r.slow {
			n = max(1, rounds/10)
		}
		results := measure(r.contenders, n)
		printTable(out, r, results)
		printSamples(samples, r, results)
	}
	return scaling(ctx, out, rounds)
}
