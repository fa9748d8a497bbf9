package report_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var billing = purpose.MustParse("billing")

// crowd returns values with all that a report counts, which are the same in each run but for
// their ids.
func crowd(t *testing.T, n int) (values []report.Value) {
	kit := piitest.New(t, security, advertising, billing)
	collector, err := kit.Vault.Collector(t.Context(), billing)
	require.NoError(t, err)
	dice := rand.New(rand.NewPCG(1, 2))
	basis := func() purpose.Basis {
		b := purpose.Basis{Notice: []string{"", "n-1", "n-2"}[dice.IntN(3)], Collected: on("2013-01-15").AddDate(0, dice.IntN(4), dice.IntN(28))}
		switch dice.IntN(3) {
		case 0:
			b.Legal, b.Consent = purpose.Consent, fmt.Sprint("c-", dice.IntN(4))
		case 1:
			b.Legal = purpose.LegitimateInterests
		}
		switch dice.IntN(6) {
		case 0:
			b.Retain = 100 * 365 * 24 * time.Hour
		case 1:
			b.Retain, b.Collected = time.Second, time.Time{} // over before the values are counted
		}
		return b
	}
	ctx := t.Context()
	for range n {
		var sealers []vault.Sealer
		for _, p := range []purpose.Purpose{security, advertising} {
			if dice.IntN(2) == 0 {
				sealers = append(sealers, kit.Scope(p).Under(basis()))
			}
		}
		if dice.IntN(8) == 0 || len(sealers) == 0 {
			sealers = append(sealers, collector.Under(purpose.Basis{Notice: "form"}))
		}
		v := report.Value{Table: fmt.Sprint("table-", dice.IntN(2)), Key: fmt.Sprint(dice.IntN(n / 2))}
		if dice.IntN(3) > 0 {
			v.Subject = fmt.Sprint("person-", dice.IntN(n/4))
		}
		if dice.IntN(2) == 0 {
			phone, err := pii.SealPhone(ctx, "+12025550101", sealers...)
			require.NoError(t, err)
			v.Text = text(t, phone)
		} else {
			email, err := pii.SealEmail(ctx, "alice@example.com", sealers...)
			require.NoError(t, err)
			if len(sealers) == 1 && email.Purposes().Contains(security) && dice.IntN(2) == 0 {
				further := kit.Scope(advertising).Under(purpose.Basis{Consent: fmt.Sprint("c-", dice.IntN(4))})
				if extended, err := email.Extend(ctx, kit.Scope(security), further); err == nil {
					email = extended
				} else {
					require.ErrorIs(t, err, vault.ErrExpired)
				}
			}
			v.Text = text(t, email)
		}
		values = append(values, v)
	}
	for range values { // until each retention of a second is over
		time.Sleep(20 * time.Millisecond)
		if !anyPending(t, values) {
			return values
		}
	}
	require.Fail(t, "retention of one second is not over")
	return nil
}

// anyPending reports whether the retention of a value ends within the next hour.
func anyPending(t *testing.T, values []report.Value) bool {
	for _, v := range values {
		sealed := parsed(t, v)
		for p := range sealed.Purposes().All() {
			of, _ := sealed.Provenance(p)
			if left := time.Until(of.Expires); left > 0 && left < time.Hour {
				return true
			}
		}
	}
	return false
}

func parsed(t *testing.T, v report.Value) vault.Sealed {
	t.Helper()
	sealed, err := vault.ParseSealed(string(v.Text))
	require.NoError(t, err)
	return sealed
}

// A naive counts the values of one group in the plainest way.
type naive struct {
	people      map[string]bool
	values      int64
	first, last time.Time
}

// A model is a report in the making, of sets of people and numbers of values by the name of
// each group.
type model struct {
	groups                        map[string]map[string]*naive
	months                        map[report.Month]int64
	extended                      map[report.Extension]int64
	expired, collected, selection int64
}

func (m *model) put(all, name, person string, counted map[string]bool, at time.Time) {
	if m.groups[all] == nil {
		m.groups[all] = map[string]*naive{}
	}
	g := m.groups[all][name]
	if g == nil {
		g = &naive{people: map[string]bool{}, first: at, last: at}
		m.groups[all][name] = g
	}
	g.people[person] = true
	if key := all + "\x00" + name; !counted[key] {
		counted[key] = true
		g.values++
	}
	if at.Before(g.first) {
		g.first = at
	}
	if at.After(g.last) {
		g.last = at
	}
}

// add counts a value by the methods of vault.Sealed, a slot at a time.
func (m *model) add(t *testing.T, q report.Query, v report.Value) {
	sealed := parsed(t, v)
	person := "of " + v.Subject
	if v.Subject == "" {
		person = v.Table + "/" + v.Key
	}
	selects := func(p purpose.Purpose, of purpose.Provenance) bool {
		return (q.Purpose.IsZero() || q.Purpose == p) && (q.Notice == "" || q.Notice == of.Notice) && (q.Consent == "" || q.Consent == of.Consent) &&
			!of.Collected.Before(q.Since) && (q.Until.IsZero() || of.Collected.Before(q.Until))
	}
	counted := map[string]bool{}
	any, expired, collected := false, false, false
	for p := range sealed.Purposes().All() {
		of, _ := sealed.Provenance(p)
		if !selects(p, of) {
			continue
		}
		any = true
		ground := ""
		if of.Legal != purpose.Unstated {
			ground = of.Legal.String()
		}
		for all, name := range map[string]string{
			"total": "", "purposes": p.String(), "notices": of.Notice, "grounds": ground, "kinds": sealed.Kind(), "tables": v.Table, "consents": of.Consent,
		} {
			m.put(all, name, person, counted, of.Collected)
		}
		m.months[report.Month{Month: of.Collected.Format("2006-01"), Notice: of.Notice}]++
		expired = expired || !of.Expires.IsZero() && !time.Now().Before(of.Expires)
		collected = collected || sealed.ByCollector(p)
	}
	if !any {
		return
	}
	for p := range sealed.Purposes().All() {
		of, _ := sealed.Provenance(p)
		if !selects(p, of) {
			m.put("held", p.String(), person, counted, of.Collected)
		}
		if !of.From.IsZero() {
			m.extended[report.Extension{From: of.From.String(), To: p.String(), Consent: of.Consent}]++
		}
	}
	m.selection++
	if expired {
		m.expired++
	}
	if collected {
		m.collected++
	}
}

// A report counts as a program would that takes each slot of each value by itself, whatever
// of it is kept in memory, and however the values of a person follow each other.
func TestReportsCountAsTheModel(t *testing.T) {
	values := crowd(t, 400)
	for name, q := range map[string]report.Query{
		"all":          {},
		"a purpose":    {Purpose: advertising},
		"a notice":     {Notice: "n-1"},
		"a consent":    {Consent: "c-2"},
		"a time":       {Since: on("2013-02-03"), Until: on("2013-03-20")},
		"a form":       {Notice: "form"},
		"all of these": {Purpose: security, Notice: "n-2", Consent: "c-1", Since: on("2013-01-20")},
		"nothing":      {Notice: "n-3"},
	} {
		m := &model{groups: map[string]map[string]*naive{}, months: map[report.Month]int64{}, extended: map[report.Extension]int64{}}
		for _, v := range values {
			m.add(t, q, v)
		}
		for _, limits := range [][2]int{{4096, 1 << 19}, {1, 1 << 19}, {3, 7}} {
			t.Run(fmt.Sprint(name, limits), func(t *testing.T) {
				defer report.SetMaxShapes(limits[0])()
				defer report.SetMostMembers(limits[1])()
				r, err := report.Affected(t.Context(), q, &report.Options{TempDir: t.TempDir()}, source(values, nil))
				require.NoError(t, err)
				require.EqualValues(t, [3]int64{m.selection, m.expired, m.collected}, [3]int64{r.Total.Values, r.Expired, r.Collected})
				requireGroups(t, m, "total", []report.Group{{Count: r.Total}})
				for all, groups := range map[string][]report.Group{
					"purposes": r.Purposes, "notices": r.Notices, "grounds": r.Grounds, "kinds": r.Kinds, "tables": r.Tables, "consents": r.Consents, "held": r.Held,
				} {
					require.Len(t, groups, len(m.groups[all]), all)
					requireGroups(t, m, all, groups)
				}
				require.Len(t, r.Months, len(m.months))
				for _, month := range r.Months {
					n := month.Values
					month.Values = 0
					require.Equal(t, m.months[month], n, month)
				}
				require.Len(t, r.Extended, len(m.extended))
				for _, e := range r.Extended {
					n := e.Values
					e.Values = 0
					require.Equal(t, m.extended[e], n, e)
				}
			})
		}
	}
}

func requireGroups(t *testing.T, m *model, all string, groups []report.Group) {
	t.Helper()
	for _, g := range groups {
		want := m.groups[all][g.Name]
		if want == nil {
			require.Equal(t, report.Group{}, g, "nothing was selected")
			continue
		}
		require.Equal(t, report.Count{People: int64(len(want.people)), Values: want.values, First: want.first, Last: want.last}, g.Count, "%s %q", all, g.Name)
	}
}
