package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// at is a moment of a bubble, in seconds after its begin.
func at(seconds float64) time.Time {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// eventsAt writes a log with an unwrap for security at each of the times, in seconds, and
// a last entry after a thousand seconds.
func eventsAt(t *testing.T, name string, seconds ...float64) *process {
	p := newProcess(t, name)
	write := func(e audit.Event) {
		e.Time, e.Outcome, e.Purpose = time.Now(), audit.Allowed, security
		require.NoError(t, p.log.Audit(t.Context(), e))
	}
	for _, s := range seconds {
		time.Sleep(time.Until(at(s)))
		write(audit.Event{Action: audit.Open, Unwraps: 1})
	}
	time.Sleep(time.Until(at(1000)))
	write(audit.Event{Action: audit.Seal})
	require.NoError(t, p.log.Close())
	return p
}

// callsAt returns decryptions for security, and a first and a last record of something else.
func callsAt(seconds ...float64) []record {
	all := []record{{at: at(0), action: "encrypt", purpose: security, id: "first"}}
	for i, s := range seconds {
		all = append(all, record{
			at: at(s), action: "decrypt", purpose: security, principal: "security-service", id: fmt.Sprint("call-", i),
			context: fmt.Sprintf("%x", "onlyfor purpose-keys security 00112233445566778899aabbccddeeff"),
		})
	}
	return append(all, record{at: at(1000), action: "encrypt", purpose: security, id: "last"})
}

func run(t *testing.T, text string, opts *reconcile.Options, all ...*process) *reconcile.Report {
	t.Helper()
	if opts == nil {
		opts = &reconcile.Options{}
	}
	o := *opts
	o.Keys, o.Purposes = transitKeys, both
	r, err := reconcile.Run(t.Context(), logs(all...), []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(text))}, &o)
	require.NoError(t, err)
	return r
}

// Each number is exact: one more call than events is one finding, wherever it stands.
func TestMatching(t *testing.T) {
	for name, c := range map[string]struct {
		events, calls []float64
		opts          reconcile.Options
		want          reconcile.Counts
	}{
		"none":                    {},
		"one":                     {events: []float64{300}, calls: []float64{299.9}, want: reconcile.Counts{Seen: 1, Logged: 1, Matched: 1}},
		"no log":                  {calls: []float64{300}, want: reconcile.Counts{Seen: 1, Unlogged: 1}},
		"no call":                 {events: []float64{300}, want: reconcile.Counts{Logged: 1, Unseen: 1}},
		"too early":               {events: []float64{300}, calls: []float64{259}, want: reconcile.Counts{Seen: 1, Logged: 1, Unlogged: 1, Unseen: 1}},
		"in time":                 {events: []float64{300}, calls: []float64{261}, want: reconcile.Counts{Seen: 1, Logged: 1, Matched: 1}},
		"clock behind":            {events: []float64{300}, calls: []float64{309}, want: reconcile.Counts{Seen: 1, Logged: 1, Matched: 1}},
		"clock too far behind":    {events: []float64{300}, calls: []float64{311}, want: reconcile.Counts{Seen: 1, Logged: 1, Unlogged: 1, Unseen: 1}},
		"clock known to be wrong": {events: []float64{300}, calls: []float64{390}, opts: reconcile.Options{Skew: 2 * time.Minute}, want: reconcile.Counts{Seen: 1, Logged: 1, Matched: 1}},
		"many at once": {
			events: []float64{300, 301, 302, 303, 304, 305}, calls: []float64{299, 300, 300, 301, 303, 304},
			want: reconcile.Counts{Seen: 6, Logged: 6, Matched: 6},
		},
		// Greedy matching must not give the event of the second call to the first one.
		"a chain": {
			events: []float64{300, 335, 370}, calls: []float64{265, 300, 335}, opts: reconcile.Options{Skew: time.Second, Delay: 35 * time.Second},
			want: reconcile.Counts{Seen: 3, Logged: 3, Matched: 3},
		},
		"one more among many": {
			events: []float64{300, 301, 302}, calls: []float64{299, 300, 300.5, 301}, opts: reconcile.Options{Retries: -1},
			want: reconcile.Counts{Seen: 4, Logged: 3, Matched: 3, Unlogged: 1},
		},
		// The key service answered, and the answer was lost.
		"retried": {
			events: []float64{300}, calls: []float64{298, 299}, want: reconcile.Counts{Seen: 2, Logged: 1, Matched: 1, Retried: 1},
		},
		"retried too often": {
			events: []float64{300}, calls: []float64{296, 297, 298, 299}, want: reconcile.Counts{Seen: 4, Logged: 1, Matched: 1, Retried: 2, Unlogged: 1},
		},
		"no retry long after": {
			events: []float64{300}, calls: []float64{299, 500}, want: reconcile.Counts{Seen: 2, Logged: 1, Matched: 1, Unlogged: 1},
		},
		"at the edges": {
			events: []float64{5, 999}, calls: []float64{990, 999}, want: reconcile.Counts{Seen: 2, Logged: 2, Matched: 1, NotCompared: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := eventsAt(t, "p", c.events...)
				r := run(t, hcvault(callsAt(c.calls...)), &c.opts, p)
				require.Equal(t, c.want, *r.Purposes["security"], r)
				require.Equal(t, c.want.Unlogged+c.want.Unseen, int64(len(r.Findings)))
				require.Equal(t, c.want.Retried, int64(len(r.Notes)))
				require.Zero(t, r.From.Sub(at(0)))
				require.Zero(t, r.Until.Sub(at(1000)))
			})
		})
	}
}

// A retry has the principal of the call that it repeats. Others are findings.
func TestAnotherPrincipalIsNoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		calls := callsAt(298, 299)
		calls[2].principal = "ad-service"
		r := run(t, hcvault(calls), nil, p)
		require.Equal(t, []reconcile.FindingKind{reconcile.FindingUnlogged}, kinds(r))
		require.Contains(t, strings.Join(run(t, hcvault(callsAt(298, 299)), nil, p).NotExcluded, "\n"), "look like retries")
	})
}

// Nothing outside of the time that both logs cover is a finding, and the report says how
// much it left out.
func TestOutsideOfTheCommonTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at(200)))
		p := eventsAt(t, "p", 300, 600, 900)
		calls := []record{
			{at: at(100), action: "decrypt", purpose: security, id: "before the log"},
			{at: at(400), action: "decrypt", purpose: security, id: "unlogged", principal: "x"},
			{at: at(599), action: "decrypt", purpose: security, id: "matched"},
			{at: at(700), action: "encrypt", purpose: security, id: "last"},
		}
		r := run(t, hcvault(calls), nil, p)
		require.Equal(t, reconcile.Counts{Seen: 3, Logged: 3, Matched: 1, Unlogged: 1, Unseen: 1, NotCompared: 2}, *r.Purposes["security"], r)
		require.Zero(t, r.From.Sub(at(200)), "the log begins later")
		require.Zero(t, r.Until.Sub(at(700)), "the key service's log ends earlier")
		require.Contains(t, r.NotExcluded[0], "2 have no pair")

		r = run(t, "", nil, p)
		require.True(t, r.From.IsZero())
		require.Equal(t, int64(3), r.Purposes["security"].NotCompared)
		require.Contains(t, r.String(), "no time is covered by both")
	})
}

// Uses of the key that no vault makes are findings, whatever the time.
func TestOtherUsesOfTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p")
		line := func(path, operation, rest string) string {
			return fmt.Sprintf(`{"time":"2000-01-01T00:05:00Z","type":"response","auth":{"display_name":"root"},"request":{"id":"%s%s","operation":%q,"path":%q,"data":{%s}}}`+"\n",
				path, rest, operation, path, strings.ReplaceAll(rest, "'", `"`))
		}
		for _, harmless := range []string{
			line("transit/keys/onlyfor-security", "read", ""), line("transit/keys/onlyfor-security/rotate", "update", ""),
			line("transit/keys", "list", ""), line("kv/data/onlyfor-security", "read", ""), line("transit/decrypt/onlyfor-other", "update", ""),
			line("other/decrypt/onlyfor-security", "update", ""), line("transit/export/encryption-key/onlyfor-security2", "read", ""),
			line("sys/mounts", "read", ""), line("", "", ""), line("/////", "update", ""), line("transit/keys/onlyfor-security/", "list", ""),
		} {
			require.Empty(t, run(t, harmless, nil, p).Findings, harmless)
		}
		for _, bad := range []string{
			line("transit/export/encryption-key/onlyfor-security", "read", ""), line("transit/export/encryption-key/onlyfor-security/1", "read", ""),
			line("transit/backup/onlyfor-security", "read", ""), line("transit/datakey/plaintext/onlyfor-security", "update", ""),
			line("transit/keys/onlyfor-security/config", "update", ""), line("transit/keys/onlyfor-security", "delete", ""),
			line("transit/decrypt/onlyfor-security", "update", "'batch_input':[{'ciphertext':'hmac-sha256:1'}]"),
			line("transit/rewrap/onlyfor-security", "update", ""),
		} {
			r := run(t, bad, nil, p)
			require.Equal(t, []reconcile.FindingKind{reconcile.FindingOther}, kinds(r), bad)
			require.Equal(t, "root", r.Findings[0].Principal)
			require.Equal(t, "security", r.Findings[0].Purpose)
		}
	})
}

// Text of an audit device that is no record is a finding with its place, and everything
// around it is compared.
func TestDamagedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		good := hcvault(callsAt(299))
		lines := strings.SplitAfter(good, "\n")
		for name, bad := range map[string]string{
			"garbage": "garbage\n", "binary": "\x00\xff\x1b[2J\n", "not closed": `{"time":"2000-01-01T00:00:00Z","type":"response"` + "\n",
			"no time": `{"type":"response"}` + "\n", "another type": `{"time":"2000-01-01T00:00:00Z","type":"x"}` + "\n", "a list": "[]\n",
			"two": `{"time":"2000-01-01T00:00:00Z","type":"request"}{}` + "\n", "time": `{"time":"yesterday","type":"request"}` + "\n",
			"deep":                   `{"time":` + strings.Repeat("[", 20_000) + "\n",
			"long":                   `{"time":"2000-01-01T00:00:00Z","type":"response","request":{"path":"` + strings.Repeat("x", 5<<20) + `"}}` + "\n",
			"long, without anything": strings.Repeat(" ", 5<<20) + "\n",
		} {
			text := lines[0] + lines[1] + bad + strings.Join(lines[2:], "")
			r := run(t, text, nil, p)
			require.Equal(t, []reconcile.FindingKind{reconcile.FindingDamaged}, kinds(r), "%s: %s", name, r)
			require.Contains(t, r.Findings[0].Text, "audit.log: record 3: ")
			require.Equal(t, int64(1), r.Purposes["security"].Matched, name)
			require.NotContains(t, r.String(), "\x1b")
		}
		r := run(t, good+`{"time":"2000-01-01T00:30:00Z","ty`, nil, p)
		require.True(t, r.OK(), "the server is writing the last line")
		r = run(t, strings.ReplaceAll(good, `{"auth"`, `@cee: {"auth"`)+"\n\n", nil, p)
		require.True(t, r.OK(), "a prefix")
		require.Equal(t, int64(1), r.Purposes["security"].Matched)
	})
}

// A line that can't be read may hold anything, and so may the fields that are not
// compared. None of it is in a report or an error.
func TestLinesAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		lines := strings.SplitAfter(hcvault(callsAt(299)), "\n")
		const address = "wq7f3@example.com"
		for _, bad := range []string{
			address, `{"time":"` + address + `","type":"request"}`, `{"time":"2000-01-01T00:00:00Z","type":"` + address + `"}`,
			`{"time":"2000-01-01T00:00:00Z","type":"response","error":"` + address + `","request":{"path":"transit/decrypt/onlyfor-security","operation":"update","data":{"batch_input":"` + address + `"}}}`,
			`{"time":"2000-01-01T00:00:00Z","type":"response","request":{"path":7,"data":"` + address + `"}}`,
		} {
			r := run(t, lines[0]+bad+"\n"+strings.Join(lines[1:], ""), nil, p)
			require.NotContains(t, fmt.Sprintf("%s %+v", r, r), "wq7f3")
			_, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(bad+"\n"+bad+"\n"))},
				&reconcile.Options{Keys: transitKeys, Purposes: both})
			if err != nil {
				require.NotContains(t, err.Error(), "wq7f3")
			}
			r, err = reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(fstest.MapFS{"a.json": {Data: []byte(bad)}})},
				&reconcile.Options{Keys: transitKeys, Purposes: both})
			if err != nil {
				require.NotContains(t, err.Error(), "wq7f3")
			} else {
				require.NotContains(t, fmt.Sprintf("%s %+v", r, r), "wq7f3")
			}
		}
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		good := hcvault(callsAt(299))
		opts := reconcile.Options{Keys: transitKeys, Purposes: both}
		source := func(text string) []reconcile.Source {
			return []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(text))}
		}
		_, err := reconcile.Run(t.Context(), logs(p), source("no\nlog\n"), &opts)
		require.ErrorIs(t, err, reconcile.ErrFormat)
		_, err = reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(fstest.MapFS{"a.json": {Data: []byte(`{"a":1}`)}})}, &opts)
		require.ErrorIs(t, err, reconcile.ErrFormat)
		_, err = reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(fstest.MapFS{})}, &opts)
		require.ErrorIs(t, err, reconcile.ErrFormat)
		_, err = reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.HCVault("x", failing{strings.NewReader(good)})}, &opts)
		require.ErrorIs(t, err, errDisk)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = reconcile.Run(done, logs(p), source(good), &opts)
		require.ErrorIs(t, err, context.Canceled)

		for name, f := range map[string]func(l *[]reconcile.Log, s *[]reconcile.Source, o *reconcile.Options){
			"no logs":     func(l *[]reconcile.Log, _ *[]reconcile.Source, _ *reconcile.Options) { *l = nil },
			"no files":    func(l *[]reconcile.Log, _ *[]reconcile.Source, _ *reconcile.Options) { (*l)[0].FS = nil },
			"no verifier": func(l *[]reconcile.Log, _ *[]reconcile.Source, _ *reconcile.Options) { (*l)[0].Verifier = nil },
			"no source":   func(_ *[]reconcile.Log, s *[]reconcile.Source, _ *reconcile.Options) { *s = nil },
			"nil source":  func(_ *[]reconcile.Log, s *[]reconcile.Source, _ *reconcile.Options) { (*s)[0] = nil },
			"nil trail": func(_ *[]reconcile.Log, s *[]reconcile.Source, _ *reconcile.Options) {
				(*s)[0] = reconcile.CloudTrail(nil)
			},
			"no purposes": func(_ *[]reconcile.Log, _ *[]reconcile.Source, o *reconcile.Options) {
				*o = reconcile.Options{Keys: transitKeys}
			},
			"negative skew": func(_ *[]reconcile.Log, _ *[]reconcile.Source, o *reconcile.Options) { o.Skew = -1 },
			"no key":        func(_ *[]reconcile.Log, _ *[]reconcile.Source, o *reconcile.Options) { o.Keys = kms.Template("x") },
		} {
			l, s, o := logs(p), source(good), opts
			f(&l, &s, &o)
			_, err := reconcile.Run(t.Context(), l, s, &o)
			require.ErrorIs(t, err, reconcile.ErrArgument, name)
		}
		_, err = reconcile.Run(t.Context(), nil, nil, nil)
		require.ErrorIs(t, err, reconcile.ErrArgument)
	})
}

// An altered audit log is a finding too: its events prove nothing.
func TestAnAlteredLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		name := filepath.Join(p.dir, "bodies", "000000000000.log")
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		// Somebody adds an event that explains an unwrap.
		require.NoError(t, os.WriteFile(name, bytes.Replace(text, []byte(`"action":"seal"`), []byte(`"action":"open"`), 1), 0o600))
		r := run(t, hcvault(callsAt(299)), nil, p)
		require.Equal(t, []reconcile.FindingKind{reconcile.FindingLog}, kinds(r))
		require.Contains(t, r.Findings[0].String(), "edited")
	})
}

// A record that is there twice counts once: two audit devices, a file that was delivered
// again. Two calls with one id and other contents count twice.
func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300, 600)
		calls := callsAt(299, 599)
		text := hcvault(calls)
		r, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{
			reconcile.HCVault("a", strings.NewReader(text)), reconcile.HCVault("b", strings.NewReader(text)),
		}, &reconcile.Options{Keys: transitKeys, Purposes: both})
		require.NoError(t, err)
		require.True(t, r.OK(), r)
		require.Equal(t, int64(2), r.Duplicates)

		files := cloudtrail(t, calls)
		for name, file := range files {
			if strings.Contains(name, "/CloudTrail/") {
				files[strings.Replace(name, "eu-central-1/", "copy/", 1)] = file
			}
		}
		r, err = reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(files)}, &reconcile.Options{Keys: awsKeys, Purposes: both})
		require.NoError(t, err)
		require.True(t, r.OK(), r)
		require.Equal(t, int64(2), r.Duplicates)

		calls = append(calls, calls[1])
		calls[len(calls)-1].principal = "ad-service"
		slices.SortFunc(calls, func(a, b record) int { return a.at.Compare(b.at) })
		r = run(t, hcvault(calls), nil, p)
		require.Equal(t, int64(1), r.Purposes["security"].Unlogged, "an id does not hide another call")
	})
}

// Records may come in any order within the horizon. Later ones are findings.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300, 400, 500, 600)
		calls := callsAt(299, 399, 499, 599)
		for range 20 {
			rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
			r := run(t, hcvault(calls), nil, p)
			require.True(t, r.OK(), r)
			require.Equal(t, int64(4), r.Purposes["security"].Matched)
		}
		late := append(callsAt(800), callsAt(299)[1])
		r := run(t, hcvault(late), &reconcile.Options{Horizon: time.Minute}, p)
		require.Contains(t, kinds(r), reconcile.FindingLate)
	})
}

func TestDamagedTrails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		opts := &reconcile.Options{Keys: awsKeys, Purposes: both}
		whole := compressed(t, []byte(`{"Records":[`+strings.Repeat(`{"eventTime":"2000-01-01T00:05:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"},`, 999)+
			`{"eventTime":"2000-01-01T00:05:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"}]}`))
		flipped := bytes.Clone(whole)
		flipped[len(flipped)-6] ^= 1 // the checksum
		one := `{"eventTime":"2000-01-01T00:05:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"}`
		for name, c := range map[string]struct {
			file string
			data []byte
			fact string
		}{
			"cut off":          {"x.json.gz", whole[:len(whole)-20], "too early"},
			"its end cut off":  {"x.json.gz", whole[:len(whole)-3], "too early"},
			"its first bytes":  {"x.json.gz", whole[:5], "too early"},
			"empty":            {"x.json.gz", nil, "too early"},
			"a checksum":       {"x.json.gz", flipped, "not valid gzip"},
			"not compressed":   {"x.json.gz", []byte(`{"Records":[]}`), "not valid gzip"},
			"a bomb":           {"x.json.gz", compressed(t, []byte(`{"Records":[{"x":"`+strings.Repeat("x", 3<<20)+`"}]}`)), "longer than 1 MB"},
			"a bomb of blanks": {"x.json.gz", compressed(t, []byte(`{"Records":[`+strings.Repeat(" ", 3<<20)+`]}`)), "longer than 1 MB"},
			"another file":     {"x.json", []byte(`{"a":{"Records":[]}}`), "not a file"},
			"a list":           {"x.json", []byte(`[]`), "not a file"},
			"no record":        {"x.json", []byte(`{"Records":[` + one + `,{}]}`), "record 2: not a record"},
			"a number":         {"x.json", []byte(`{"Records":[7]}`), "not a file"},
			"more behind":      {"x.json", []byte(`{"Records":[` + one + `]}{}`), "not a file"},
			"torn":             {"x.json", []byte(`{"Records":[` + one + `,`), "too early"},
			"garbage":          {"x.json", []byte("\x1b[2Jgarbage"), "not a file"},
		} {
			files := cloudtrail(t, callsAt(299))
			files["\n"+c.file] = &fstest.MapFile{Data: c.data}
			r, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(files)}, opts)
			require.NoError(t, err, name)
			require.Equal(t, []reconcile.FindingKind{reconcile.FindingDamaged}, kinds(r), "%s: %s", name, r)
			require.Contains(t, r.Findings[0].Text, c.fact, name)
			require.Contains(t, r.Findings[0].Text, `"\n`, "the name is quoted")
			require.Equal(t, int64(1), r.Purposes["security"].Matched, name)
		}
	})
}

// AWS says which purpose the keys are of. A call without it, or of another purpose, is no
// unwrap of a vault; a call by the key's own name is one like a call by its alias.
func TestEncryptionContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p", 300)
		opts := &reconcile.Options{Keys: awsKeys, Purposes: both}
		context := fmt.Sprintf("%x", "onlyfor purpose-keys security 00112233445566778899aabbccddeeff")
		for name, c := range map[string]struct {
			key, context string
			want         []reconcile.FindingKind
		}{
			"right":             {"arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-security", context, nil},
			"another key":       {"arn:aws:kms:eu-central-1:111122223333:key/another", context, nil},
			"no context":        {"arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-security", "", []reconcile.FindingKind{reconcile.FindingOther, reconcile.FindingUnseen}},
			"of another":        {"arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-advertising", context, []reconcile.FindingKind{reconcile.FindingOther, reconcile.FindingUnseen}},
			"nothing of a kind": {"arn:aws:kms:eu-central-1:111122223333:key/another", "00", []reconcile.FindingKind{reconcile.FindingUnseen}},
		} {
			line := trailRecord(record{at: at(299), action: "decrypt", purpose: security, id: "1", context: c.context})
			line["requestParameters"].(map[string]any)["keyId"] = c.key
			line["resources"] = nil
			first, last := trailRecord(callsAt()[0]), trailRecord(callsAt()[1])
			r, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.CloudTrail(records(t, first, line, last))}, opts)
			require.NoError(t, err, name)
			require.Equal(t, c.want, kinds(r), "%s: %s", name, r)
		}
		for action, bad := range map[string]bool{
			"ReEncrypt": true, "GenerateDataKey": true, "CreateGrant": true, "PutKeyPolicy": true, "ScheduleKeyDeletion": true,
			"DescribeKey": false, "GetKeyPolicy": false, "ListAliases": false, "Encrypt": false,
		} {
			line := trailRecord(record{at: at(500), action: "decrypt", purpose: ads, id: "1", context: "00"})
			line["eventName"] = action
			r, err := reconcile.Run(t.Context(), logs(eventsAt(t, "q")), []reconcile.Source{reconcile.CloudTrail(records(t, line))}, opts)
			require.NoError(t, err, action)
			require.Equal(t, bad, slices.Contains(kinds(r), reconcile.FindingOther), action)
		}
	})
}

// Texts of the key service may be anything. They take one line, and move no cursor.
func TestHostileTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := eventsAt(t, "p")
		for _, text := range []string{"a\nFOUND b", "\x1b[2J", "\u202egnp", strings.Repeat("x", 100_000), "\x00\xff", "\r"} {
			calls := callsAt(300)
			calls[1].principal = text
			for _, source := range []reconcile.Source{
				reconcile.HCVault("a", strings.NewReader(hcvault(calls))), reconcile.CloudTrail(cloudtrail(t, calls)),
			} {
				r, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{source}, &reconcile.Options{Keys: transitKeys, Purposes: both})
				require.NoError(t, err)
				for _, f := range r.Findings {
					require.Less(t, len(f.String()), 1000)
					require.NotContains(t, f.String(), "\n")
					require.NotContains(t, f.String(), "\x1b")
					require.NotContains(t, f.String(), "\u202e")
				}
			}
		}
	})
}

// records writes records as one file of CloudTrail.
func records(t *testing.T, all ...map[string]any) fs.FS {
	return fstest.MapFS{"a.json": {Data: marshal(t, map[string]any{"Records": all})}}
}

// A flood is a log of the key service with very many records.
type flood struct {
	n, total int
	buffer   bytes.Buffer
	peak     uint64
}

func (f *flood) Read(b []byte) (int, error) {
	for f.buffer.Len() < len(b) && f.n < f.total {
		f.n++
		fmt.Fprintf(&f.buffer, `{"time":%q,"type":"response","auth":{"display_name":"flood"},"request":{"id":"%d","operation":"update","path":"transit/decrypt/onlyfor-security"},"error":"%s"}`+"\n",
			at(float64(f.n)/10).Format(time.RFC3339Nano), f.n, strings.Repeat("x", f.n%2))
		if f.n%16384 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			f.peak = max(f.peak, m.HeapAlloc)
		}
	}
	n, err := f.buffer.Read(b)
	if err == io.EOF && f.n < f.total {
		err = errors.New("impossible")
	}
	return n, err
}

// Memory does not grow with the log of the key service, nor with unlogged unwraps in it.
func TestMemoryIsFlat(t *testing.T) {
	if vaulttest.UnderRace {
		t.Skip("the race detector needs memory of its own")
	}
	peak := func(n int) (peak uint64) {
		synctest.Test(t, func(t *testing.T) {
			p := newProcess(t, "p")
			time.Sleep(time.Until(at(float64(n)/10 + 1000)))
			require.NoError(t, p.log.Close())
			f := &flood{total: n}
			runtime.GC()
			r, err := reconcile.Run(t.Context(), logs(p), []reconcile.Source{reconcile.HCVault("flood", f)}, &reconcile.Options{Keys: transitKeys, Purposes: both, Horizon: time.Minute})
			require.NoError(t, err)
			require.Equal(t, int64(n/2), r.Purposes["security"].Unlogged)
			require.Len(t, r.Findings, 100)
			peak = f.peak
		})
		return peak
	}
	few, many := peak(30_000), peak(90_000)
	t.Logf("peak of the heap: %.1f MB with 30,000 records, %.1f MB with 90,000", float64(few)/1e6, float64(many)/1e6)
	require.Less(t, float64(many), 1.5*float64(few)+2e6)
}
