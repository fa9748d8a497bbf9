package auditlog

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles have 2^8 hashes, as C2SP tlog-tiles has it.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// A tile is a file of a tiled log: the hashes of a tile, or a bundle of entries.
type tile struct {
	level int // bundleLevel for a bundle
	n     int64
	width int
	data  []byte
}

const bundleLevel = -1

// name returns the path of the tile in the layout of C2SP tlog-tiles.
func (t tile) name() string {
	// The layout has one height, which it leaves out, and calls bundles "entries".
	const prefix, data = len("tile/8/"), "data"
	path := tlog.Tile{H: tileHeight, L: t.level, N: t.n, W: t.width}.Path()[prefix:]
	if t.level == bundleLevel {
		path = "entries" + path[len(data):]
	}
	return "tile/" + path
}

// full returns the tile that t becomes when it has all its hashes.
func (t tile) full() tile { return tile{level: t.level, n: t.n, width: tileWidth} }

// An edge is the right edge of a Merkle tree as RFC 6962 has it: enough to append leaves
// and to compute the root, in memory that grows with the logarithm of the size.
type edge struct {
	size int64
	// peaks are the roots of the perfect subtrees, from the largest one: one for each bit
	// that is set in size.
	peaks []tlog.Hash
	// partial has the hashes of the last, partial tile of each level, and entries the
	// entries of the last, partial bundle.
	partial [][]byte
	entries []byte
	// filled, if not nil, is called with each tile that is full. It may keep the data.
	filled func(tile)
}

// entrySize is the size of an entry in a bundle: a length of two bytes, and the hash.
const entrySize = 2 + tlog.HashSize

// append appends a leaf, which is an entry of the log.
func (e *edge) append(leaf leafHash) { e.appendHashed(leaf, tlog.RecordHash(leaf[:])) }

// appendHashed is append for a leaf whose record hash is known.
func (e *edge) appendHashed(leaf leafHash, record tlog.Hash) {
	if e.entries == nil {
		e.entries = make([]byte, 0, tileWidth*entrySize)
	}
	e.entries = append(append(e.entries, 0, tlog.HashSize), leaf[:]...)
	e.size++
	if e.size%tileWidth == 0 {
		e.fill(bundleLevel, e.entries)
		e.entries = nil
	}
	e.addToTile(0, record)
	e.addPeak(record, e.addToTile)
}

// appendPeak appends a leaf to a tree whose tiles are not needed.
func (e *edge) appendPeak(record tlog.Hash) {
	e.size++
	e.addPeak(record, nil)
}

// addPeak adds the last of size leaves to the peaks. It calls inTile with each new root
// that belongs to a tile of a level above the first.
func (e *edge) addPeak(h tlog.Hash, inTile func(level int, h tlog.Hash)) {
	for height := 1; height <= bits.TrailingZeros64(uint64(e.size)); height++ {
		last := len(e.peaks) - 1
		h = tlog.NodeHash(e.peaks[last], h)
		e.peaks = e.peaks[:last]
		if height%tileHeight == 0 && inTile != nil {
			inTile(height/tileHeight, h)
		}
	}
	e.peaks = append(e.peaks, h)
}

func (e *edge) addToTile(level int, h tlog.Hash) {
	if level == len(e.partial) {
		e.partial = append(e.partial, nil)
	}
	data := e.partial[level]
	if data == nil {
		data = make([]byte, 0, tileWidth*tlog.HashSize)
	}
	data = append(data, h[:]...)
	if len(data) == tileWidth*tlog.HashSize {
		e.fill(level, data)
		data = nil
	}
	e.partial[level] = data
}

func (e *edge) fill(level int, data []byte) {
	if e.filled != nil {
		// The last hash of the tile is of the last leaf.
		e.filled(tile{level, (e.size - 1) >> (tileHeight * (max(level, 0) + 1)), tileWidth, data})
	}
}

// root returns the hash of the tree. It is the hash of nothing if the tree is empty.
func (e *edge) root() tlog.Hash {
	if len(e.peaks) == 0 {
		h, _ := tlog.TreeHash(0, nil)
		return h
	}
	h := e.peaks[len(e.peaks)-1]
	for i := len(e.peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.peaks[i], h)
	}
	return h
}

// partials returns copies of the partial tiles and of the partial bundle.
func (e *edge) partials() (tiles []tile) {
	add := func(level int, data []byte, size int) {
		if len(data) > 0 {
			n := e.size >> (tileHeight * (max(level, 0) + 1))
			tiles = append(tiles, tile{level, n, len(data) / size, append([]byte(nil), data...)})
		}
	}
	add(bundleLevel, e.entries, entrySize)
	for level, data := range e.partial {
		add(level, data, tlog.HashSize)
	}
	return tiles
}

// edgeOf returns the edge of a tree of the given size. read returns the content of a
// tile, or false. edgeOf fails if it gets a content of another size.
func edgeOf(size int64, read func(tile) ([]byte, bool)) (*edge, bool) {
	e := &edge{size: size}
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		data, ok := readPartial(level, size, tlog.HashSize, read)
		if !ok {
			return nil, false
		}
		e.partial = append(e.partial, data)
	}
	var ok bool
	if e.entries, ok = readPartial(bundleLevel, size, entrySize, read); !ok {
		return nil, false
	}
	for level := len(e.partial) - 1; level >= 0; level-- {
		e.peaks = append(e.peaks, peaksOf(e.partial[level])...)
	}
	return e, true
}

func readPartial(level int, size int64, unit int, read func(tile) ([]byte, bool)) ([]byte, bool) {
	above := max(level, 0)
	width := int(size >> (tileHeight * above) % tileWidth)
	if width == 0 {
		return nil, true
	}
	data, ok := read(tile{level: level, n: size >> (tileHeight * (above + 1)), width: width})
	return data, ok && len(data) == width*unit
}

// peaksOf returns the roots of the perfect subtrees over the hashes of a partial tile.
func peaksOf(data []byte) (peaks []tlog.Hash) {
	for height := tileHeight - 1; height >= 0; height-- {
		size := tlog.HashSize << height
		if len(data)&size != 0 {
			peaks = append(peaks, perfectRoot(data[:size]))
			data = data[size:]
		}
	}
	return peaks
}

func perfectRoot(data []byte) tlog.Hash {
	if len(data) == tlog.HashSize {
		return tlog.Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(perfectRoot(data[:half]), perfectRoot(data[half:]))
}
