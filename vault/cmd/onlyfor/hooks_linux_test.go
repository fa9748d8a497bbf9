package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// onRows interrupts a step when its bar says that some of the rows are done.
func onRows(l *lab, args []string) result {
	return l.sh.atTerminal(`: (\d+) of 120 rows`, 20, args)
}

// terminal returns a pseudo terminal: the end of the test, and the end of the command.
func terminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there is no pseudo terminal")
	}
	t.Cleanup(func() { ours.Close() })
	var n, unlocked int32
	ioctl := func(request uintptr, value *int32) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, ours.Fd(), request, uintptr(unsafe.Pointer(value)))
		require.Zero(t, errno)
	}
	ioctl(syscall.TIOCSPTLCK, &unlocked)
	ioctl(syscall.TIOCGPTN, &n)
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return ours, theirs
}

// atTerminal runs a command whose standard error is a terminal. It interrupts the command as soon
// as the number that the expression finds is at least from.
func (sh *shell) atTerminal(expression string, from int, args []string) result {
	t := sh.t
	ours, theirs := terminal(t)
	c := sh.command(args...)
	c.Env = append(c.Env, "TERM=xterm")
	var stdout lockedBuffer
	c.Stdout, c.Stderr = &stdout, theirs
	require.NoError(t, c.Start())
	theirs.Close()
	progress := regexp.MustCompile(expression)
	text, last, signalled := "", 0, false
	buffer := make([]byte, 4096)
	for {
		n, err := ours.Read(buffer) // fails once the command has ended
		text += string(buffer[:n])
		for _, m := range progress.FindAllStringSubmatch(text, -1) {
			last, _ = strconv.Atoi(m[1])
		}
		if last >= from && !signalled {
			signalled = true
			if err := c.Process.Signal(syscall.SIGINT); !errors.Is(err, os.ErrProcessDone) {
				require.NoError(t, err)
			}
		}
		if err != nil {
			break
		}
	}
	c.Wait()
	require.True(t, signalled, text)
	return result{t, args, stdout.String(), plainText(text), c.ProcessState.ExitCode()}
}

// plainText returns the text of a terminal without its bars.
func plainText(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if i := strings.LastIndex(line, "\x1b[K"); i >= 0 {
			line = line[i+len("\x1b[K"):]
		}
		lines = append(lines, strings.Trim(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

// onEvents interrupts a command that has recorded n events of an action. Its audit log is a pipe
// that the test no longer reads then, so the command waits in the middle.
func onEvents(action string, n int) hook {
	return func(l *lab, args []string) result {
		sh, t := l.sh, l.sh.t
		pipe := filepath.Join(sh.dir, "pipe")
		require.NoError(t, syscall.Mkfifo(pipe, 0o600))
		defer os.Remove(pipe)
		sh.write("pipe.toml", strings.Replace(sh.read("onlyfor.toml"), `"onlyfor-data/audit.jsonl"`, `"pipe"`, 1))
		log, err := os.OpenFile(pipe, os.O_RDWR, 0)
		require.NoError(t, err)
		defer log.Close()
		const setPipeSize = 1031 // F_SETPIPE_SZ
		_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, log.Fd(), setPipeSize, 4096)
		require.Zero(t, errno)
		var seen atomic.Int64
		go func() {
			for lines := bufio.NewScanner(log); lines.Scan(); {
				if !strings.Contains(lines.Text(), `"action":"`+action+`"`) {
					continue
				}
				if seen.Add(1) == int64(n) {
					time.Sleep(300 * time.Millisecond) // the command waits, once the pipe is full
				}
			}
		}()
		return sh.interrupt(func(string) bool { return seen.Load() == int64(n) }, append([]string{"-c", "pipe.toml"}, args...)...)
	}
}

// slow is a query that takes a second or more, with the result of another expression.
func slow(expression string) string {
	return "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000000) SELECT iif(max(n) > 0, " + expression + ", NULL) FROM c)"
}

// onSlowRow interrupts a command that has committed its first batch, which has changed a column, and
// that is slow to end the second one: a trigger at one of its rows takes a second.
func onSlowRow(column string) hook {
	return func(l *lab, args []string) result {
		l.app.exec("CREATE TRIGGER slow AFTER UPDATE ON users WHEN NEW.id = 'u01050' BEGIN SELECT " + slow("1") + "; END")
		before := l.app.text(column, "u00000")
		r := l.sh.interrupt(func(string) bool { return l.app.text(column, "u00000") != before }, args...)
		l.app.exec("DROP TRIGGER slow")
		return r
	}
}

// onSlowView interrupts a report that has begun its list, and that is slow to read the last row.
func onSlowView(l *lab, args []string) result {
	l.app.exec("ALTER TABLE users RENAME TO people")
	l.app.exec("CREATE VIEW users AS SELECT id, phone_sealed, CASE id WHEN 'u00119' THEN " + slow("email_sealed") + " ELSE email_sealed END AS email_sealed FROM people")
	list := filepath.Join(l.sh.dir, "letters.csv")
	r := l.sh.interrupt(func(string) bool {
		_, err := os.Stat(list)
		return err == nil
	}, args...)
	if r.code != well {
		require.NoFileExists(l.sh.t, list, "a list that is cut off is no list")
	}
	l.app.exec("DROP VIEW users")
	l.app.exec("ALTER TABLE people RENAME TO users")
	return r
}

// onSlowTable interrupts a command that has the database open, and that is slow to read one of
// the first rows.
func onSlowTable(l *lab, args []string) result {
	l.app.exec("ALTER TABLE users RENAME TO people")
	l.app.exec("CREATE VIEW users AS SELECT id, source, created_at, email, email_index, phone, phone_sealed, phone_index, ads_index, CASE id WHEN 'u00050' THEN " + slow("email_sealed") + " ELSE email_sealed END AS email_sealed FROM people")
	r := l.sh.interrupt(func(string) bool { return l.isOpen(filepath.Join(l.sh.dir, "app.db")) }, args...)
	l.app.exec("DROP VIEW users")
	l.app.exec("ALTER TABLE people RENAME TO users")
	return r
}

// onLog interrupts a command that has a file of the audit log open.
func onLog(l *lab, args []string) result {
	return l.sh.interrupt(func(string) bool { return l.isOpen(filepath.Join(l.sh.dir, "log") + "/") }, args...)
}

// isOpen reports whether another process has a file open whose name begins with the prefix.
func (l *lab) isOpen(prefix string) bool {
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	require.NoError(l.sh.t, err)
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	return slices.ContainsFunc(files, func(name string) bool {
		file, err := os.Readlink(name)
		return err == nil && strings.HasPrefix(file, prefix) && !strings.HasPrefix(name, own)
	})
}
