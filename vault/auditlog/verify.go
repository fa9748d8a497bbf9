package auditlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
)

// VerifyOptions are the options of [Verify]. A nil *VerifyOptions has the defaults.
type VerifyOptions struct {
	// Apart are sets of purposes of which one process may open no more than one.
	Apart []purpose.Set
	// ClockTolerance is the time by which an entry may be older than one before it.
	// 0 is ten seconds.
	ClockTolerance time.Duration
	// Witnesses verify the cosignatures of witnesses (C2SP tlog-cosignature) on the heads
	// that are kept, published, or in entries of the log. Each witness is checked on its
	// own.
	Witnesses []note.Verifier
	// Unwitnessed is the time within which each of Witnesses must cosign an entry, with
	// ClockTolerance on top. 0 is a minute.
	Unwitnessed time.Duration
	// Builds, if not nil, are the builds that were reviewed: revisions of the version
	// control system, or versions of the main module. Entries of a start state the
	// program's build.
	Builds []string
	// Entry, if not nil, is called with each entry in order. An entry is proven only once
	// Verify has returned a report without findings. An error ends Verify.
	Entry func(Entry) error
	// Progress, if not nil, is called now and then with the number of entries read.
	Progress func(entries int64)
}

// An Entry is an entry of a log.
type Entry struct {
	// Index is the number of the entry: the first one is 0.
	Index int64
	// Body is the JSON text of the entry, or nil if it was removed. It is valid during
	// the call that it is given to.
	Body []byte
}

// Verify reads the log in fsys and checks all of it: that the last head is signed by the
// log's key and is the head of exactly these entries, that the tiles are those of the tree,
// and that the log continues each of the heads in kept. The more recent a kept head, the
// less can have been altered unnoticed; the report's NotExcluded says how much. Verify
// needs no key but the public one, and memory that does not grow with the log.
//
// Alterations are findings of the report, not errors. Verify returns an error for a file
// system that can't be read, for a kept head that is not the log's ([ErrHead]), and once
// ctx is done. The log may be in use, unless bodies are being removed.
func Verify(ctx context.Context, fsys fs.FS, verifier note.Verifier, kept []Head, opts *VerifyOptions) (*Report, error) {
	if fsys == nil || verifier == nil {
		return nil, fmt.Errorf("auditlog: no file system or no verifier: %w", ErrArgument)
	}
	v := &verification{
		ctx: ctx, fsys: fsys, verifier: verifier,
		report: &Report{Origin: verifier.Name(), Removed: map[string]int64{}, counts: map[FindingKind]int{}},
		tree:   &edge{},
	}
	if opts != nil {
		v.opts = *opts
	}
	var err error
	if v.witnesses, err = newWitnessCheck(v.report, &v.opts, v.rootOf); err != nil {
		return nil, err
	}
	v.content = newContentCheck(v.report, &v.opts, v.witnesses)
	if err := v.keep(kept); err != nil {
		return nil, err
	}
	if err := v.run(); err != nil {
		return nil, fmt.Errorf("auditlog: verifying %s: %w", verifier.Name(), err)
	}
	return v.report, nil
}

type verification struct {
	ctx      context.Context
	fsys     fs.FS
	verifier note.Verifier
	opts     VerifyOptions
	report   *Report
	content  *contentCheck
	// witnesses is nil without witnesses.
	witnesses *witnessCheck

	published Head   // zero if there is none that verifies
	kept      []Head // by size; those ahead of the tree
	newest    int64  // the size of the newest kept head
	witnessed int64  // the size of the newest head that a witness cosigned

	tree     *edge
	diverged bool   // the tree is not that of the heads
	shifted  bool   // entries are missing, so numbers say nothing
	forked   []Head // kept heads that are not of the tree
	bundle   []byte // the entries of the current bundle as the file has them
	last     string // the last head, signed
	// entries are those of the frame that is read, and text their bodies.
	entries []frameEntry
	text    []byte
}

// keep takes in the kept heads.
func (v *verification) keep(kept []Head) error {
	for _, h := range kept {
		h, err := ParseHead([]byte(h.signed), v.verifier)
		if err != nil {
			return err
		}
		v.kept = append(v.kept, h)
		v.witnesses.note(h)
		v.newest = max(v.newest, h.Size)
	}
	slices.SortStableFunc(v.kept, func(a, b Head) int { return cmp.Compare(a.Size, b.Size) })
	for i := 1; i < len(v.kept); i++ {
		if a, b := v.kept[i-1], v.kept[i]; a.Size == b.Size && a.Hash != b.Hash {
			v.report.find(FindingFork, a.Size, "two kept heads of %d entries have different hashes", a.Size)
		}
	}
	return nil
}

func (v *verification) run() error {
	if err := v.readCheckpoint(); err != nil {
		return err
	}
	firsts, err := v.segments()
	if err != nil {
		return err
	}
	v.tree.filled = v.compareTile
	v.checkHeads()
	index := int64(0)
	for i, first := range firsts {
		if index != first {
			v.diverge(FindingMissing, min(index, first), "the file that begins with entry %d should begin with entry %d", first, index)
			index = first
		}
		if index, err = v.readSegment(index, i == len(firsts)-1); err != nil {
			return err
		}
	}
	v.report.Entries = index
	v.witnessed = v.witnesses.end(index)
	v.end(index)
	v.content.end()
	return v.foreign()
}

func (v *verification) diverge(kind FindingKind, entry int64, format string, args ...any) {
	if !v.diverged {
		v.report.find(kind, entry, format, args...)
	}
	v.diverged = true
}

// readFile returns the content of a file, or nil if there is none.
func (v *verification) readFile(name string) ([]byte, error) {
	f, err := v.fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLine+1))
	if err == nil && len(b) == 0 {
		b = []byte{}
	}
	return b, err
}

func (v *verification) readCheckpoint() error {
	signed, err := v.readFile(checkpoint)
	if signed == nil || err != nil {
		return err
	}
	if v.published, err = ParseHead(signed, v.verifier); err != nil {
		v.report.find(FindingHead, -1, "the published head is not signed by the key of %s", v.verifier.Name())
		return nil
	}
	v.witnesses.note(v.published)
	return nil
}

func (v *verification) segments() (firsts []int64, err error) {
	entries, err := fs.ReadDir(v.fsys, bodies)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		first, ok := parseSegmentName(e.Name())
		if !ok || !e.Type().IsRegular() {
			v.report.find(FindingForeign, -1, "%s/%q", bodies, e.Name())
			continue
		}
		firsts = append(firsts, first)
	}
	slices.Sort(firsts)
	return firsts, err
}

// readSegment reads a file of bodies and returns the number of the entry behind it.
func (v *verification) readSegment(first int64, isLast bool) (int64, error) {
	f, err := v.fsys.Open(segmentName(first))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	// A log that is in use adds to the last file. Frames that it adds from now on are not read.
	size := info.Size()
	in := newRecords(io.LimitReader(f, size))
	index, good := first, int64(0)
	v.content.begin(first)
	for v.clearFrame(); ; {
		rec, err := in.next()
		switch {
		case err == io.EOF && len(v.entries) == 0:
			return index, nil
		case err == io.EOF || err == errMalformed || len(v.text) > maxSegment:
			return index, v.torn(index, isLast, segmentName(first), good, size)
		case err != nil:
			return 0, err
		case rec.head == nil:
			v.entries = append(v.entries, frameEntry{rec.leaf, len(rec.body)})
			v.text = append(v.text, rec.body...)
			continue
		}
		if index, err = v.frame(index, rec.head); err != nil {
			return 0, err
		}
		good = in.offset
		v.clearFrame()
		if err := v.ctx.Err(); err != nil {
			return 0, err
		}
	}
}

// A frameEntry is an entry of the frame that is read.
type frameEntry struct {
	leaf leafHash
	size int // of its body, 0 if it was removed
}

func (v *verification) clearFrame() { v.entries, v.text = v.entries[:0], v.text[:0] }

// torn reports the rest of a file that is no frame. At the end of the last file it can be
// the work of a crash.
func (v *verification) torn(index int64, isLast bool, name string, good, size int64) error {
	f, err := v.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, good); err != nil {
		return err
	}
	rest, err := io.ReadAll(io.LimitReader(f, min(size-good, maxSegment)))
	if err != nil {
		return err
	}
	if isLast && !behindFrame(rest) && len(rest) < maxSegment {
		v.report.note(NoteTorn, index, "an incomplete commit of %d bytes", len(rest))
		return nil
	}
	v.diverge(FindingEdited, index, "%s is damaged behind this entry", name)
	return nil
}

// frame checks the entries of a commit against its head. index is the number of the first
// of them. It returns the number of the entry behind them.
func (v *verification) frame(index int64, signed []byte) (int64, error) {
	v.last = string(signed)
	after := index + int64(len(v.entries))
	h, ok := claimedHead(signed)
	switch {
	case !ok || h.Origin != v.verifier.Name():
		v.diverge(FindingHead, index, "the head of these entries is none of %s", v.verifier.Name())
	case h.Size != after:
		v.diverge(FindingMissing, index, "there are %d entries, and their head has %d", after, h.Size)
		v.shifted = true
	}
	text := v.text
	for i, e := range v.entries {
		body := text[:e.size:e.size]
		text = text[e.size:]
		if err := v.entry(index+int64(i), e.leaf, body); err != nil {
			return 0, err
		}
	}
	if !v.diverged && h.Hash != v.tree.root() {
		v.diverge(FindingEdited, index, "entries %d to %d are not those of their head", index, after-1)
	}
	if v.shifted && ok && h.Size > after {
		after = h.Size
	}
	return after, nil
}

func (v *verification) entry(index int64, leaf leafHash, body []byte) error {
	if len(body) == 0 {
		body = nil
	} else {
		v.report.Bodies++
	}
	v.compareBundle(index, leaf)
	v.tree.append(leaf)
	v.checkHeads()
	v.content.entry(index, body)
	if v.opts.Progress != nil && (index+1)%(1<<16) == 0 {
		v.opts.Progress(index + 1)
	}
	if v.opts.Entry != nil {
		return v.opts.Entry(Entry{index, body})
	}
	return nil
}

// checkHeads compares the tree with the known heads of its size.
func (v *verification) checkHeads() {
	for len(v.kept) > 0 && v.kept[0].Size == v.tree.size {
		if h := v.kept[0]; !v.diverged && h.Hash != v.tree.root() {
			v.forked = append(v.forked, h)
		}
		v.kept = v.kept[1:]
	}
	if v.published.Size == v.tree.size && v.published.Size > 0 && !v.diverged {
		if v.published.Hash != v.tree.root() {
			v.forked = append(v.forked, v.published)
			return
		}
		for _, t := range v.tree.partials() {
			v.compareTile(t)
		}
	}
}

// end checks the last head, and the heads that the log does not reach.
func (v *verification) end(size int64) {
	signed := false
	if v.last == "" {
		v.report.find(FindingMissing, -1, "there are no entries")
	} else if h, err := ParseHead([]byte(v.last), v.verifier); err != nil {
		v.report.find(FindingHead, size-1, "the last head is not signed by the key of %s", v.verifier.Name())
	} else {
		v.report.Head, signed = h, true
	}
	if v.published.Size > size {
		v.report.find(FindingCut, size, "the log has %d entries, and its published head %d", size, v.published.Size)
	}
	for _, h := range v.kept {
		v.report.find(FindingCut, size, "the log has %d entries, and a kept head %d: it was cut off, or is an older copy", size, h.Size)
	}
	for _, h := range v.forked {
		kind, text := FindingEdited, "the first %d entries are not those of a head that is kept or published"
		if signed && !v.diverged {
			kind, text = FindingFork, "the log has signed two histories of %d entries: a head has other ones"
		}
		v.report.find(kind, h.Size-1, text, h.Size)
	}
	v.report.NotExcluded = v.notExcluded(size)
}

func (v *verification) notExcluded(size int64) []string {
	const (
		cut     = "that %s cut off, or that this is an older copy of the log: no head was kept from after them"
		rewrite = "that the holder of the log's key has written %s anew: no head was kept from before that"
	)
	from := func(known int64) string {
		if known == 0 {
			return "entries"
		}
		return fmt.Sprintf("entries from %d on", known)
	}
	var not []string
	if v.newest < size || v.newest == 0 {
		not = append(not, fmt.Sprintf(cut, from(v.newest)+" at the end were"))
	} else {
		not = append(not, "that entries after the last kept head, which had "+fmt.Sprint(v.newest)+" entries, were cut off")
	}
	// Whoever can write the log anew can't have its old entries cosigned again.
	if known := max(v.newest, v.witnessed); known < size || known == 0 {
		not = append(not, fmt.Sprintf(rewrite, from(known)))
	}
	return not
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
