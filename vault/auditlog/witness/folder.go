package witness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A Folder is a witness without a program: a directory that somebody else owns, where the
// heads of logs are added as files. It is an [auditlog.Witness] that signs nothing. The
// owner lets the log add files and neither change nor remove them: by an object lock of a
// bucket that is mounted, by snapshots, or by an append-only flag. A Folder never replaces a
// file.
//
// The heads of a log are in <hash of origin>/<size>.<n>: the SHA-256 of the origin in
// hexadecimal digits, the number of entries in 19 digits, and n, which is 0 or, when a
// crash left a file incomplete, the next number. The name of a head that does not continue
// the others ends with ".refused". Beside each head is a file whose name ends with
// ".request". It has the request of C2SP tlog-witness that asks for a cosignature, with the
// proof that the head continues the head before it: [Server.CosignFolder] reads these.
type Folder struct {
	root     *os.Root
	verifier note.Verifier

	mu   sync.Mutex
	last auditlog.Head // zero if it is not read yet, or if there is none
	read bool
}

var _ auditlog.Witness = (*Folder)(nil)

// NewFolder returns a witness in the directory dir, which must exist, for the log with
// the given public key. A log has a Folder of its own; many logs may have one directory.
// [Folder.Close] frees it.
func NewFolder(dir string, log note.Verifier) (*Folder, error) {
	if dir == "" || log == nil {
		return nil, fmt.Errorf("witness: no directory or no log: %w", ErrArgument)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return &Folder{root: root, verifier: log}, nil
}

// Close frees the directory.
func (f *Folder) Close() error { return f.root.Close() }

// Cosign adds the head to the directory, durably, and returns no cosignature. It fails with
// [ErrInconsistent] if the head does not continue the newest head in the directory. It
// adds such a head as a refused one, unless it is of fewer entries: the two heads prove
// that the log signs two histories. No context ends a call of a file system that hangs; a
// log leaves such a call behind.
func (f *Folder) Cosign(ctx context.Context, head auditlog.Head, prove func(old int64) (tlog.TreeProof, error)) ([]byte, error) {
	err := ctx.Err()
	if err == nil {
		err = f.add(head, prove)
	}
	if err != nil {
		return nil, fmt.Errorf("witness: directory %s: %w", f.root.Name(), err)
	}
	return nil, nil
}

func (f *Folder) add(head auditlog.Head, prove func(old int64) (tlog.TreeProof, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	signed, err := head.MarshalText()
	if err != nil {
		return err
	}
	// A head has the cosignatures of other witnesses or not.
	if head, err = auditlog.ParseHead(signed, f.verifier); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	last := f.last
	r := request{old: last.Size, signed: string(signed)}
	switch {
	case last.Size == head.Size && last.Hash == head.Hash && last.Size > 0:
		return nil
	case last.Size > head.Size:
		return fmt.Errorf("it has a head of %d entries, and the log has %d: %w", last.Size, head.Size, ErrInconsistent)
	case last.Size == head.Size && last.Size > 0:
		return errors.Join(fmt.Errorf("it has another head of %d entries: %w", last.Size, ErrInconsistent), f.write(head, signed, refused))
	case last.Size > 0:
		if r.proof, err = prove(last.Size); err != nil {
			return fmt.Errorf("proving: %w", err)
		}
		if tlog.CheckTree(r.proof, head.Size, head.Hash, last.Size, last.Hash) != nil {
			return errors.Join(fmt.Errorf("it has a head of %d entries that the log does not continue: %w", last.Size, ErrInconsistent), f.write(head, signed, refused))
		}
	}
	// The request comes first, so that no head is there without one.
	if err := f.write(head, []byte(r.String()), requested); err != nil {
		return err
	}
	if err := f.write(head, signed, ""); err != nil {
		return err
	}
	f.last = head
	return nil
}

// Keep adds a head as it is, with its cosignatures, durably. It is for heads that a witness
// has compared, such as those of [Server.CosignFolder]: Keep compares it with no other head.
func (f *Folder) Keep(head auditlog.Head) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	signed, err := head.MarshalText()
	if err == nil {
		head, err = auditlog.ParseHead(signed, f.verifier)
	}
	if err == nil {
		f.read, err = false, f.write(head, signed, "")
	}
	if err != nil {
		return fmt.Errorf("witness: directory %s: %w", f.root.Name(), err)
	}
	return nil
}

// open reads the newest head of the log.
func (f *Folder) open() error {
	if f.read {
		return nil
	}
	heads, _, _, err := readHeads(f.root.FS(), f.verifier)
	if err != nil {
		return err
	}
	if len(heads) > 0 {
		f.last = heads[len(heads)-1]
	}
	f.read = true
	return nil
}

// maxTries bounds the files of one size, which crashes left incomplete.
const maxTries = 100

const (
	// refused is the end of the name of a head that does not continue the others.
	refused = ".refused"
	// requested is the end of the name of a request for a cosignature.
	requested = ".request"
)

// write adds a file. It leaves a file of that name as it is.
func (f *Folder) write(head auditlog.Head, content []byte, suffix string) error {
	dir := hashOf(head.Origin)
	if err := f.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for n := range maxTries {
		name := path.Join(dir, fileOf(head.Size, n)+suffix)
		file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			if same, err := f.has(name, head, content); same || err != nil {
				return errors.Join(err, f.sync(dir))
			}
			continue
		}
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		if err == nil {
			err = file.Sync()
		}
		// A file system over a network tells at the end whether it has the content.
		return errors.Join(err, file.Close(), f.sync(dir))
	}
	return fmt.Errorf("%d files of one head: %w", maxTries, ErrAltered)
}

// has reports whether a file has the content, or the head with other cosignatures, and
// makes it durable if so.
func (f *Folder) has(name string, head auditlog.Head, content []byte) (bool, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, int64(maxRequest)+1))
	if err != nil {
		return false, err
	}
	if bytes.Equal(b, content) {
		return true, file.Sync()
	}
	if h, err := auditlog.ParseHead(b, f.verifier); err != nil || h.Size != head.Size || h.Hash != head.Hash {
		return false, nil
	}
	return true, file.Sync()
}

// sync makes names durable. Some file systems can't.
func (f *Folder) sync(dir string) error {
	for _, name := range []string{dir, "."} {
		d, err := f.root.Open(name)
		if err != nil {
			return err
		}
		err = d.Sync()
		d.Close()
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !isUnsupported(err) {
			return err
		}
	}
	return nil
}

func fileOf(size int64, n int) string { return fmt.Sprintf("%019d.%d", size, n) }

// parseFile is the inverse of fileOf.
func parseFile(base string) (size int64, ok bool) {
	digits, last, ok := strings.Cut(base, ".")
	if !ok {
		return 0, false
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	n, err2 := strconv.Atoi(last)
	return size, err == nil && err2 == nil && size > 0 && n >= 0 && fileOf(size, n) == base
}

// ReadHeads reads the heads of one log from the directory of a [Folder], or a copy of it,
// by size. Give them to [auditlog.Verify] as kept heads. other are the paths of files that
// are no heads of the log: a crash can leave one incomplete, and everything else was not
// put there by a Folder. A directory without the log has no heads, which is no error.
func ReadHeads(fsys fs.FS, log note.Verifier) (heads []auditlog.Head, other []string, err error) {
	if fsys == nil || log == nil {
		return nil, nil, fmt.Errorf("witness: no directory or no log: %w", ErrArgument)
	}
	heads, forks, other, err := readHeads(fsys, log)
	if err != nil {
		return nil, nil, fmt.Errorf("witness: reading heads of %s: %w", log.Name(), err)
	}
	heads = append(heads, forks...)
	slices.SortStableFunc(heads, bySize)
	return heads, other, nil
}

func bySize(a, b auditlog.Head) int { return cmp.Compare(a.Size, b.Size) }

// readHeads returns the heads by size, the refused heads, and the other files.
func readHeads(fsys fs.FS, log note.Verifier) (heads, forks []auditlog.Head, other []string, err error) {
	dir := hashOf(log.Name())
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if isRequest(e) {
			continue
		}
		base, fork := strings.CutSuffix(e.Name(), refused)
		size, ok := parseFile(base)
		if !ok || !e.Type().IsRegular() {
			other = append(other, name)
			continue
		}
		b, err := readFile(fsys, name, maxCheckpoint)
		if err != nil {
			return nil, nil, nil, err
		}
		h, err := auditlog.ParseHead(b, log)
		if err != nil || h.Size != size {
			other = append(other, name)
			continue
		}
		if fork {
			forks = append(forks, h)
		} else {
			heads = append(heads, h)
		}
	}
	slices.SortStableFunc(heads, bySize)
	return heads, forks, other, nil
}

// isRequest reports whether a file has the name of a request.
func isRequest(e fs.DirEntry) bool {
	base, ok := strings.CutSuffix(e.Name(), requested)
	_, valid := parseFile(base)
	return ok && valid && e.Type().IsRegular()
}

func readFile(fsys fs.FS, name string, most int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}
