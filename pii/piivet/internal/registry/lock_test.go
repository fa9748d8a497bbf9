package registry_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/registry"
)

// small is a program of one package.
func small(uses ...inventory.Use) *registry.Registry {
	return registry.Link([]inventory.Package{
		{Path: "example.com/auth", Uses: uses},
		{Path: "example.com/other", Skipped: true},
	})
}

func use(op inventory.Op, in string, names ...string) inventory.Use {
	return inventory.Use{Op: op, In: in, At: "/src/auth/auth.go:7", Scope: purposes.Ref{Names: names}}
}

const (
	login = "example.com/auth.(*Service).Login"
	other = "example.com/auth.show"
)

func TestLockIsSortedWithOnePairALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "piivet.lock")
	r := small(use(inventory.Reveal, login, "security"), use(inventory.Index, login, "security", "billing"), use(inventory.Hint, other))
	require.NoError(t, registry.WriteLock(path, r.Pairs()))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, pairs, ok := strings.Cut(string(text), "piivet -check.\n")
	require.True(t, ok)
	require.Equal(t, "? hint example.com/auth.show\n"+
		"billing index example.com/auth.(*Service).Login\n"+
		"security index example.com/auth.(*Service).Login\n"+
		"security reveal example.com/auth.(*Service).Login\n", pairs)
	read, err := registry.ReadLock(path)
	require.NoError(t, err)
	require.Equal(t, r.Pairs(), read)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no stray files")
}

func TestLockDoesNotDependOnLines(t *testing.T) {
	a := use(inventory.Reveal, login, "security")
	b := a
	b.At = "/elsewhere/auth.go:99"
	require.Equal(t, small(a).Pairs(), small(b).Pairs())
	require.Equal(t, small(a).Pairs(), small(a, b).Pairs(), "twice in a place is once")
}

func TestCompare(t *testing.T) {
	reveal := registry.Pair{Purpose: "security", Op: "reveal", Place: login}
	for rule, c := range map[string]struct {
		now               []inventory.Use
		locked            []registry.Pair
		new, gone, unseen []registry.Pair
	}{
		"the same is no difference": {
			now: []inventory.Use{use(inventory.Reveal, login, "security")}, locked: []registry.Pair{reveal},
		},
		"another purpose at a place is new": {
			now: []inventory.Use{use(inventory.Reveal, login, "security", "advertising")}, locked: []registry.Pair{reveal},
			new: []registry.Pair{{Purpose: "advertising", Op: "reveal", Place: login}},
		},
		"another operation at a place is new": {
			now: []inventory.Use{use(inventory.Reveal, login, "security"), use(inventory.Index, login, "security")}, locked: []registry.Pair{reveal},
			new: []registry.Pair{{Purpose: "security", Op: "index", Place: login}},
		},
		"another place is new": {
			now: []inventory.Use{use(inventory.Reveal, login, "security"), use(inventory.Reveal, other, "security")}, locked: []registry.Pair{reveal},
			new: []registry.Pair{{Purpose: "security", Op: "reveal", Place: other}},
		},
		"a purpose that became unknown is new": {
			now: []inventory.Use{use(inventory.Reveal, login)}, locked: []registry.Pair{reveal},
			new: []registry.Pair{{Purpose: "?", Op: "reveal", Place: login}}, gone: []registry.Pair{reveal},
		},
		"an unknown purpose does not cover a known one": {
			now: []inventory.Use{use(inventory.Reveal, login, "security")}, locked: []registry.Pair{{Purpose: "?", Op: "reveal", Place: login}},
			new: []registry.Pair{reveal}, gone: []registry.Pair{{Purpose: "?", Op: "reveal", Place: login}},
		},
		"what is not done any more is gone": {
			locked: []registry.Pair{reveal}, gone: []registry.Pair{reveal},
		},
		"what was not looked at is not gone": {
			locked: []registry.Pair{{Purpose: "security", Op: "reveal", Place: "example.com/mail.v2.(*Sender).Send"}},
			unseen: []registry.Pair{{Purpose: "security", Op: "reveal", Place: "example.com/mail.v2.(*Sender).Send"}},
		},
	} {
		t.Run(rule, func(t *testing.T) {
			d := small(c.now...).Compare(c.locked)
			require.Equal(t, c.new, d.New)
			require.Equal(t, c.gone, d.Gone)
			require.Equal(t, c.unseen, d.Unseen)
			var text bytes.Buffer
			require.NoError(t, d.WriteText(&text, "piivet.lock"))
			require.Equal(t, len(c.new), strings.Count(text.String(), "new use of personal data"))
			require.Equal(t, c.new == nil && c.gone == nil && c.unseen == nil, text.Len() == 0)
		})
	}
}

func TestReadLockRefuses(t *testing.T) {
	for rule, text := range map[string]string{
		"the mark of a merge conflict": "security reveal example.com/a.B\n<<<<<<< HEAD\n",
		"the middle of one":            "=======\n",
		"two words":                    "security reveal\n",
		"four words":                   "security reveal example.com/a.B C\n",
		"a host without a kind":        "security send example.com/a.B api.example\n",
		"no host":                      "security send example.com/a.B\n",
		"a host for another operation": "security reveal example.com/a.B api.example phone\n",
		"an operation that is none":    "security read example.com/a.B\n",
		"a blank at the front":         " security reveal example.com/a.B\n",
		"NUL":                          "\x00",
	} {
		t.Run(rule, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := registry.ReadLock(path)
			require.ErrorContains(t, err, "not a line of a lock file")
		})
	}
	_, err := registry.ReadLock(filepath.Join(t.TempDir(), "lock"))
	require.ErrorContains(t, err, "piivet -update")
}

func TestReadLockTakesCommentsAndLineEndsOfWindows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(path, []byte("# why\r\n\r\nsecurity reveal example.com/a.B\r\n"), 0o600))
	pairs, err := registry.ReadLock(path)
	require.NoError(t, err)
	require.Equal(t, []registry.Pair{{Purpose: "security", Op: "reveal", Place: "example.com/a.B"}}, pairs)
}

func TestWriteLockLeavesTheOldOneWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	require.NoError(t, os.Mkdir(path, 0o700)) // can't be replaced by a file
	require.NoError(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
	require.Error(t, registry.WriteLock(path, nil))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// A host comes from the code, and may be any text. It is one word of the lock file.
func TestHostsAreOneWord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var uses []inventory.Use
	for _, host := range []string{"", "api.sms.example:8443", "two words", "a\nsecurity reveal example.com/a.B", "\x00", "#", "\u2028", "\xff"} {
		u := use(inventory.Send, login, "security")
		u.Host, u.Fields = host, []inventory.Field{{Kind: "phone", Place: "form field To"}, {Kind: "email", Place: "header X"}, {Kind: "phone", Place: "header Y"}}
		uses = append(uses, u)
	}
	r := small(uses...)
	require.NoError(t, registry.WriteLock(path, r.Pairs()))
	read, err := registry.ReadLock(path)
	require.NoError(t, err)
	require.Equal(t, r.Pairs(), read)
	require.Len(t, read, 2*len(uses), "one for each host and kind")
	require.Contains(t, read, registry.Pair{Purpose: "security", Op: "send", Place: login, To: "api.sms.example:8443 phone"})
	require.Contains(t, read, registry.Pair{Purpose: "security", Op: "send", Place: login, To: "? email"})
}
