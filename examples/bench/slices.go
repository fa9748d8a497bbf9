package main

import (
	"math"
	"slices"
	"time"
)

// A contender is one way to do the job of its race.
type contender struct {
	name   string
	run    func(n int) error // does the job n times
	target float64           // in floors of the race, 0 if there is none
	floor  bool              // the contender is the floor of the race
}

// A result has the times of one contender.
type result struct {
	contender
	n      int             // number of jobs in one slice
	times  []time.Duration // of each slice
	allocs float64         // for one job
	err    error
}

// nanos returns the best slice's time for one job, in nanoseconds.
func (r result) nanos() float64 { return r.nanosIn(0, 1) }

// nanosIn is nanos for one of so many equal parts of the run.
func (r result) nanosIn(part, parts int) float64 {
	parts = min(parts, len(r.times))
	from, to := part*len(r.times)/parts, (part+1)*len(r.times)/parts
	return float64(slices.Min(r.times[from:to])) / float64(r.n)
}

// parts is the number of parts of a run whose ratios the tables show the range of.
const parts = 5

// spread returns the least and the greatest ratio of r to the yardstick among the parts of
// the run. In each part the best slice of either counts.
func (r result) spread(yardstick result) (low, high float64) {
	low = math.Inf(1)
	for part := range min(parts, len(r.times)) {
		x := r.nanosIn(part, parts) / yardstick.nanosIn(part, parts)
		low, high = min(low, x), max(high, x)
	}
	return low, high
}

const slice = time.Millisecond / 4

// measure lets the contenders take turns in short slices. A contender that fails gets
// no more slices, and its result has the error.
func measure(contenders []contender, rounds int) []result {
	results := make([]result, len(contenders))
	for i, c := range contenders {
		r := &results[i]
		r.contender = c
		if r.n, r.err = fill(c); r.err == nil {
			r.allocs = allocations(c, r.n)
		}
	}
	for range rounds {
		for i := range results {
			r := &results[i]
			if r.err != nil {
				continue
			}
			start := time.Now()
			r.err = r.run(r.n)
			r.times = append(r.times, time.Since(start))
		}
	}
	return results
}

// fill returns the number of jobs that c does in one slice.
func fill(c contender) (n int, err error) {
	for n = 1; ; n *= 2 {
		best := time.Duration(math.MaxInt64)
		for range 3 {
			start := time.Now()
			if err := c.run(n); err != nil {
				return 0, err
			}
			best = min(best, time.Since(start))
		}
		if best >= slice/2 {
			return n, nil
		}
	}
}
