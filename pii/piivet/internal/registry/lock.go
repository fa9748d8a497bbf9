package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/flow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
)

// A Pair says that a place performs one operation for a purpose. It is a line of a lock
// file:
//
//	security reveal example.com/shop/auth.(*Service).SendCode
//
// A line of [inventory.Send] also has the host, and the kind of value that it gets:
//
//	security send example.com/shop/auth.New api.sms.example phone
//
// An unknown purpose, host or kind is "?".
type Pair struct {
	Purpose, Op, Place string
	// To is the host and the kind, "" for other operations.
	To string
}

// String returns the line.
func (p Pair) String() string {
	return strings.TrimSuffix(p.Purpose+" "+p.Op+" "+p.Place+" "+p.To, " ")
}

// pairs returns the pairs of a use: one, and for [inventory.Send] one for each kind.
func (u Use) pairs(purpose string) []Pair {
	p := Pair{Purpose: purpose, Op: string(u.Op), Place: u.Place}
	if u.Op != inventory.Send {
		return []Pair{p}
	}
	kinds := u.Kinds
	if len(kinds) == 0 {
		kinds = []string{unknown}
	}
	var all []Pair
	for _, kind := range kinds {
		p.To = word(u.Host) + " " + word(kind)
		all = append(all, p)
	}
	return all
}

// word returns s as one word of a line.
func word(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return url.PathEscape(s)
	}
	return cmp.Or(s, unknown)
}

const unknown = "?"

// Pairs returns the pairs of all uses, in the order of a lock file.
func (r *Registry) Pairs() []Pair {
	var all []Pair
	r.each(func(p Pair, _ Use) { all = append(all, p) })
	slices.SortFunc(all, func(a, b Pair) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// each calls f for each pair of each use.
func (r *Registry) each(f func(Pair, Use)) {
	all := func(purpose string, uses []Use) {
		for _, u := range uses {
			for _, p := range u.pairs(purpose) {
				f(p, u)
			}
		}
	}
	for _, p := range r.Purposes {
		all(p.Name, p.Uses)
	}
	all(unknown, r.Unknown)
}

const lockHead = `# What this code base does with personal data: the purpose, what is done, and
# where. A new line is a new use: who approves it here approves it.
# Written by: piivet -update. Compared by: piivet -check.
`

// WriteLock writes a lock file atomically, so that a reader never sees half of one.
func WriteLock(path string, pairs []Pair) error {
	var b bytes.Buffer
	b.WriteString(lockHead)
	for _, p := range pairs {
		b.WriteString(p.String())
		b.WriteByte('\n')
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".piivet-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err == nil {
		err = f.Chmod(0o644) // the file is committed, and not secret
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ReadLock reads a lock file. A file that does not exist is an error, and so is a line
// that is neither a pair nor a comment, such as the mark of a merge conflict. Otherwise
// all uses would pass, or uses that nobody approved.
func ReadLock(path string) ([]Pair, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no lock file %s: write it with piivet -update, and commit it", path)
	} else if err != nil {
		return nil, err
	}
	var all []Pair
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Split(line, " ")
		length := 3
		if len(words) > 1 && words[1] == string(inventory.Send) {
			length = 5
		}
		if len(words) != length || slices.Contains(words, "") || !slices.ContainsFunc(Ops, func(o Operation) bool { return string(o.Op) == words[1] }) {
			return nil, fmt.Errorf("%s:%d: not a line of a lock file, which is: purpose operation place", path, n)
		}
		all = append(all, Pair{words[0], words[1], words[2], strings.Join(words[3:], " ")})
	}
	return all, nil
}

// A Difference has the differences between a registry and a lock file.
type Difference struct {
	// New are the pairs that the lock file does not have.
	New []Pair
	// Gone are the pairs that only the lock file has, although their packages were
	// analyzed.
	Gone []Pair
	// Unseen are the pairs that only the lock file has, and whose packages were not
	// analyzed.
	Unseen []Pair

	at, through map[Pair][]string
}

// Compare compares the registry with the pairs of a lock file.
func (r *Registry) Compare(locked []Pair) Difference {
	d := Difference{at: map[Pair][]string{}, through: map[Pair][]string{}}
	now := r.Pairs()
	for _, p := range now {
		if !slices.Contains(locked, p) {
			d.New = append(d.New, p)
		}
	}
	for _, p := range locked {
		switch {
		case slices.Contains(now, p):
		case r.paths[flow.PackageOf(p.Place)]:
			d.Gone = append(d.Gone, p)
		default:
			d.Unseen = append(d.Unseen, p)
		}
	}
	r.each(d.note)
	return d
}

// note records the positions of a pair, and the functions that it receives values
// through.
func (d *Difference) note(p Pair, u Use) {
	d.at[p] = u.At
	if u.Op == inventory.Receive {
		d.through[p] = u.Through
	}
}

// WriteText writes the new pairs, and the number of the others.
func (d Difference) WriteText(w io.Writer, path string) error {
	p := &printer{w: w}
	for _, pair := range d.New {
		at := ""
		if lines := d.at[pair]; len(lines) > 0 {
			at = lines[0] + ": "
		}
		through := ""
		if from := d.through[pair]; len(from) > 0 {
			through = ", through " + strings.Join(from, ", ")
		}
		p.printf("%snew use of personal data: %s%s\n", at, pair, through)
	}
	if len(d.New) > 0 {
		p.printf("%s not in %s. If the people who answer for these purposes agree: piivet -update %s\n", count(len(d.New), "use is", "uses are"), path, path)
	}
	if len(d.Gone) > 0 {
		p.printf("%s in %s of what is not done any more: piivet -update %s\n", count(len(d.Gone), "line is", "lines are"), path, path)
	}
	if len(d.Unseen) > 0 {
		p.printf("%s in %s of packages that were not looked at in this run.\n", count(len(d.Unseen), "line is", "lines are"), path)
	}
	return p.err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
