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
	target float64           // in yardsticks, 0 if there is none
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
func (r result) nanos() float64 { return float64(slices.Min(r.times)) / float64(r.n) }

// median returns the middle slice's time for one job, in nanoseconds.
func (r result) median() float64 {
	sorted := slices.Sorted(slices.Values(r.times))
	return float64(sorted[len(sorted)/2]) / float64(r.n)
}

const slice = 2 * time.Millisecond

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
