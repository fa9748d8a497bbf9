package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// allocations returns the number of objects that one job allocates.
func allocations(c contender, n int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if c.run(n) != nil {
		return 0
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// printTable prints the cost of each contender, in yardsticks: the ratio of the best slices,
// and the range of this ratio in the parts of the run.
func printTable(out io.Writer, r race, results []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s\ttimes\tfrom\tto\ttarget\tallocs\tns here\t\n", r.name)
	yardstick := results[0]
	floor := 1.0 // in yardsticks
	for _, r := range results {
		if r.floor && r.err == nil {
			floor = r.nanos() / yardstick.nanos()
		}
	}
	for _, r := range results {
		if r.err != nil {
			fmt.Fprintf(w, "%s\tfailed: %v\t\t\t\t\t\t\n", r.name, r.err)
			continue
		}
		target := ""
		switch {
		case r.floor:
			target = "floor"
		case r.target > 0:
			target = "≤ " + ratio(r.target*floor)
		}
		low, high := r.spread(yardstick)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t\n", r.name,
			ratio(r.nanos()/yardstick.nanos()), ratio(low), ratio(high), target, r.allocs, r.nanos())
	}
	w.Flush()
}

func ratio(x float64) string {
	switch {
	case x < 0.1:
		return fmt.Sprintf("%.3f", x)
	case x < 20:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// printSamples writes every slice as a line of Go's benchmark format.
func printSamples(out io.Writer, r race, results []result) {
	clean := strings.NewReplacer(" ", "-", ",", "", "…", "and")
	for _, res := range results {
		for _, took := range res.times {
			fmt.Fprintf(out, "Benchmark/%s/%s %d %.2f ns/op\n", clean.Replace(r.name), clean.Replace(res.name),
				res.n, float64(took)/float64(res.n)/float64(time.Nanosecond))
		}
	}
}
