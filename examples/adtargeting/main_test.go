package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary is what the ad team's process is started from.
func TestMain(m *testing.M) {
	lineEvery = time.Hour // however busy the machine is
	if len(os.Args) > 1 && os.Args[1] == adsProcessFlag {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// play runs the program as the shell does.
func play(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestSample(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "state")
	code, stdout, stderr := play(t, "-keep", keep)
	require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)

	for _, fact := range []string{
		"Signed up 318 people",
		"Collected for security: 200 people.",
		"Collected for advertising and security: 118 people.",
		" ••• ••• ••",
		"(collected under notice 2fa-prompt-v3)",
		"of them refusals.",
		"VERDICT: every boundary held.",
	} {
		require.Contains(t, stdout, fact)
	}
	require.NotContains(t, stdout, "GAVE WAY")
	require.NotContains(t, stdout, "nothing to try")
	require.NotContains(t, stdout, "280 million", "so few people say nothing of so many")
	for _, problem := range []string{
		"sample/users.csv: line 25: not an e-mail address; left out",
		"sample/users.csv: line 118: not an international phone number; left out",
		"sample/users.csv: line 212: not as many fields as the header; left out",
		"sample/users.csv: line 243: not a consent reference; left out",
		"sample/users.csv: line 303: e-mail address is registered already; left out",
		"sample/list.jsonl: line 201: neither an e-mail address nor a phone number; left out",
	} {
		require.Contains(t, stderr, problem)
	}

	t.Run("no address, number or hash of one is in any output or file", func(t *testing.T) {
		written := map[string][]byte{"stdout": []byte(stdout), "stderr": []byte(stderr)}
		require.NoError(t, filepath.WalkDir(keep, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			written[filepath.Base(path)], err = os.ReadFile(path)
			return err
		}))
		require.Contains(t, written, "users.db")
		require.Contains(t, written, "audit-company.jsonl")
		require.Contains(t, written, "audit-ads-process.jsonl")
		secrets := secretsOf(t)
		require.True(t, secrets.in([]byte("… Feze@uni.example …")), "the search finds nothing at all")
		for name, content := range written {
			require.False(t, secrets.in(content), "%s holds something of a person", name)
		}
	})

	t.Run("every refusal is in the audit logs", func(t *testing.T) {
		refusals := 0
		for _, name := range []string{"audit-company.jsonl", "audit-ads-process.jsonl"} {
			log, err := os.ReadFile(filepath.Join(keep, name))
			require.NoError(t, err)
			for line := range strings.Lines(string(log)) {
				var event struct{ Level, Outcome, Caller, Error string }
				require.NoError(t, json.Unmarshal([]byte(line), &event))
				if event.Outcome == "denied" {
					refusals++
					require.Equal(t, "WARN", event.Level)
					require.NotEmpty(t, event.Error)
					require.Regexp(t, "^(ad team|ads process): ", event.Caller)
				}
			}
		}
		require.Equal(t, 2*(800+400+400+4+2), refusals)
		require.Contains(t, stdout, number(refusals)+" of them refusals")
	})

	t.Run("a directory that is in use is refused", func(t *testing.T) {
		code, _, stderr := play(t, "-keep", keep)
		require.Equal(t, exitTrouble, code)
		require.Contains(t, stderr, "not empty")
	})
}

// secrets are texts of 8 bytes or more, by the first 8, in lower case.
type secrets map[[8]byte][][]byte

func (s secrets) add(text string) {
	if len(text) >= 8 {
		lowered := lowerBytes([]byte(text))
		s[[8]byte(lowered)] = append(s[[8]byte(lowered)], lowered)
	}
}

// in reports whether one of them is anywhere in content, in any case.
func (s secrets) in(content []byte) bool {
	for content = lowerBytes(content); len(content) >= 8; content = content[1:] {
		for _, secret := range s[[8]byte(content)] {
			if bytes.HasPrefix(content, secret) {
				return true
			}
		}
	}
	return false
}

// lowerBytes leaves bytes that are no text as they are, unlike bytes.ToLower.
func lowerBytes(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = byte(lower(rune(c)))
	}
	return out
}

// secretsOf returns the samples' addresses and numbers in all forms in which
// they could be found.
func secretsOf(t *testing.T) secrets {
	t.Helper()
	all := make(secrets)
	add := all.add
	hash := func(s string) {
		sum := sha256.Sum256([]byte(s))
		add(string(sum[:16]))
		add(hex.EncodeToString(sum[:16]))
	}
	for _, source := range []source{sampleUsers(), sampleList()} {
		for p, err := range source.people {
			if err != nil {
				continue
			}
			add(p.email)
			add(p.phone)
			if email := normalEmail(p.email); email != "" {
				add(email)
				hash(email)
				// Of short ones, random base64 spells one now and then.
				if local, _, _ := strings.Cut(email, "@"); len(local) >= 14 || strings.Contains(local, ".") {
					add(local)
				}
			}
			if phone := normalPhone(p.phone); phone != "" {
				add(phone[1:])
				hash(phone)
				hash(phone[1:])
			}
		}
	}
	require.Greater(t, len(all), 1000)
	return all
}

// The table's numbers do not come from the library alone: this counts the
// overlap once more, pair by pair.
func TestExpectedOverlap(t *testing.T) {
	listed, expected := 0, 0
	registered := make(map[string]bool)
	for u, err := range sampleUsers().people {
		email := normalEmail(u.email)
		if err != nil || email == "" || normalPhone(u.phone) == "" || registered[email] {
			continue
		}
		registered[email] = true
		for e, err := range sampleList().people {
			if err == nil && (email == normalEmail(e.email) || normalPhone(u.phone) == normalPhone(e.phone)) {
				listed++
				if u.consent != "" {
					expected++
				}
				break
			}
		}
	}
	s := tell(t, options{tries: 10_000}, nil)
	require.True(t, s.verdict())
	require.EqualValues(t, expected, s.expected)
	require.EqualValues(t, 57, s.expected)
	require.EqualValues(t, listed, s.listed)
	require.Greater(t, s.listed, 2*s.expected, "most people on the list did not consent")
}

func TestGenerated(t *testing.T) {
	const n = pageSize + 1000 // the second page too
	code, stdout, stderr := play(t, "-n", fmt.Sprint(n), "-tries", "50")
	require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)
	require.Contains(t, stdout, "VERDICT: every boundary held.")
	require.Regexp(t, `Without SQLite: sealing and indexing 21,9[0-9]{2} values took .* a second; 280 million would take .*\.\n`, stdout)
	require.Contains(t, stderr, "generated users: line ")
	again := func() (people []person) {
		for p, err := range generatedUsers(n).people {
			require.NoError(t, err)
			people = append(people, p)
		}
		return people
	}
	first := again()
	require.True(t, slices.Equal(first, again()), "two runs differ")
	seen := make(map[string]bool)
	for _, p := range first {
		require.False(t, seen[p.email] || seen[normalPhone(p.phone)])
		seen[p.email], seen[normalPhone(p.phone)] = true, true
	}
}

func TestInterrupt(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"-n", "5000000"}, &out, &errs)
	require.Equal(t, exitInterrupted, code, errs.String())
	require.NotContains(t, out.String(), "VERDICT")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left, "state was left behind")
}
