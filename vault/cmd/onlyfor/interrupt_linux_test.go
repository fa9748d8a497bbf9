package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// SIGINT in the middle of each command whose work grows with the rows of a table, with the
// people or with an audit log. The command ends with exit code 2 and one sentence that says
// how to go on. The same command, run again, does the rest, and the result is the result of
// a command that nobody interrupts, over a copy of the same keys and tables.

const interrupted = 120 // rows, and people

// A hook says when a command is in the middle of its work.
type hook func(l *lab, args []string) result

// An interruption is a row of the table: a command, the state before it, and the hook.
type interruption struct {
	prepare func(l *lab)
	args    []string
	hook    hook
	code    int // of the command that is run to its end, well by default
	says    string
	reads   bool // changes nothing, so its output has to be the same
}

// slowly makes a step slow enough to be seen in the middle: three seconds for all rows.
func slowly(args ...string) []string {
	return append(args, "--batch", "10", "--rows-per-second", "40")
}

var interruptions = map[string]interruption{
	"migrate plan":         {prepare: people, args: slowly("migrate", "plan"), hook: onRows, says: "stopped in table users", reads: true},
	"migrate backfill":     {prepare: people, args: slowly("migrate", "backfill"), hook: onRows, says: "stopped in table users"},
	"migrate verify":       {prepare: sealed, args: slowly("migrate", "verify"), hook: onRows, says: "stopped in table users", reads: true},
	"migrate repair":       {prepare: stale, args: slowly("migrate", "repair"), hook: onRows, says: "stopped in table users"},
	"migrate cut-over":     {prepare: sealed, args: slowly("migrate", "cut-over", "--yes"), hook: onRows, says: "stopped in table users"},
	"migrate leftovers":    {prepare: sealed, args: slowly("migrate", "leftovers"), hook: onRows, code: found, says: "stopped in table users", reads: true},
	"migrate reseal":       {prepare: onOldKey(interrupted, "rotate", "seal"), args: slowly("migrate", "reseal"), hook: onRows, says: "stopped in table users"},
	"migrate reindex":      {prepare: onOldKey(interrupted, "rotate-index", "index"), args: slowly("migrate", "reindex"), hook: onRows, says: "stopped in table users"},
	"migrate sweep":        {prepare: overdue, args: slowly("migrate", "sweep"), hook: onRows, says: "stopped in table users"},
	"migrate clear-erased": {prepare: erased, args: slowly("migrate", "clear-erased"), hook: onRows, says: "stopped in table users"},
	"migrate clear-notice": {prepare: suspended, args: slowly("migrate", "clear-notice", "-p", "security", "--notice", "2fa-prompt-v3"), hook: onRows, says: "stopped in table users"},
	"keys rotate":          {prepare: onOldKey(1100, "rotate", "seal"), args: []string{"keys", "rotate", "security", "--run"}, hook: onSlowRow("email_sealed"), says: "stopped in table users"},
	"keys rotate-index":    {prepare: onOldKey(1100, "rotate-index", "index"), args: []string{"keys", "rotate-index", "security", "--run"}, hook: onSlowRow("email_index"), says: "stopped in table users"},
	"restore replay":       {prepare: restored, args: []string{"restore", "replay", "--reason", "disk lost"}, hook: onEvents("erase", 10), says: "stopped"},
	"report affected":      {prepare: sealed, args: []string{"report", "affected", "--verify", "--reason", "order 7", "--rows", "letters.csv"}, hook: onSlowView, says: "stopped", reads: true},
	"report use":           {prepare: logged, args: manyLogs("report", "use", "--log"), hook: onLog, says: "stopped", reads: true},
	"audit verify":         {prepare: logged, args: manyLogs("audit", "verify", ""), hook: onLog, says: "stopped", reads: true},
	"audit who":            {prepare: logged, args: manyLogs("audit", "who", ""), hook: onLog, says: "stopped", reads: true},
	"audit person":         {prepare: logged, args: manyLogs("audit", "person", "user-7", "--reason", "order 7", ""), hook: onLog, says: "stopped", reads: true},
	"doctor":               {prepare: sealed, args: []string{"doctor"}, hook: onSlowTable, says: "stopped", reads: true},
	"keys retire":          {prepare: onNewKey, args: []string{"keys", "retire", "security", oldKey}, hook: onSlowTable, says: "stopped"},
	"keys destroy":         {prepare: retiredKey, args: []string{"keys", "destroy", "security", oldKey, "--reason", "order 7"}, hook: onSlowTable, says: "stopped"},
}

// Commands that are done in a moment, that serve until they are interrupted, or that read logs
// and tables as the commands above do and leave nothing behind.
var brief = strings.Split("init,seal,reveal,inspect,suspend,resume,suspensions,erase,withdraw,policy,man,completion,"+
	"keys list,keys generate,keys promote,keys reinstate,keys collector,keys pin,keys make-kek,keys rewrap,"+
	"approve key,approve destroy,approve resume,approve sign,"+
	"report ropa,audit key,audit tail,audit reconcile,"+
	"audit witness key,audit witness serve,audit witness cosign", ",")

// A command that is new has a row in the table, or is named among the brief ones.
func TestEveryCommandIsInterrupted(t *testing.T) {
	parser, err := kong.New(new(cli), kong.Vars{"version": "x"})
	require.NoError(t, err)
	known := map[string]bool{}
	for name := range interruptions {
		known[name] = true
	}
	for _, name := range brief {
		require.False(t, known[name], name)
		known[name] = true
	}
	var visit func(n *kong.Node, name string)
	visit = func(n *kong.Node, name string) {
		if n.Leaf() {
			require.True(t, known[name], "%q is neither interrupted nor brief", name)
			delete(known, name)
		}
		for _, child := range n.Children {
			if child.Type == kong.CommandNode {
				visit(child, strings.TrimSpace(name+" "+child.Name))
			}
		}
	}
	visit(parser.Model.Node, "")
	require.Empty(t, known, "no such command")
}

// leases are the times that doctor prints, which differ from one process to another.
var leases = regexp.MustCompile(`for \d+ hours`)

func TestInterruptEachCommand(t *testing.T) {
	for name, test := range interruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, undisturbed, args, r := test.interrupt(t)
			for range 4 { // a signal that came after the end has interrupted nothing
				if r.code != test.code {
					break
				}
				l, undisturbed, args, r = test.interrupt(t)
			}
			r.exits(hindered).says(test.says, "run the same command again")
			require.Equal(t, 1, strings.Count(strings.Join(strings.Fields(r.stderr), " "), "run the same command again"), r.stderr)
			fast := quickly(args)
			again := l.sh.run("", fast...).exits(test.code)
			whole := undisturbed.sh.run("", fast...).exits(test.code)
			if test.reads {
				require.Equal(t, leases.ReplaceAllString(whole.stdout, "for hours"), leases.ReplaceAllString(again.stdout, "for hours"))
			}
			require.Equal(t, undisturbed.state(), l.state())
		})
	}
}

// interrupt prepares a lab and a copy of it, and interrupts the command in the lab.
func (test interruption) interrupt(t *testing.T) (l, undisturbed *lab, args []string, r result) {
	sh := &shell{t: t, dir: t.TempDir(), mayEnd: true}
	sh.run("", "init").exits(well)
	l = &lab{sh, newApplication(sh, targets[0], "")}
	test.prepare(l)
	control := filepath.Join(t.TempDir(), "copy")
	copyDir(t, sh.dir, control)
	undisturbed = &lab{&shell{t: t, dir: control, env: sh.env}, nil}
	args = l.withOldKey(test.args)
	return l, undisturbed, args, test.hook(l, args)
}

// quickly returns the arguments without those that slow a step down.
func quickly(args []string) []string {
	text := strings.Join(args, "\x00")
	return strings.Split(strings.TrimSuffix(text, "\x00--batch\x0010\x00--rows-per-second\x0040"), "\x00")
}
