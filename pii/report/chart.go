package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A chart is a row of bars, one for each month, as the page draws it in SVG.
type chart struct {
	Title string
	Most  int64 // the number of the highest bar
	Bars  []bar
	Ticks []tick
}

// The size of a chart, in the units of its view box. Bars stand on the line at chartHeight.
const (
	chartWidth  = 720
	chartHeight = 120
)

// A bar is the number of one month.
type bar struct {
	Month               string
	Number              int64
	X, Y, Width, Height float64
}

// A tick is a label below a bar.
type tick struct {
	X     float64
	Label string
}

// maxMonths bounds the bars of a chart: 50 years. Earlier months are left out.
const maxMonths = 600

// newChart returns the chart of numbers by month, such as "2013-05". Months without a number
// between the first and the last are empty bars. Names that are no months are left out.
func newChart(title string, numbers map[string]int64) chart {
	c := chart{Title: title}
	var months []time.Time
	for name := range numbers {
		if m, err := time.Parse("2006-01", name); err == nil {
			months = append(months, m)
		}
	}
	if len(months) == 0 {
		return c
	}
	slices.SortFunc(months, time.Time.Compare)
	first, last := months[0], months[len(months)-1]
	if n := monthsBetween(first, last); n >= maxMonths {
		first = last.AddDate(0, 1-maxMonths, 0)
	}
	n := monthsBetween(first, last) + 1
	step := float64(chartWidth) / float64(max(n, 12))
	every := (n/12 + 1 + 2) / 3 // years between two labels
	for i := range n {
		m := first.AddDate(0, i, 0)
		name := m.Format("2006-01")
		b := bar{Month: name, Number: numbers[name], X: step * float64(i), Width: step * 0.8}
		c.Most = max(c.Most, b.Number)
		c.Bars = append(c.Bars, b)
		if n <= 12 || m.Month() == time.January && (n <= 36 || (m.Year()%max(every, 1) == 0)) {
			c.Ticks = append(c.Ticks, tick{b.X, name})
		}
	}
	for i := range c.Bars {
		b := &c.Bars[i]
		b.Height = chartHeight * float64(b.Number) / float64(max(c.Most, 1))
		if b.Number > 0 {
			b.Height = max(b.Height, 1) // a small number is no zero
		}
		b.Y = chartHeight - b.Height
	}
	return c
}

// monthsBetween returns the number of months from a to b, both at the first of a month.
func monthsBetween(a, b time.Time) int {
	return 12*(b.Year()-a.Year()) + int(b.Month()) - int(a.Month())
}

// Label describes the chart for those who can't see it.
func (c chart) Label() string {
	if len(c.Bars) == 0 {
		return c.Title + ": none"
	}
	top := slices.MaxFunc(c.Bars, func(a, b bar) int { return cmp.Compare(a.Number, b.Number) })
	return fmt.Sprintf("%s, by month from %s to %s; at most %s, in %s", c.Title, c.Bars[0].Month, c.Bars[len(c.Bars)-1].Month, thousands(top.Number), top.Month)
}

// maxCharts bounds the charts of one property.
const maxCharts = 12

// charts returns a chart of collections by month for each of the notices with most values.
func (r *AffectedReport) charts() (all []chart) {
	for _, g := range r.Notices[:min(len(r.Notices), maxCharts)] {
		numbers := map[string]int64{}
		for _, m := range r.Months {
			if m.Notice == g.Name {
				numbers[m.Month] += m.Values
			}
		}
		all = append(all, newChart("Collected under "+orNone(g.Name, "no notice"), numbers))
	}
	return all
}

// charts returns a chart of uses for each purpose, and one of refusals if there are some.
func (r *UsesReport) charts() (all []chart) {
	used, refused := map[string]map[string]int64{}, map[string]int64{}
	var names []string
	for _, u := range r.Uses {
		switch {
		case u.Outcome == "denied":
			refused[u.Month] += u.Values
		case u.Outcome == "allowed" && isUse(u.Action):
			if used[u.Purpose] == nil {
				used[u.Purpose] = map[string]int64{}
				names = append(names, u.Purpose)
			}
			used[u.Purpose][u.Month] += u.Values
		}
	}
	for _, name := range names[:min(len(names), maxCharts)] { // in the order of Uses
		all = append(all, newChart("Used for "+name, used[name]))
	}
	if len(refused) > 0 {
		all = append(all, newChart("Refused", refused))
	}
	return all
}

// isUse reports whether an action takes something out of a value.
func isUse(action string) bool {
	return slices.Contains([]string{"reveal", "send", "hint", "index", "extend"}, action)
}

func orNone(name, none string) string {
	if name == "" {
		return none
	}
	return name
}

// thousands returns n in decimal with a space between groups of three digits.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
