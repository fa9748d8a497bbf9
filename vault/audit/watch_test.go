package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

var (
	security = vaulttest.Security
	ads      = vaulttest.Advertising
	billing  = purpose.MustParse("billing")

	noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

	errReport = errors.New("nobody can be told")
	errDisk   = errors.New("disk full")
)

func apart(purposes ...purpose.Purpose) audit.Rules {
	return audit.Rules{Apart: []purpose.Set{purpose.NewSet(purposes...)}}
}

// findings keeps the findings of a watch.
type findings struct {
	mu  sync.Mutex
	all []audit.Finding
	err error
}

func (f *findings) report(_ context.Context, found audit.Finding) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, found)
	return f.err
}

// take returns the findings since the last call, as texts.
func (f *findings) take() (texts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, found := range f.all {
		texts = append(texts, found.String())
	}
	f.all = nil
	return texts
}

func newWatch(t testing.TB, rules audit.Rules) (*audit.Watch, *findings) {
	t.Helper()
	var f findings
	w, err := audit.NewWatch(nil, rules, f.report)
	require.NoError(t, err)
	return w, &f
}

// An event by caller "a" at the given number of seconds after noon.
func at(seconds float64, a audit.Action, p purpose.Purpose) audit.Event {
	return audit.Event{
		Time: noon.Add(time.Duration(seconds * float64(time.Second))), Action: a, Outcome: audit.Allowed, Purpose: p, Kind: "note", Caller: "a",
	}
}

func changed(e audit.Event, change func(*audit.Event)) audit.Event {
	change(&e)
	return e
}

func TestRulesThatAreRefused(t *testing.T) {
	set := purpose.NewSet
	report := func(context.Context, audit.Finding) error { return nil }
	for want, rules := range map[string]audit.Rules{
		"no purposes are apart":                         {},
		"a set of Apart has fewer than two purposes":    {Apart: []purpose.Set{set(security, ads), set(billing)}},
		"a set of Together has fewer than two purposes": {Apart: []purpose.Set{set(security, ads)}, Together: []purpose.Set{{}}},
		"two purposes of Together are not apart":        {Apart: []purpose.Set{set(security, ads)}, Together: []purpose.Set{set(security, ads, billing)}},
		"the purposes of a move are not apart":          {Apart: []purpose.Set{set(security, ads)}, Moves: []audit.Move{{From: security, To: billing}}},
		"negative Within":                               {Apart: []purpose.Set{set(security, ads)}, Within: -1},
		"negative MaxReveals":                           {Apart: []purpose.Set{set(security, ads)}, MaxReveals: -1},
	} {
		w, err := audit.NewWatch(nil, rules, report)
		require.ErrorIs(t, err, audit.ErrRules)
		require.EqualError(t, err, "audit: making watch: "+want+": not valid rules of a watch")
		require.Nil(t, w)
	}
	for _, m := range []audit.Move{{}, {From: security}, {To: ads}, {From: ads, To: ads}} {
		rules := apart(security, ads)
		rules.Moves = []audit.Move{m}
		_, err := audit.NewWatch(nil, rules, report)
		require.ErrorIs(t, err, audit.ErrRules)
	}
	_, err := audit.NewWatch(nil, apart(security, ads), nil)
	require.EqualError(t, err, "audit: making watch: nil report: not valid rules of a watch")

	var none *audit.Watch
	for _, w := range []*audit.Watch{none, {}} {
		require.ErrorIs(t, w.Audit(t.Context(), at(0, audit.Seal, ads)), audit.ErrRules)
	}
}

// Each case is a list of events, and the findings about them.
func TestMoves(t *testing.T) {
	const revealed = `caller "a": revealing for security and, 1s later, sealing for advertising`
	reveal, seal := at(0, audit.Reveal, security), at(1, audit.Seal, ads)
	both := apart(security, ads)
	with := func(change func(*audit.Rules)) audit.Rules {
		rules := both
		change(&rules)
		return rules
	}
	extended := func(to purpose.Purpose) audit.Event {
		return changed(at(0, audit.Extend, security), func(e *audit.Event) { e.To = to })
	}
	for rule, c := range map[string]struct {
		rules  audit.Rules
		events []audit.Event
		want   []string
	}{
		"revealed and sealed":  {both, []audit.Event{reveal, seal}, []string{revealed}},
		"revealed and indexed": {both, []audit.Event{reveal, at(1, audit.Index, ads)}, []string{`caller "a": revealing for security and, 1s later, indexing for advertising`}},
		"the other way round":  {both, []audit.Event{at(0, audit.Reveal, ads), at(1, audit.Seal, security)}, []string{`caller "a": revealing for advertising and, 1s later, sealing for security`}},
		"in the other order":   {both, []audit.Event{at(0, audit.Seal, ads), at(1, audit.Reveal, security)}, nil},
		"within one purpose":   {both, []audit.Event{reveal, at(1, audit.Seal, security), at(1, audit.Index, security)}, nil},
		"a purpose beside":     {both, []audit.Event{reveal, at(1, audit.Seal, billing)}, nil},

		"at the same time":      {both, []audit.Event{reveal, at(0, audit.Seal, ads)}, []string{`caller "a": revealing for security and, 0s later, sealing for advertising`}},
		"at the end of a bound": {both, []audit.Event{reveal, at(60, audit.Seal, ads)}, []string{`caller "a": revealing for security and, 1m0s later, sealing for advertising`}},
		"after the bound":       {both, []audit.Event{reveal, at(60.001, audit.Seal, ads)}, nil},
		"a bound of one's own":  {with(func(r *audit.Rules) { r.Within = time.Hour }), []audit.Event{reveal, at(3599, audit.Seal, ads), at(3601, audit.Seal, ads)}, []string{`caller "a": revealing for security and, 59m59s later, sealing for advertising`}},
		"the last reveal counts": {both, []audit.Event{reveal, at(50, audit.Hint, security), at(100, audit.Seal, ads)},
			[]string{`caller "a": hinting for security and, 50s later, sealing for advertising`}},
		"the clock goes back": {both, []audit.Event{reveal, at(-3600, audit.Seal, ads)}, []string{`caller "a": revealing for security and, 0s later, sealing for advertising`}},
		"events without a time": {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Time = time.Time{} }), changed(seal, func(e *audit.Event) { e.Time = time.Time{} })},
			[]string{`caller "a": revealing for security and, 0s later, sealing for advertising`}},
		"times that are too far apart for a duration": {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Time = time.Time{} }), seal}, nil},

		"another caller": {both, []audit.Event{reveal, changed(seal, func(e *audit.Event) { e.Caller = "b" })}, nil},
		"no caller at all": {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Caller = "" }), changed(seal, func(e *audit.Event) { e.Caller = "" })},
			[]string{`caller "": revealing for security and, 1s later, sealing for advertising`}},
		"no caller, and one": {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Caller = "" }), seal}, nil},

		"a reveal that was refused": {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Outcome = audit.Denied }), seal}, nil},
		"a reveal that failed":      {both, []audit.Event{changed(reveal, func(e *audit.Event) { e.Outcome = audit.Failed }), seal}, nil},
		"a seal that was refused":   {both, []audit.Event{reveal, changed(seal, func(e *audit.Event) { e.Outcome = audit.Denied })}, nil},

		"a hint":   {both, []audit.Event{at(0, audit.Hint, security), seal}, []string{`caller "a": hinting for security and, 1s later, sealing for advertising`}},
		"a reseal": {both, []audit.Event{at(0, audit.Reseal, security), seal}, []string{`caller "a": re-sealing for security and, 1s later, sealing for advertising`}},
		"an index of a sealed value": {both, []audit.Event{changed(at(0, audit.Index, security), func(e *audit.Event) { e.Collected = purpose.NewSet(security) }), seal},
			[]string{`caller "a": indexing for security and, 1s later, sealing for advertising`}},
		"an index of a text":                        {both, []audit.Event{at(0, audit.Index, security), seal}, nil},
		"an index of the other purpose's own value": {both, []audit.Event{reveal, changed(at(1, audit.Index, ads), func(e *audit.Event) { e.Collected = purpose.NewSet(ads) })}, nil},
		"other actions":                             {both, []audit.Event{at(0, audit.Erase, security), at(0, audit.List, security), at(0, audit.Seal, security), seal, reveal, at(1, audit.Reseal, ads), at(1, audit.Erase, ads)}, nil},

		"an extension with consent":          {both, []audit.Event{extended(ads), changed(at(0, audit.Extend, ads), func(e *audit.Event) { e.From = security }), seal}, nil},
		"an extension to a purpose beside":   {both, []audit.Event{extended(billing), seal}, []string{`caller "a": extending for security and, 1s later, sealing for advertising`}},
		"the end of an extension is no read": {both, []audit.Event{changed(at(0, audit.Extend, ads), func(e *audit.Event) { e.From = billing }), at(1, audit.Seal, security)}, nil},

		"a move that is meant":               {with(func(r *audit.Rules) { r.Moves = []audit.Move{{From: security, To: ads}} }), []audit.Event{reveal, seal}, nil},
		"a move that is meant, backwards":    {with(func(r *audit.Rules) { r.Moves = []audit.Move{{From: ads, To: security}} }), []audit.Event{reveal, seal}, []string{revealed}},
		"a move that is meant for a caller":  {with(func(r *audit.Rules) { r.Moves = []audit.Move{{From: security, To: ads, Caller: "a"}} }), []audit.Event{reveal, seal}, nil},
		"a move that is meant for another":   {with(func(r *audit.Rules) { r.Moves = []audit.Move{{From: security, To: ads, Caller: "b"}} }), []audit.Event{reveal, seal}, []string{revealed}},
		"purposes that are held together":    {with(func(r *audit.Rules) { r.Together = r.Apart }), []audit.Event{reveal, seal}, []string{revealed}},
		"purposes of two sets":               {audit.Rules{Apart: []purpose.Set{purpose.NewSet(security, billing), purpose.NewSet(ads, billing)}}, []audit.Event{reveal, seal}, nil},
		"one seal, after two reveals":        {apart(security, ads, billing), []audit.Event{reveal, at(0, audit.Reveal, billing), seal}, []string{`caller "a": revealing for billing and, 1s later, sealing for advertising`, revealed}},
		"a pair that stands in two sets":     {audit.Rules{Apart: []purpose.Set{purpose.NewSet(security, ads), purpose.NewSet(ads, billing, security)}}, []audit.Event{reveal, seal}, []string{revealed}},
		"many within the bound are one":      {both, []audit.Event{reveal, seal, seal, reveal, seal, at(30, audit.Index, ads)}, []string{revealed}},
		"another within the bound is none":   {both, []audit.Event{reveal, seal, at(50, audit.Reveal, security), at(61, audit.Seal, ads)}, []string{revealed}},
		"two purposes are two findings":      {apart(security, ads, billing), []audit.Event{reveal, seal, at(1, audit.Index, billing), seal, at(2, audit.Index, billing)}, []string{revealed, `caller "a": revealing for security and, 1s later, indexing for billing`}},
		"and are found again after it":       {both, []audit.Event{reveal, seal, at(50, audit.Reveal, security), at(61.5, audit.Seal, ads)}, []string{revealed, `caller "a": revealing for security and, 11.5s later, sealing for advertising`}},
		"other callers are another finding":  {both, []audit.Event{reveal, seal, changed(reveal, func(e *audit.Event) { e.Caller = "b" }), changed(seal, func(e *audit.Event) { e.Caller = "b" })}, []string{revealed, strings.Replace(revealed, `"a"`, `"b"`, 1)}},
		"found again when the clock is back": {both, []audit.Event{at(3600, audit.Reveal, security), at(3601, audit.Seal, ads), reveal, seal}, []string{revealed, revealed}},
	} {
		t.Run(rule, func(t *testing.T) {
			w, found := newWatch(t, c.rules)
			for _, e := range c.events {
				require.NoError(t, w.Audit(t.Context(), e))
			}
			require.Equal(t, c.want, found.take())
		})
	}
}

// Names are never joined: no two pairs of purposes or callers are mistaken for each other.
func TestNamesThatAreAlike(t *testing.T) {
	parse := purpose.MustParse
	longest := "p" + strings.Repeat("-", purpose.MaxLen-1)
	for _, c := range [][4]string{ // apart; used
		{"a-b", "c", "a", "b-c"},
		{"a", "b", "a-", "b"},
		{"a", "b", "b", "ab"},
		{longest, "b", longest[:purpose.MaxLen-1], "b"},
	} {
		w, found := newWatch(t, apart(parse(c[0]), parse(c[1])))
		require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, parse(c[2]))))
		require.NoError(t, w.Audit(t.Context(), at(0, audit.Seal, parse(c[3]))))
		require.Empty(t, found.take())
		require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, parse(c[0]))))
		require.NoError(t, w.Audit(t.Context(), at(0, audit.Seal, parse(c[1]))))
		require.Len(t, found.take(), 1)
	}
	w, found := newWatch(t, apart(security, ads))
	require.NoError(t, w.Audit(t.Context(), changed(at(0, audit.Reveal, security), func(e *audit.Event) { e.Caller = "a\x00" })))
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Seal, ads)))
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, purpose.Purpose{})))
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Seal, purpose.Purpose{})))
	require.Empty(t, found.take())
}

func TestHeld(t *testing.T) {
	const held = "this process holds security and advertising, which are apart"
	open := func(w *audit.Watch, p purpose.Purpose, caller string) {
		t.Helper()
		require.NoError(t, w.Audit(t.Context(), changed(at(0, audit.Open, p), func(e *audit.Event) { e.Caller = caller })))
	}
	w, found := newWatch(t, apart(security, ads))
	open(w, security, "a")
	open(w, security, "a")
	open(w, billing, "a")
	refused := changed(at(0, audit.Open, ads), func(e *audit.Event) { e.Outcome = audit.Denied })
	require.NoError(t, w.Audit(t.Context(), refused))
	require.Empty(t, found.take(), "purposes that are not apart, or not opened")
	open(w, ads, "b")
	require.Equal(t, audit.Finding{Rule: audit.Held, Time: noon, From: security, To: ads, Caller: "b"}, found.all[0])
	require.Equal(t, []string{held}, found.take(), "whoever the caller is")
	open(w, ads, "b")
	open(w, security, "b")
	require.Empty(t, found.take(), "once")

	w, found = newWatch(t, apart(security, ads, billing))
	open(w, ads, "a")
	open(w, security, "a")
	open(w, billing, "a")
	require.Equal(t, []string{
		"this process holds advertising and security, which are apart",
		"this process holds advertising and billing, which are apart",
		"this process holds security and billing, which are apart",
	}, found.take())

	for rule, allow := range map[string]func(*audit.Rules){
		"together": func(r *audit.Rules) { r.Together = []purpose.Set{purpose.NewSet(ads, security)} },
		"a move":   func(r *audit.Rules) { r.Moves = []audit.Move{{From: security, To: ads}} },
		"back":     func(r *audit.Rules) { r.Moves = []audit.Move{{From: ads, To: security, Caller: "consents"}} },
	} {
		rules := apart(security, ads, billing)
		allow(&rules)
		w, found = newWatch(t, rules)
		open(w, security, "a")
		open(w, ads, "a")
		require.Empty(t, found.take(), rule)
		open(w, billing, "a")
		require.Len(t, found.take(), 2, rule)
	}
}

// A flood of callers costs a bounded number of reveals, and says that it did.
func TestFloodOfCallers(t *testing.T) {
	rules := apart(security, ads)
	rules.MaxReveals = 100
	w, found := newWatch(t, rules)
	flood := func(seconds float64, n int) {
		for i := range n {
			e := changed(at(seconds, audit.Reveal, security), func(e *audit.Event) { e.Caller = fmt.Sprint(seconds, i) })
			require.NoError(t, w.Audit(t.Context(), e))
		}
	}
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	flood(1, 99)
	require.Equal(t, 100, audit.Remembered(w))
	require.Empty(t, found.take())
	require.NoError(t, w.Audit(t.Context(), at(2, audit.Reveal, security))) // one that is known
	require.Empty(t, found.take())
	flood(3, 10_000)
	require.Equal(t, 100, audit.Remembered(w))
	require.Equal(t, []string{"more callers reveal than the watch remembers"}, found.take(), "once within the bound")
	require.NoError(t, w.Audit(t.Context(), at(4, audit.Seal, ads)))
	require.Empty(t, found.take(), "a move of one of them is not found")

	flood(62, 10) // still within the bound of those above
	require.Empty(t, found.take())
	flood(63.5, 10)
	require.Equal(t, 20, audit.Remembered(w), "reveals that are over are forgotten")
	require.Empty(t, found.take())
	flood(64, 100)
	require.Equal(t, []string{"more callers reveal than the watch remembers"}, found.take())
	require.Equal(t, 100, audit.Remembered(w))

	flood(-3600, 1000) // the clock goes back
	require.Equal(t, 100, audit.Remembered(w))
	require.Equal(t, []string{"more callers reveal than the watch remembers"}, found.take())

	unconcerned, none := newWatch(t, rules)
	for _, a := range []audit.Action{audit.Open, audit.Reveal, audit.Seal} {
		require.NoError(t, unconcerned.Audit(t.Context(), at(0, a, billing)))
	}
	require.Zero(t, audit.Remembered(unconcerned), "no purpose is apart from this one")
	require.Empty(t, none.take())

	longest := strings.Repeat("x", 1<<20)
	require.NoError(t, w.Audit(t.Context(), changed(at(0, audit.Reveal, security), func(e *audit.Event) { e.Caller = longest })))
	require.NoError(t, w.Audit(t.Context(), changed(at(0, audit.Seal, ads), func(e *audit.Event) { e.Caller = longest })))
	require.Len(t, found.take(), 1)
}

// The reveal that goes first is the one that is the longest ago.
func TestFloodForgetsTheOldest(t *testing.T) {
	rules := apart(security, ads)
	rules.MaxReveals = 2
	w, found := newWatch(t, rules)
	by := func(caller string, e audit.Event) {
		t.Helper()
		e.Caller = caller
		require.NoError(t, w.Audit(t.Context(), e))
	}
	by("a", at(0, audit.Reveal, security))
	by("b", at(1, audit.Reveal, security))
	by("a", at(2, audit.Reveal, security))
	by("c", at(3, audit.Reveal, security)) // forgets b
	require.Len(t, found.all, 1)
	require.Equal(t, audit.Finding{Rule: audit.Forgotten, Time: noon.Add(3 * time.Second), Caller: "c"}, found.all[0])
	found.take()
	by("b", at(4, audit.Seal, ads))
	require.Empty(t, found.take())
	by("a", at(4, audit.Seal, ads))
	by("c", at(4, audit.Seal, ads))
	require.Len(t, found.take(), 2)

	rules.MaxReveals = 1
	w, found = newWatch(t, rules)
	for _, caller := range []string{"a", "b"} {
		by(caller, audit.Event{Action: audit.Reveal, Outcome: audit.Allowed, Purpose: security}) // without a time
	}
	require.Len(t, found.take(), 1)
}

// What was reported is remembered for as long as it keeps others from being reported.
func TestReportedOutlivesItsReveal(t *testing.T) {
	w, found := newWatch(t, apart(security, ads))
	other := changed(at(65, audit.Reveal, security), func(e *audit.Event) { e.Caller = "b" })
	for _, e := range []audit.Event{
		at(0, audit.Reveal, security), at(59, audit.Seal, ads), other, at(66, audit.Reveal, security), at(67, audit.Seal, ads),
	} {
		require.NoError(t, w.Audit(t.Context(), e))
	}
	require.Len(t, found.take(), 1)

	// A reveal that was reported is not in the way of those that are over.
	w, _ = newWatch(t, apart(security, ads))
	by := func(caller string, e audit.Event) {
		e.Caller = caller
		require.NoError(t, w.Audit(t.Context(), e))
	}
	by("a", at(0, audit.Reveal, security))
	by("b", at(1, audit.Reveal, security))
	by("a", at(59, audit.Seal, ads))
	by("c", at(62, audit.Reveal, security))
	require.Equal(t, 2, audit.Remembered(w))
	by("c", at(119, audit.Reveal, security))
	require.Equal(t, 2, audit.Remembered(w))
	by("d", at(120, audit.Reveal, security))
	require.Equal(t, 2, audit.Remembered(w), "and is over itself in the end")
}

// Many callers at once, each of whom moves data, beside as many who do not.
func TestWatchFromManyGoroutines(t *testing.T) {
	w, found := newWatch(t, apart(security, ads))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			launder := i%2 == 0
			for n := range 50 {
				e := at(float64(n), audit.Reveal, security)
				e.Caller = fmt.Sprint(i)
				if w.Audit(context.Background(), e) != nil {
					panic("failed")
				}
				e.Action = audit.Seal
				if launder {
					e.Purpose = ads
				}
				if w.Audit(context.Background(), e) != nil {
					panic("failed")
				}
				if w.Audit(context.Background(), changed(e, func(e *audit.Event) { e.Action = audit.Open })) != nil {
					panic("failed")
				}
			}
		})
	}
	wg.Wait()
	of := map[audit.Rule]map[string]int{audit.Held: {}, audit.Moved: {}, audit.Forgotten: {}}
	for _, f := range found.all {
		of[f.Rule][f.Caller]++
	}
	require.Len(t, of[audit.Moved], 32)
	for caller, n := range of[audit.Moved] {
		require.Equal(t, 1, n, caller)
	}
	require.NotEmpty(t, of[audit.Held])
	require.Empty(t, of[audit.Forgotten])
}

// The next auditor gets each event first. One that it does not record is not examined.
func TestWatchPassesEventsOn(t *testing.T) {
	var got []audit.Event
	var failure error
	next := auditorFunc(func(e audit.Event) error { got = append(got, e); return failure })
	var found findings
	w, err := audit.NewWatch(next, apart(security, ads), found.report)
	require.NoError(t, err)
	events := []audit.Event{
		at(0, audit.Open, security), at(0, audit.Reveal, security), at(1, audit.Seal, ads), at(2, audit.Rotate, billing),
		changed(at(3, audit.Extend, ads), func(e *audit.Event) {
			e.From, e.Subject, e.Collected, e.Role, e.Reason, e.Err, e.Outcome = security, "00", purpose.NewSet(ads), "seal", "made", errDisk, audit.Failed
		}),
	}
	for _, e := range events {
		require.NoError(t, w.Audit(t.Context(), e))
	}
	require.Equal(t, events, got)
	require.Len(t, found.take(), 1)

	failure = errDisk
	e := changed(at(4, audit.Reveal, security), func(e *audit.Event) { e.Caller = "b" })
	require.ErrorIs(t, w.Audit(t.Context(), e), errDisk)
	failure = nil
	e.Action, e.Purpose = audit.Seal, ads
	require.NoError(t, w.Audit(t.Context(), e))
	require.Empty(t, found.take(), "the reveal had no result")

	panics := auditorFunc(func(audit.Event) error { panic("disk") })
	w, err = audit.NewWatch(panics, apart(security, ads), found.report)
	require.NoError(t, err)
	for range 2 { // no lock is left behind
		require.Panics(t, func() { _ = w.Audit(t.Context(), at(0, audit.Reveal, security)) })
	}
}

// A report that fails or panics fails its action, and is made again.
func TestReportsThatFail(t *testing.T) {
	w, found := newWatch(t, apart(security, ads))
	found.err = errReport
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Open, security)))
	for range 3 {
		require.ErrorIs(t, w.Audit(t.Context(), at(0, audit.Open, ads)), errReport)
	}
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	for range 3 {
		require.ErrorIs(t, w.Audit(t.Context(), at(1, audit.Seal, ads)), errReport)
	}
	require.Len(t, found.take(), 6)
	found.err = nil
	for range 3 {
		require.NoError(t, w.Audit(t.Context(), at(0, audit.Open, ads)))
		require.NoError(t, w.Audit(t.Context(), at(1, audit.Seal, ads)))
	}
	require.Len(t, found.take(), 2)

	rules := apart(security, ads)
	rules.MaxReveals = 1
	w, found = newWatch(t, rules)
	found.err = errReport
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	require.ErrorIs(t, w.Audit(t.Context(), at(0, audit.Reveal, ads)), errReport)
	require.ErrorIs(t, w.Audit(t.Context(), at(0, audit.Reveal, security)), errReport)
	require.Equal(t, 1, audit.Remembered(w))

	var calls atomic.Int32
	w, err := audit.NewWatch(nil, apart(security, ads), func(context.Context, audit.Finding) error { calls.Add(1); panic("pager") })
	require.NoError(t, err)
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	for range 2 {
		require.Panics(t, func() { _ = w.Audit(t.Context(), at(0, audit.Seal, ads)) })
	}
	require.EqualValues(t, 2, calls.Load())
}

// A report may itself use the vault whose watch calls it.
func TestReportThatUsesTheWatch(t *testing.T) {
	var w *audit.Watch
	var calls int
	w, err := audit.NewWatch(nil, apart(security, ads), func(ctx context.Context, f audit.Finding) error {
		calls++
		return w.Audit(ctx, at(1, audit.Reveal, security))
	})
	require.NoError(t, err)
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	require.NoError(t, w.Audit(t.Context(), at(1, audit.Seal, ads)))
	require.Equal(t, 1, calls)

	// The reveal is forgotten while it is reported.
	rules := apart(security, ads)
	rules.MaxReveals = 1
	w, err = audit.NewWatch(nil, rules, func(ctx context.Context, f audit.Finding) error {
		if f.Rule == audit.Forgotten {
			return nil
		}
		return w.Audit(ctx, changed(at(1, audit.Reveal, security), func(e *audit.Event) { e.Caller = "b" }))
	})
	require.NoError(t, err)
	require.NoError(t, w.Audit(t.Context(), at(0, audit.Reveal, security)))
	require.NoError(t, w.Audit(t.Context(), at(1, audit.Seal, ads)))
	require.Equal(t, 1, audit.Remembered(w))
}

// The findings about a vault, with the ways of one address from one purpose to another.
func TestWatchOverAVault(t *testing.T) {
	rules := apart(security, ads)
	rules.Together = rules.Apart
	readers := map[*vault.Scope]*vault.Reader{}
	for way, move := range map[string]func(ctx context.Context, from, to *vault.Scope, value vault.Sealed) (text string, err error){
		"reveal": func(ctx context.Context, from, _ *vault.Scope, value vault.Sealed) (string, error) {
			return from.Reveal(ctx, vaulttest.Note, value)
		},
		"send": func(ctx context.Context, from, _ *vault.Scope, value vault.Sealed) (string, error) {
			return readers[from].To("mail.example").Reveal(ctx, vaulttest.Note, value)
		},
		"hint": func(ctx context.Context, from, _ *vault.Scope, value vault.Sealed) (text string, err error) {
			_, err = from.Hint(ctx, vaulttest.Note, value, func(s string) string { text = s; return "" })
			return text, err
		},
		"index": func(ctx context.Context, from, _ *vault.Scope, value vault.Sealed) (text string, err error) {
			_, err = from.IndexSealed(ctx, vaulttest.Note, value, func(s string) (string, bool) { text = s; return s, true })
			return text, err
		},
		"reseal": func(ctx context.Context, from, _ *vault.Scope, value vault.Sealed) (text string, err error) {
			_, err = vault.Reseal(ctx, vaulttest.Note, value, func(s string) bool { text = s; return true }, from)
			return text, err
		},
	} {
		t.Run(way, func(t *testing.T) {
			w, found := newWatch(t, rules)
			v := vaulttest.Generated(t, &vault.Options{Audit: w}, security, ads)
			from, to := vaulttest.Scope(t, v, security), vaulttest.Scope(t, v, ads)
			readers[from] = vaulttest.Reader(t, v, security)
			ctx := audit.WithCaller(t.Context(), "campaign\nlevel=INFO")
			value, err := vault.Seal(ctx, vaulttest.Note, "text", from)
			require.NoError(t, err)
			text, err := move(ctx, from, to, value)
			require.NoError(t, err)
			require.Empty(t, found.take())
			_, err = vault.Seal(audit.WithCaller(ctx, "another"), vaulttest.Note, text, to)
			require.NoError(t, err)
			require.Empty(t, found.take())
			_, err = vault.Seal(ctx, vaulttest.Note, text, from, to)
			require.NoError(t, err)
			require.Len(t, found.all, 1)
			f := found.all[0]
			require.GreaterOrEqual(t, f.After, time.Duration(0))
			f.Time, f.After = time.Time{}, 0
			require.Equal(t, audit.Finding{
				Rule: audit.Moved, From: security, To: ads, Revealed: audit.Action(way), Used: audit.Seal, Kind: "note", Caller: "campaign\nlevel=INFO",
			}, f)
		})
	}

	w, found := newWatch(t, rules)
	v := vaulttest.Generated(t, &vault.Options{Audit: w}, security, ads)
	from, to := vaulttest.Scope(t, v, security), vaulttest.Scope(t, v, ads)
	value, err := vault.Seal(t.Context(), vaulttest.Note, "text", from)
	require.NoError(t, err)
	consented := to.Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-1"})
	value, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, from, consented)
	require.NoError(t, err)
	_, err = to.IndexSealed(t.Context(), vaulttest.Note, value, func(s string) (string, bool) { return s, true })
	require.NoError(t, err)
	require.Empty(t, found.take(), "the way with a consent")

	found.err = errReport
	_, err = from.Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)
	_, err = to.Index(t.Context(), vaulttest.Note, "text")
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.NotErrorIs(t, err, errReport)
	require.Len(t, found.take(), 1)

	w, found = newWatch(t, apart(security, ads))
	found.err = errReport
	v = vaulttest.Generated(t, &vault.Options{Audit: w}, security, ads)
	_, err = v.Lookup(t.Context(), security)
	require.NoError(t, err)
	_, err = v.Reader(t.Context(), ads)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Equal(t, []string{"this process holds security and advertising, which are apart"}, found.take())
}

// A collector of another vault counts, if it has the same watch.
func TestWatchOverACollector(t *testing.T) {
	w, found := newWatch(t, apart(security, ads))
	v := vaulttest.Generated(t, &vault.Options{Audit: w}, security)
	collector, err := vaulttest.Generated(t, nil, ads).Collector(t.Context(), ads)
	require.NoError(t, err)
	config, err := collector.MarshalText()
	require.NoError(t, err)
	front, err := vault.ParseCollector(string(config), w)
	require.NoError(t, err)
	scope := vaulttest.Scope(t, v, security)
	value, err := vault.Seal(t.Context(), vaulttest.Note, "text", scope)
	require.NoError(t, err)
	text, err := scope.Reveal(t.Context(), vaulttest.Note, value)
	require.NoError(t, err)
	_, err = vault.Seal(t.Context(), vaulttest.Note, text, front)
	require.NoError(t, err)
	require.Len(t, found.all, 1)
	require.Equal(t, audit.Moved, found.all[0].Rule)
}

func TestSlogReport(t *testing.T) {
	var buf bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&buf, nil))
	written := func(report func(context.Context, audit.Finding) error, f audit.Finding) string {
		buf.Reset()
		f.Time = noon
		require.NoError(t, report(t.Context(), f))
		return strings.TrimPrefix(buf.String(), "time=2026-05-04T12:00:00.000Z level=WARN msg=onlyfor ")
	}
	moved := audit.Finding{Rule: audit.Moved, From: security, To: ads, Revealed: audit.Hint, Used: audit.Index, After: time.Second, Kind: "note", Caller: "a\nb"}
	const movedText = "finding=moved from=security to=advertising revealed=hint used=index after=1s kind=note caller=\"a\\nb\"\n"
	require.Equal(t, movedText, written(audit.SlogReport(logger), moved))
	require.Equal(t, "finding=held from=security to=advertising\n", written(audit.SlogReport(logger), audit.Finding{Rule: audit.Held, From: security, To: ads}))
	require.Equal(t, "finding=forgotten caller=a\n", written(audit.SlogReport(logger), audit.Finding{Rule: audit.Forgotten, Caller: "a"}))

	defer slog.SetDefault(slog.Default())
	slog.SetDefault(logger)
	require.Equal(t, movedText, written(audit.SlogReport(nil), moved), "the default logger")

	broken := slog.New(brokenHandler{logger.Handler()})
	require.Error(t, audit.SlogReport(broken)(t.Context(), moved))
	quiet := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelError}))
	require.Empty(t, written(audit.SlogReport(quiet), moved))

	require.Equal(t, `caller "a\nb": hinting for security and, 1s later, indexing for advertising`, moved.String())
	require.Equal(t, "", audit.Finding{}.String())
	require.Equal(t, "other", audit.Finding{Rule: "other"}.String())
}

// The cost of a watch beside the reveal that it watches: run with -bench.
func BenchmarkWatch(b *testing.B) {
	rules := apart(security, ads)
	w, _ := newWatch(b, rules)
	none := auditorFunc(func(audit.Event) error { return nil })
	for _, a := range []audit.Auditor{none, w} {
		b.Run(fmt.Sprintf("%T", a), func(b *testing.B) {
			scope := vaulttest.Scope(b, vaulttest.Generated(b, &vault.Options{Audit: a}, security), security)
			value, err := vault.Seal(b.Context(), vaulttest.Note, "alice@example.com", scope)
			require.NoError(b, err)
			for b.Loop() {
				if _, err := scope.Reveal(b.Context(), vaulttest.Note, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
