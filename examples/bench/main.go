// Bench measures the cost of sealing, revealing and indexing, beside the primitives
// that they are made of and beside other libraries that do the same job. It prints
// ratios: nanoseconds mean nothing on another machine, and little on a busy one.
//
//	go -C examples/bench run .
//
// Contenders take turns in slices of a quarter of a millisecond, so that other work of the
// machine slows down all of them alike. One statistic is printed: the best slice of a
// contender, divided by the best slice of the first one, which is the yardstick. The columns
// from and to are the range of this ratio in five parts of the run.
//
// Targets are multiples of floors that are measured in the same run: programs written by
// hand that do the job and nothing else.
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
	rounds := flag.Int("rounds", 1000, "how many `slices` each contender gets")
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
		results := measure(r.contenders, rounds)
		printTable(out, r, results)
		printSamples(samples, r, results)
	}
	return scaling(ctx, out, rounds)
}
