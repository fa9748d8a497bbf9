package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A FolderReport is the result of [Server.CosignFolder] for one log.
type FolderReport struct {
	// Origin is the name of the log.
	Origin string
	// Head is the newest head that the witness has cosigned, with its cosignature. It is
	// the zero Head if there is none.
	Head auditlog.Head
	// New says that this call cosigned Head.
	New bool
	// Refused are the paths of heads that the log signed and that are no continuation of
	// the others. Beside the others they prove that the log signs two histories.
	Refused []string
	// Err is nil, or the reason why the newest head in the directory is not cosigned:
	// [ErrInconsistent] for a directory that does not continue the heads that the witness
	// cosigned, or an error of the file system.
	Err error
}

// CosignFolder cosigns the newest head of each log in the directory of a [Folder], or in a
// copy of it. The proofs that the head continues the last head that the witness cosigned
// are in the directory. For a log that is new to the witness the oldest head in the
// directory is the first. The reports are in the order of the origins. CosignFolder fails
// with [ErrArgument] for a nil directory, and with [fs.ErrClosed] after [Server.Close].
func (s *Server) CosignFolder(fsys fs.FS) ([]FolderReport, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	switch {
	case fsys == nil:
		return nil, fmt.Errorf("witness: no directory: %w", ErrArgument)
	case closed:
		return nil, fmt.Errorf("witness: %w", fs.ErrClosed)
	}
	var reports []FolderReport
	for _, origin := range slices.Sorted(maps.Keys(s.logs)) {
		reports = append(reports, s.replay(fsys, origin, s.logs[origin]))
	}
	return reports, nil
}

// replay cosigns the newest head of one log.
func (s *Server) replay(fsys fs.FS, origin string, log *witnessed) FolderReport {
	log.mu.Lock()
	defer log.mu.Unlock()
	r := FolderReport{Origin: origin}
	last, err := s.lastOf(log, origin)
	if err == nil {
		var newest checkpoint
		if newest, r.Refused, err = follow(fsys, last, log); err == nil && newest.size > last.size {
			_, err = s.cosign(log, newest)
			r.New = err == nil
		}
	}
	if signed := log.last.signed; signed != "" && !log.unknown {
		r.Head, _ = parseSigned(signed, log)
	}
	if err != nil {
		r.Err = fmt.Errorf("witness: log %q: %w", origin, err)
	}
	return r
}

// parseSigned returns a head of a log with its cosignatures.
func parseSigned(signed string, log *witnessed) (h auditlog.Head, err error) {
	for _, key := range log.keys {
		if h, err = auditlog.ParseHead([]byte(signed), key); err == nil {
			break
		}
	}
	return h, err
}

// A folderFile is a file of a [Folder].
type folderFile struct {
	path string
	size int64
}

// A folderList has the files of one log that are not older than a size, by size.
type folderList struct {
	heads, requests []folderFile
	refused         []string
}

func listFolder(fsys fs.FS, origin string, from int64) (l folderList, err error) {
	dir := hashOf(origin)
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	for _, e := range entries { // fs.ReadDir sorts by name, which is by size
		base, fork := strings.CutSuffix(e.Name(), refused)
		base, asks := strings.CutSuffix(base, requested)
		size, ok := parseFile(base)
		file := folderFile{path.Join(dir, e.Name()), size}
		switch {
		case !ok || !e.Type().IsRegular() || fork && asks:
		case fork:
			l.refused = append(l.refused, file.path)
		case size < from && !asks:
			// The newest head may be an old one.
			l.heads = []folderFile{file}
		case size < from:
		case asks:
			l.requests = append(l.requests, file)
		default:
			l.heads = append(l.heads, file)
		}
	}
	return l, err
}

// follow returns the newest head in the directory, which continues the head last.
func follow(fsys fs.FS, last checkpoint, log *witnessed) (newest checkpoint, refused []string, err error) {
	list, err := listFolder(fsys, last.origin, last.size)
	if err != nil {
		return last, nil, err
	}
	if refused, err = ownHeads(fsys, list.refused, last.origin, log); err != nil {
		return last, nil, err
	}
	heads, err := readFiles(fsys, list.heads, last.origin, log)
	switch {
	case err != nil:
		return last, refused, err
	case len(heads) == 0 && last.size > 0:
		return last, refused, fmt.Errorf("the directory has no head, and the witness has cosigned %d entries: %w", last.size, ErrInconsistent)
	case len(heads) == 0:
		return last, refused, nil
	case last.size == 0:
		last = heads[0]
	}
	before := last
	for _, h := range heads {
		if h.size == before.size && h.hash != before.hash {
			return last, refused, fmt.Errorf("the directory has another head of %d entries: %w", h.size, ErrInconsistent)
		}
		before = h
	}
	proven, err := climb(fsys, list.requests, last, log)
	if err != nil {
		return last, refused, err
	}
	newest = heads[len(heads)-1]
	if c, ok := proven[newest.size]; !ok || c.hash != newest.hash {
		return last, refused, fmt.Errorf("the directory does not prove that its head of %d entries continues the head of %d: %w", newest.size, last.size, ErrInconsistent)
	}
	return newest, refused, nil
}

// climb returns the heads that the requests prove to continue the head from, by size.
func climb(fsys fs.FS, requests []folderFile, from checkpoint, log *witnessed) (map[int64]checkpoint, error) {
	proven := map[int64]checkpoint{from.size: from}
	for _, file := range requests {
		b, err := readFile(fsys, file.path, maxRequest)
		if err != nil {
			return nil, err
		}
		r, ok := parseRequest(string(b))
		if !ok || len(b) > maxRequest {
			continue
		}
		old, known := proven[r.old]
		c, ok := openCheckpoint(r.signed, log.keys)
		if known && ok && c.origin == from.origin && c.size == file.size && c.size > old.size && consistent(old.tree(), c.tree(), r.proof) {
			proven[c.size] = c
		}
	}
	return proven, nil
}

// readFiles returns the heads of the log in files. It passes over files that a crash left
// incomplete.
func readFiles(fsys fs.FS, files []folderFile, origin string, log *witnessed) (heads []checkpoint, err error) {
	for _, file := range files {
		b, err := readFile(fsys, file.path, maxCheckpoint)
		if err != nil {
			return nil, err
		}
		if c, ok := openCheckpoint(string(b), log.keys); ok && c.origin == origin && c.size == file.size && len(b) <= maxCheckpoint {
			heads = append(heads, c)
		}
	}
	return heads, nil
}

// ownHeads returns the paths of the files that have a head which the log signed.
func ownHeads(fsys fs.FS, paths []string, origin string, log *witnessed) (own []string, err error) {
	for _, name := range paths {
		b, err := readFile(fsys, name, maxCheckpoint)
		if err != nil {
			return nil, err
		}
		if c, ok := openCheckpoint(string(b), log.keys); ok && c.origin == origin {
			own = append(own, name)
		}
	}
	return own, nil
}
