package auditlog

import (
	"bytes"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// compareBundle compares an entry with the bundle that it is in, which tells where exactly
// a body was edited.
func (v *verification) compareBundle(index int64, leaf leafHash) {
	if index >= v.published.Size || v.shifted {
		return
	}
	if at := index % tileWidth; at == 0 || v.bundle == nil {
		v.bundle = v.readTile(v.tileAt(bundleLevel, index))
		if v.bundle == nil {
			v.bundle = []byte{}
		}
	}
	at := int(index%tileWidth) * entrySize
	if at+entrySize <= len(v.bundle) && !bytes.Equal(v.bundle[at+2:at+entrySize], leaf[:]) {
		v.report.find(FindingEdited, index, "the body is not the one that the tree has")
	}
}

// tileAt returns the tile of the published tree that has the entry.
func (v *verification) tileAt(level int, index int64) tile {
	n := index >> tileHeight
	return tile{level: level, n: n, width: int(min(tileWidth, v.published.Size-n<<tileHeight))}
}

// readTile returns the content of a tile, or nil. A partial tile may have become full.
func (v *verification) readTile(t tile) []byte {
	b, _ := v.readFile(t.name())
	if b == nil && t.width < tileWidth {
		b, _ = v.readFile(t.full().name())
		b = b[:len(b)/tileWidth*t.width]
	}
	return b
}

// compareTile compares a tile of the tree with its file.
func (v *verification) compareTile(t tile) {
	end := (t.n<<tileHeight + int64(t.width)) << (tileHeight * max(t.level, 0))
	if v.diverged || end > v.published.Size {
		return // a file may not be written yet
	}
	switch b := v.readTile(t); {
	case len(b) == 0:
		v.report.find(FindingMissing, -1, "%s", t.name())
	case !bytes.Equal(b, t.data):
		v.report.find(FindingTile, -1, "%s is not of the tree", t.name())
	}
}

// rootOf returns the hash of the first size entries, from tiles that are checked against
// the published head.
func (v *verification) rootOf(size int64) (tlog.Hash, bool) {
	if size > v.published.Size {
		return tlog.Hash{}, false
	}
	read := func(t tile) ([]byte, bool) {
		b := v.readTile(t)
		return b, len(b) > 0
	}
	h, err := tlog.TreeHash(size, hashesOf(v.published, read))
	return h, err == nil
}

var tilePath = regexp.MustCompile(`^tile/(entries|[0-9]|[1-5][0-9]|6[0-3])(/x[0-9]{3})*/[0-9]{3}(\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$`)

// foreign reports files that are not the log's.
func (v *verification) foreign() error {
	return fs.WalkDir(v.fsys, ".", func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the log removed it meanwhile
		}
		if err != nil {
			return err
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
		switch dir := e.IsDir(); {
		case path == bodies && dir: // see segments
			return fs.SkipDir
		case dir && (path == "." || path == "tile" || strings.HasPrefix(path, "tile/")):
			return nil
		case e.Type().IsRegular() && (e.Name() == ".lock" || e.Name() == ".tmp"):
			return nil
		case e.Type().IsRegular() && (path == checkpoint || tilePath.MatchString(path)):
			return nil
		case dir:
			v.report.find(FindingForeign, -1, "%q", path)
			return fs.SkipDir
		}
		v.report.find(FindingForeign, -1, "%q", path)
		return nil
	})
}
