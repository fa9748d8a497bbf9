package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// report prints the table, and reports whether every attempt was refused.
func report(out io.Writer, tried []attempt) (held bool, err error) {
	order := []string{frontEnd, securityService, adsService}
	slices.SortStableFunc(tried, func(a, b attempt) int {
		return slices.Index(order, a.Who) - slices.Index(order, b.Who)
	})
	fmt.Fprint(out, "Each may read and write the whole database. Now each tries to get at what is not its own.\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROCESS\tTRIES TO\tRESULT\tWHY")
	counts := make(map[result]int)
	for _, a := range tried {
		counts[a.Result]++
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", a.Who, a.What, a.Result, a.Why)
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	_, err = fmt.Fprintf(out, "\n%d attempts: %d refused, %d succeeded, %d unclear, %d not tried.\n",
		len(tried), counts[refused], counts[succeeded], counts[unclear], counts[untried])
	return counts[succeeded] == 0 && counts[unclear] == 0 && counts[refused] > 0, err
}
