package auditlog_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// Names of callers and texts of errors stay within their field and their line.
func TestHostileTexts(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, &auditlog.Options{Service: "ser\nvice\x00\x1b[2J"})
	hostile := []string{
		"a\n# 5\n", "a\r\n\n", "\"}\n{\"entry\":\"stop\"", "\x00\xff\xfe", "\x1b[2J", "\u202e\u2066", "\u2028\u2029", "\u0085\u009b31m",
		strings.Repeat("é", 5000), "\U000e0001\U0001f469", `\u0000\`, "# — " + origin + " AAAA",
	}
	for _, s := range hostile {
		e := event(s)
		e.Reason, e.Role, e.Kind, e.Subject = s, s, s, s
		e.Outcome, e.Err = audit.Denied, errors.New(s)
		e.Action = audit.Action(s)
		require.NoError(t, l.Audit(t.Context(), e))
	}
	require.NoError(t, l.Close())
	bodies := p.entries(t)
	require.Len(t, bodies, len(hostile)+2)
	for _, b := range bodies {
		require.Less(t, len(b), 20_000)
		for _, r := range b {
			require.True(t, r == ' ' || r > ' ' && r != 0x7f && !strings.ContainsRune("\u202e\u2066\u2028\u2029\u0085\u009b\U000e0001", r), "%q", b)
		}
	}
	require.Contains(t, bodies[10], `"caller":"\udb40\udc01👩"`)
	require.True(t, p.verify(t).OK())
}

// An event that no reader of the log could read is refused, and the log goes on.
func TestEventsThatAreTooLong(t *testing.T) {
	text := strings.Repeat("\x01", 1024)
	long := audit.Event{
		Time: time.Now(), Action: audit.Action(text), Outcome: audit.Outcome(text), Role: text, Digest: text, Subject: text, Kind: text,
		Value: text, NewValue: text, Reason: text, Note: text, Root: text, Recipient: text, Operation: text, Caller: text,
	}
	var many []purpose.Purpose
	for i := range 10_000 {
		many = append(many, purpose.MustParse(fmt.Sprintf("purpose-%d", i)))
	}
	for name, buffered := range map[string]*auditlog.Buffered{"each at once": nil, "buffered": {Events: 10, Delay: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			l := p.open(t, &auditlog.Options{Buffered: buffered})
			require.ErrorIs(t, l.Audit(t.Context(), long), auditlog.ErrArgument)
			require.ErrorIs(t, l.Audit(t.Context(), audit.Event{Time: time.Now(), Collected: purpose.NewSet(many...)}), auditlog.ErrArgument)
			require.NoError(t, l.Audit(t.Context(), audit.Event{Time: time.Now(), Caller: text}))
			longest := long // of those that are taken
			longest.Role, longest.Digest, longest.Subject, longest.Kind = text[:500], "", "", ""
			var err error
			for n := len(text); n > 0; n-- {
				longest.Kind = strings.Repeat("k", n)
				if err = l.Audit(t.Context(), longest); err == nil {
					require.Less(t, n, len(text))
					break
				}
				require.ErrorIs(t, err, auditlog.ErrArgument)
			}
			require.NoError(t, err)
			require.NoError(t, l.Close())
			r := p.verify(t)
			require.True(t, r.OK(), r)
			require.EqualValues(t, 4, r.Entries)
			require.NoError(t, p.open(t, nil).Close())
		})
	}
	p := newPlace(t)
	_, err := auditlog.Open(t.Context(), p.dir, p.signer, &auditlog.Options{Granted: purpose.NewSet(many...)})
	require.ErrorIs(t, err, auditlog.ErrArgument)
	require.NoError(t, p.open(t, nil).Close())
}

// Purposes that no role may have together are found in one process, and clocks and keys
// that go back.
func TestAlarmingContent(t *testing.T) {
	apart := &auditlog.VerifyOptions{Apart: []purpose.Set{purpose.NewSet(security, ads)}}
	verify := func(t *testing.T, p *place, opts *auditlog.VerifyOptions) *auditlog.Report {
		r, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, nil, opts)
		require.NoError(t, err)
		return r
	}
	opened := func(p purpose.Purpose, outcome audit.Outcome) audit.Event {
		e := event("")
		e.Action, e.Outcome, e.Purpose = audit.Open, outcome, p
		return e
	}
	t.Run("together", func(t *testing.T) {
		p := newPlace(t)
		l := p.open(t, nil)
		require.NoError(t, l.Audit(t.Context(), opened(security, audit.Allowed)))
		require.NoError(t, l.Audit(t.Context(), opened(ads, audit.Denied)))
		require.NoError(t, l.Close())
		l = p.open(t, nil)
		require.NoError(t, l.Audit(t.Context(), opened(ads, audit.Allowed)))
		require.NoError(t, l.Close())
		require.Empty(t, verify(t, p, apart).Findings, "two processes, one purpose each")
		l = p.open(t, nil)
		require.NoError(t, l.Audit(t.Context(), opened(ads, audit.Allowed)))
		require.NoError(t, l.Audit(t.Context(), opened(security, audit.Allowed)))
		require.NoError(t, l.Close())
		r := verify(t, p, apart)
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingTogether}, kinds(r))
		require.Len(t, r.Findings, 1)
		require.Equal(t, int64(9), r.Findings[0].Entry)
		require.Empty(t, verify(t, p, nil).Findings)
	})
	t.Run("granted together", func(t *testing.T) {
		p := newPlace(t)
		require.NoError(t, p.open(t, &auditlog.Options{Granted: purpose.NewSet(security, ads)}).Close())
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingTogether}, kinds(verify(t, p, apart)))
	})
	t.Run("clock", func(t *testing.T) {
		p := newPlace(t)
		l := p.open(t, nil)
		e := event("")
		for _, back := range []int{0, 5, 0, 60, 60} {
			e.Time = event("").Time.Add(-time.Duration(back) * time.Second)
			require.NoError(t, l.Audit(t.Context(), e))
		}
		require.NoError(t, l.Close())
		r := verify(t, p, nil)
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingClock}, kinds(r))
		require.Equal(t, int64(4), r.Findings[0].Entry)
		require.Len(t, r.Findings, 1)
	})
}

// A start of a build that nobody reviewed is found.
func TestBuilds(t *testing.T) {
	start := func(fields string) string {
		return fmt.Sprintf(`{"entry":"start","time":%q%s}`, time.Now().UTC().Format(time.RFC3339Nano), fields)
	}
	for name, test := range map[string]struct {
		fields string
		builds []string
		found  bool
	}{
		"no list":          {`,"revision":"abc"`, nil, false},
		"empty list":       {`,"revision":"abc"`, []string{}, true},
		"revision":         {`,"revision":"abc","version":"(devel)"`, []string{"def", "abc"}, false},
		"version":          {`,"version":"v1.2.3"`, []string{"v1.2.3"}, false},
		"another":          {`,"revision":"abd","version":"v1.2.4"`, []string{"abc", "v1.2.3"}, true},
		"beginning":        {`,"revision":"abcd"`, []string{"abc"}, true},
		"modified":         {`,"revision":"abc","modified":true`, []string{"abc"}, true},
		"says nothing":     {``, []string{"abc"}, true},
		"empty is unknown": {`,"revision":""`, []string{"", "abc"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			l := p.open(t, nil)
			auditlog.AppendBody(t, l, []byte(start(test.fields)))
			require.NoError(t, l.Close())
			r, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, nil, &auditlog.VerifyOptions{Builds: test.builds})
			require.NoError(t, err)
			found := false
			for _, f := range r.Findings {
				require.Equal(t, auditlog.FindingBuild, f.Kind)
				found = found || f.Entry == 1
			}
			require.Equal(t, test.found, found, r)
		})
	}
}
