package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// An administrator has the directory of a log, and may write to all files in it.

var errStory = errors.New("the log has not the entry that the story needs")

// edit replaces the file of bodies of a log. The content ends with a frame: entries, one a
// line, and their head.
func edit(log string, change func(frames [][]byte) ([][]byte, error)) error {
	name := filepath.Join(log, "bodies", "000000000000.log")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	frames, err := change(bytes.SplitAfter(text, []byte("\n\n")))
	if err != nil {
		return err
	}
	return os.WriteFile(name, bytes.Join(frames, nil), 0o600)
}

// frameOf returns the number of the first frame with an entry that has the text.
func frameOf(frames [][]byte, text string) (int, error) {
	for i, f := range frames {
		if bytes.Contains(f, []byte(text)) {
			return i, nil
		}
	}
	return 0, errStory
}

const reveal = `"action":"reveal"`

// rewriteEntry puts another name into an entry, and computes its leaf anew, in the tiles too.
func rewriteEntry(log string) error {
	return edit(log, func(frames [][]byte) ([][]byte, error) {
		at, err := frameOf(frames, reveal)
		if err != nil {
			return nil, err
		}
		line, rest, _ := bytes.Cut(frames[at], []byte("\n"))
		old := leafOf(line)
		line = bytes.Replace(line, []byte(`"caller":"eve"`), []byte(`"caller":"job"`), 1)
		frames[at] = append(append(bytes.Clone(line), '\n'), rest...)
		return frames, filepath.WalkDir(filepath.Join(log, "tile", "entries"), func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			tile, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			return os.WriteFile(name, bytes.ReplaceAll(tile, old, leafOf(line)), 0o600)
		})
	})
}

// leafOf returns the hash of the salt and the body in a line.
func leafOf(line []byte) []byte {
	salt, body, _ := bytes.Cut(line, []byte(" "))
	salted, err := hex.DecodeString(string(salt))
	if err != nil {
		return nil
	}
	leaf := sha256.Sum256(append(salted, body...))
	return leaf[:]
}

// dropEntry takes an entry out, with its head.
func dropEntry(log string) error {
	return edit(log, func(frames [][]byte) ([][]byte, error) {
		at, err := frameOf(frames, reveal)
		if err != nil {
			return nil, err
		}
		return append(frames[:at:at], frames[at+1:]...), nil
	})
}

// cutEnd takes out all entries from the first reveal on, and the published head and tiles,
// which would tell.
func cutEnd(log string) error {
	err := edit(log, func(frames [][]byte) ([][]byte, error) {
		at, err := frameOf(frames, reveal)
		if err != nil {
			return nil, err
		}
		return frames[:at], nil
	})
	return errors.Join(err, os.Remove(filepath.Join(log, "checkpoint")), os.RemoveAll(filepath.Join(log, "tile")))
}

// writeAnew has the key of the log too, and writes one in which eve only looked somebody up.
func (c *company) writeAnew(ctx context.Context) func(log string) error {
	return func(log string) error {
		if err := os.RemoveAll(log); err != nil {
			return err
		}
		l, err := auditlog.Open(ctx, log, c.support.signer, &auditlog.Options{Service: "support", Granted: purpose.NewSet(security)})
		if err != nil {
			return err
		}
		for range c.support.kept[len(c.support.kept)-1].Size - 2 {
			if err := l.Audit(ctx, audit.Event{Time: time.Now(), Action: audit.Hint, Outcome: audit.Allowed, Purpose: security, Caller: "eve"}); err != nil {
				return err
			}
		}
		return l.Close()
	}
}
