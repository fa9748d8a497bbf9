package report_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

// source yields values, with a fault at the end if there is one.
func source(values []report.Value, fault error) iter.Seq2[report.Value, error] {
	return func(yield func(report.Value, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
		if fault != nil {
			yield(report.Value{}, fault)
		}
	}
}

func text(t testing.TB, v interface{ MarshalText() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.MarshalText()
	require.NoError(t, err)
	return b
}

func on(day string) time.Time {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	return at
}

// A town is three people in two tables: two of them gave their number for security under
// an old notice, and the third under a new one. One of them agreed to advertising.
type town struct {
	kit    *piitest.Kit
	values []report.Value
}

func newTown(t testing.TB) *town {
	w := &town{kit: piitest.New(t, security, advertising)}
	under := func(p purpose.Purpose, b purpose.Basis) *vault.Scope { return w.kit.Scope(p).Under(b) }
	was := under(security, purpose.Basis{Notice: "2fa-v2", Legal: purpose.LegitimateInterests, Collected: on("2013-05-17"), Retain: 100 * 365 * 24 * time.Hour})
	is := under(security, purpose.Basis{Notice: "2fa-v3", Legal: purpose.Consent, Consent: "c-3", Collected: on("2019-10-09")})
	add := func(table, key, subject string, v interface{ MarshalText() ([]byte, error) }) {
		w.values = append(w.values, report.Value{Table: table, Column: "sealed", Key: key, Subject: subject, Text: text(t, v)})
	}
	ctx := t.Context()
	alice, err := pii.SealPhone(ctx, "+12025550101", was)
	require.NoError(t, err)
	mail, err := pii.SealEmail(ctx, "alice@example.com", was)
	require.NoError(t, err)
	bob, err := pii.SealPhone(ctx, "+12025550102", was)
	require.NoError(t, err)
	bob, err = bob.Extend(ctx, w.kit.Scope(security), under(advertising, purpose.Basis{Consent: "c-9", Collected: on("2020-01-02")}))
	require.NoError(t, err)
	carol, err := pii.SealPhone(ctx, "+12025550103", is)
	require.NoError(t, err)
	add("users", "1", "1", alice)
	add("users", "1", "1", mail)
	add("users", "2", "2", bob)
	add("users", "3", "3", carol)
	add("contacts", "7", "1", alice) // the same person in another table
	return w
}

// open opens a value as its purpose's reader does.
func (w *town) open(ctx context.Context, p purpose.Purpose, _ string, v vault.Sealed) error {
	b, _ := v.MarshalText()
	if v.Kind() == "email" {
		var e pii.Email
		if err := e.UnmarshalText(b); err != nil {
			return err
		}
		_, err := e.Reveal(ctx, w.kit.Scope(p))
		return err
	}
	var n pii.Phone
	if err := n.UnmarshalText(b); err != nil {
		return err
	}
	_, err := n.Reveal(ctx, w.kit.Scope(p))
	return err
}

// count is a Count without times.
func count(people, values int64) [2]int64 { return [2]int64{people, values} }

func counts(groups []report.Group) map[string][2]int64 {
	m := map[string][2]int64{}
	for _, g := range groups {
		m[g.Name] = count(g.People, g.Values)
	}
	return m
}

func TestAffected(t *testing.T) {
	w := newTown(t)
	var rows []string
	r, err := report.Affected(t.Context(), report.Query{Notice: "2fa-v2", Since: on("2013-05-01")}, &report.Options{
		Row: func(table, key string) error { rows = append(rows, table+"/"+key); return nil },
	}, source(w.values[:4], nil), source(w.values[4:], nil))
	require.NoError(t, err)

	require.EqualValues(t, 5, r.Read)
	require.Equal(t, count(2, 4), count(r.Total.People, r.Total.Values), "alice is one person in two tables")
	require.Equal(t, on("2013-05-17"), r.Total.First)
	require.Equal(t, on("2013-05-17"), r.Total.Last)
	require.Equal(t, map[string][2]int64{"security": count(2, 4)}, counts(r.Purposes))
	require.Equal(t, map[string][2]int64{"2fa-v2": count(2, 4)}, counts(r.Notices))
	require.Equal(t, map[string][2]int64{"legitimate-interests": count(2, 4)}, counts(r.Grounds))
	require.Equal(t, map[string][2]int64{"phone": count(2, 3), "email": count(1, 1)}, counts(r.Kinds))
	require.Equal(t, map[string][2]int64{"users": count(2, 3), "contacts": count(1, 1)}, counts(r.Tables))
	require.Equal(t, map[string][2]int64{"advertising": count(1, 1)}, counts(r.Held))
	require.Equal(t, []report.Month{{Month: "2013-05", Notice: "2fa-v2", Values: 4}}, r.Months)
	require.Equal(t, []report.Extension{{From: "security", To: "advertising", Consent: "c-9", Values: 1}}, r.Extended)
	require.Equal(t, []string{"users/1", "users/2", "contacts/7"}, rows)
	require.False(t, r.Verifies)
	require.Zero(t, r.Total.Verified)
}

// Every condition of a query selects by the same slot.
func TestQueries(t *testing.T) {
	w := newTown(t)
	for name, test := range map[string]struct {
		query report.Query
		want  [2]int64
	}{
		"everything":                   {report.Query{}, count(3, 5)},
		"a purpose":                    {report.Query{Purpose: advertising}, count(1, 1)},
		"a purpose of nobody":          {report.Query{Purpose: purpose.MustParse("billing")}, count(0, 0)},
		"a notice":                     {report.Query{Notice: "2fa-v3"}, count(1, 1)},
		"a consent":                    {report.Query{Consent: "c-9"}, count(1, 1)},
		"a notice of another slot":     {report.Query{Purpose: advertising, Notice: "2fa-v2"}, count(0, 0)},
		"since a day":                  {report.Query{Since: on("2019-10-09")}, count(2, 2)},
		"before the day of collection": {report.Query{Until: on("2013-05-17")}, count(0, 0)},
		"until the day after":          {report.Query{Until: on("2013-05-18")}, count(2, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := report.Affected(t.Context(), test.query, nil, source(w.values, nil))
			require.NoError(t, err)
			require.Equal(t, test.want, count(r.Total.People, r.Total.Values))
		})
	}
}

// A value whose header was changed is counted as a claim, and told from values that open.
func TestVerified(t *testing.T) {
	w := newTown(t)
	forged := strings.Replace(string(w.values[0].Text), "security", "billing1", 1)
	w.values = append(w.values, report.Value{Table: "users", Key: "9", Text: []byte(forged)})
	opts := &report.Options{Verify: func(ctx context.Context, p purpose.Purpose, subject string, v vault.Sealed) error {
		if p != security && p != advertising {
			return vault.ErrNoKeys
		}
		return w.open(ctx, p, subject, v)
	}}
	r, err := report.Affected(t.Context(), report.Query{}, opts, source(w.values, nil))
	require.NoError(t, err)
	require.True(t, r.Verifies)
	require.Equal(t, count(5, 1), count(r.Total.Verified, r.Total.Refused))
	for _, g := range r.Purposes {
		if g.Name == "billing1" {
			require.Equal(t, count(0, 1), count(g.Verified, g.Refused))
		}
	}
}

// No event is lost where values are opened, and those of one result are one event.
func TestVerificationIsRecorded(t *testing.T) {
	w := newTown(t)
	recording := w.kit.Record()
	_, err := report.Affected(t.Context(), report.Query{Notice: "2fa-v2"}, &report.Options{Verify: w.open}, source(w.values, nil))
	require.NoError(t, err)
	recording.Only(t, security)
	n := 0
	for _, e := range recording.Events() {
		require.Equal(t, "report.affected", e.Operation)
		n += e.Count
	}
	require.Equal(t, 4, n)
}

// Text that is no value costs that cell.
func TestUnreadable(t *testing.T) {
	w := newTown(t)
	for _, garbage := range []string{"alice@example.com", "pii1.", "pii1.email.security." + strings.Repeat("A", 300), strings.Repeat("x", 1<<20), "\x00\xff", string(w.values[0].Text) + "A"} {
		w.values = append(w.values, report.Value{Table: "users", Key: "8", Text: []byte(garbage)})
	}
	r, err := report.Affected(t.Context(), report.Query{}, nil, source(w.values, nil))
	require.NoError(t, err)
	require.EqualValues(t, 6, r.Unreadable)
	require.EqualValues(t, 5, r.Total.Values)
}

// Whoever writes values can't make the report grow.
func TestGroupsAreBounded(t *testing.T) {
	kit := piitest.New(t, security)
	var values []report.Value
	for i := range 1500 {
		v, err := pii.SealPhone(t.Context(), "+12025550101", kit.Scope(security).Under(purpose.Basis{Notice: fmt.Sprint("n-", i)}))
		require.NoError(t, err)
		values = append(values, report.Value{Table: "users", Key: fmt.Sprint(i), Text: text(t, v)})
	}
	r, err := report.Affected(t.Context(), report.Query{}, nil, source(values, nil))
	require.NoError(t, err)
	require.Len(t, r.Notices, 1001)
	require.Equal(t, map[string][2]int64{report.Others: count(500, 500)}, counts(r.Notices[:1]))
	require.EqualValues(t, 1500, r.Total.People)
}

func TestFaults(t *testing.T) {
	w := newTown(t)
	broken := errors.New("broken")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	many := make([]report.Value, 2048)
	for i := range many {
		many[i] = w.values[i%len(w.values)]
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		opts *report.Options
		from iter.Seq2[report.Value, error]
		want error
	}{
		"a source":              {t.Context(), nil, source(w.values, broken), broken},
		"a row":                 {t.Context(), &report.Options{Row: func(string, string) error { return broken }}, source(w.values, nil), broken},
		"a key store":           {t.Context(), &report.Options{Verify: func(context.Context, purpose.Purpose, string, vault.Sealed) error { return vault.ErrUnavailable }}, source(w.values, nil), vault.ErrUnavailable},
		"a goroutine that ends": {t.Context(), &report.Options{Verify: func(context.Context, purpose.Purpose, string, vault.Sealed) error { runtime.Goexit(); return nil }}, source(w.values, nil), vault.ErrUnavailable},
		"a source that ends":    {t.Context(), nil, func(func(report.Value, error) bool) { runtime.Goexit() }, vault.ErrUnavailable},
		"a context":             {stopped, nil, source(many, nil), vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := report.Affected(test.ctx, report.Query{}, test.opts, test.from)
			require.Nil(t, r)
			require.ErrorIs(t, err, test.want)
		})
	}
}

// A source that panics does so where the caller can recover, and no goroutine is left.
func TestSourceThatPanics(t *testing.T) {
	require.PanicsWithValue(t, "broken", func() {
		report.Affected(t.Context(), report.Query{}, nil, func(func(report.Value, error) bool) { panic("broken") })
	})
	w := newTown(t)
	ended := make(chan bool, 1)
	_, err := report.Affected(t.Context(), report.Query{}, &report.Options{Row: func(string, string) error { return errors.New("full") }},
		func(yield func(report.Value, error) bool) {
			defer func() { ended <- true }()
			for yield(w.values[0], nil) {
			}
		})
	require.Error(t, err)
	require.True(t, <-ended)
}

// People are counted exactly, in memory and with files, and no file stays.
func TestManyPeople(t *testing.T) {
	kit := piitest.New(t, security)
	v := text(t, kit.Phone(kit.Scope(security)))
	const rows, different = 6000, 4321
	dir := t.TempDir()
	values := make([]report.Value, rows)
	for i := range values {
		values[i] = report.Value{Table: "users", Key: fmt.Sprint(i), Subject: fmt.Sprint("person-", i%different), Text: v}
	}
	defer report.SetMostMembers(100)()
	r, err := report.Affected(t.Context(), report.Query{}, &report.Options{TempDir: dir}, source(values, nil))
	require.NoError(t, err)
	require.EqualValues(t, different, r.Total.People)
	require.EqualValues(t, different, r.Notices[0].People)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	_, err = report.Affected(t.Context(), report.Query{}, &report.Options{TempDir: dir + "/missing"}, source(values, nil))
	require.ErrorIs(t, err, vault.ErrUnavailable)
}

// BenchmarkAffected counts values of two people each, without keys.
func BenchmarkAffected(b *testing.B) {
	w := newTown(b)
	values := make([]report.Value, b.N)
	for i := range values {
		values[i] = w.values[i%len(w.values)]
		values[i].Subject = fmt.Sprint(i / 2)
	}
	b.ReportAllocs()
	b.ResetTimer()
	_, err := report.Affected(b.Context(), report.Query{Notice: "2fa-v2"}, nil, source(values, nil))
	require.NoError(b, err)
}
