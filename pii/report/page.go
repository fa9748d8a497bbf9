package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"n":    thousands,
	"join": func(list []string) string { return orNone(strings.Join(list, ", "), "–") },
	"none": orNone,
	"day":  day,
}).Parse(pageText))

// day returns the day of t in UTC, "–" for the zero time.
func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.DateOnly)
}

// A pageData has the parts of a page. Any of them may be nil.
type pageData struct {
	Affected *AffectedReport
	Uses     *UsesReport
	Ropa     *RopaReport
}

// WriteHTML writes reports as one page that needs nothing else: no script, no font, no
// image and no request. It can be printed, and follows the light or dark scheme of the
// reader. Text that comes from values, logs and source is escaped. Each report may be nil.
//
// It returns the error of w.
func WriteHTML(w io.Writer, affected *AffectedReport, uses *UsesReport, ropa *RopaReport) error {
	return page.Execute(w, pageData{affected, uses, ropa})
}

// Title is the heading of the page.
func (d pageData) Title() string {
	switch {
	case d.Ropa != nil:
		return "Record of processing activities"
	case d.Affected != nil:
		return "Who is affected"
	}
	return "What personal data was used for"
}

// At is when the reports were made.
func (d pageData) At() time.Time {
	switch {
	case d.Ropa != nil:
		return d.Ropa.At
	case d.Affected != nil:
		return d.Affected.At
	case d.Uses != nil:
		return d.Uses.At
	}
	return time.Time{}
}

// Query is the query of the reports, in words.
func (d pageData) Query() string {
	switch {
	case d.Affected != nil:
		return d.Affected.Query.String()
	case d.Uses != nil:
		return d.Uses.Query.String()
	}
	return (&Query{}).String()
}

// Sections are the groups of the affected values.
func (d pageData) Sections() []section { return d.Affected.sections() }

// AffectedCharts and UseCharts are the charts of the page.
func (d pageData) AffectedCharts() []chart { return d.Affected.charts() }

// UseCharts are the charts of the uses.
func (d pageData) UseCharts() []chart { return d.Uses.charts() }

// Sums are the uses without months and services.
func (d pageData) Sums() []Use { return d.Uses.sums() }

// String returns the query in words, such as "notice 2fa-prompt-v2, since 2013-05-01".
func (q Query) String() string {
	var parts []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(!q.Purpose.IsZero(), "purpose %s", q.Purpose)
	add(q.Notice != "", "notice %s", q.Notice)
	add(q.Consent != "", "consent %s", q.Consent)
	add(!q.Since.IsZero(), "since %s", day(q.Since))
	add(!q.Until.IsZero(), "before %s", day(q.Until))
	return orNone(strings.Join(parts, ", "), "everything")
}

// A section is the groups of one property.
type section struct {
	Title, Property, None string
	Groups                []Group
}

func (r *AffectedReport) sections() []section {
	return []section{
		{"By notice", "Notice", "no notice", r.Notices},
		{"By purpose", "Purpose", "no purpose", r.Purposes},
		{"By ground", "Ground", "no ground stated", r.Grounds},
		{"By consent", "Consent", "no consent", r.Consents},
		{"By kind", "Kind", "no kind", r.Kinds},
		{"By table", "Table", "no table", r.Tables},
		{"Also held for other purposes", "Purpose", "no purpose", r.Held},
	}
}

// sums adds up uses that differ in month and service alone.
func (r *UsesReport) sums() (all []Use) {
	at := map[Use]int{}
	for _, u := range r.Uses {
		key := u
		key.Service, key.Month, key.Events, key.Values = "", "", 0, 0
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key] = i
			all = append(all, key)
		}
		all[i].Events += u.Events
		all[i].Values += u.Values
	}
	return all
}
