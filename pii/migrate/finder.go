package migrate

import (
	"bytes"
	"context"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// A finder finds values in longer texts, by their canonical forms.
type finder struct {
	ref    *reference
	kinds  map[string]Kind
	sought map[[vault.IndexSize]byte]bool
}

// longestText is the length of the longest text of a value.
const longestText = 1024

// is reports whether text is a value that is sought.
func (f *finder) is(ctx context.Context, k Kind, text string) (bool, error) {
	if text == "" || len(text) > longestText || !k.valid(text) {
		return false, nil
	}
	canonical, err := f.ref.canonical(ctx, k, text)
	return err == nil && f.sought[canonical], err
}

// in reports whether a value that is sought stands in a cell.
func (f *finder) in(ctx context.Context, cell []byte) (bool, error) {
	if len(cell) == 0 || bytes.HasPrefix(cell, []byte("pii1.")) {
		return false, nil
	}
	for _, at := range []string{"%40", `\u0040`, "&#64;"} {
		if bytes.Contains(cell, []byte(at)) {
			cell = bytes.ReplaceAll(cell, []byte(at), []byte("@"))
		}
	}
	for name, k := range f.kinds {
		candidates := wholes
		switch name {
		case Email().name():
			candidates = addresses
		case Phone().name():
			candidates = numbers
		}
		var has bool
		var err error
		try := func(text string) bool {
			has, err = f.is(ctx, k, text)
			return !has && err == nil
		}
		if len(cell) <= longestText && !try(string(cell)) {
			return has, err
		}
		if candidates(cell, try); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// wholes has no candidates beside the whole cell.
func wholes([]byte, func(string) bool) {}

// addresses calls try for each part of a text that may be an address, until try returns
// false.
func addresses(cell []byte, try func(string) bool) {
	const longest = 320
	for at := 0; ; at++ {
		next := bytes.IndexByte(cell[at:], '@')
		if next < 0 {
			return
		}
		at += next
		from, to := at, at+1
		for from > 0 && at-from < longest && cell[from-1] > ' ' && cell[from-1] < 0x7f && strings.IndexByte("\"<>()[]{},;:\\|=&?/@`", cell[from-1]) < 0 {
			from--
		}
		ascii := 0 // the end of a domain of ASCII
		for to < len(cell) && to-at < longest && (cell[to] >= 0x80 || cell[to] == '-' || cell[to] == '.' || isAlnum(cell[to])) {
			if cell[to] >= 0x80 && ascii == 0 {
				ascii = to
			}
			to++
		}
		address := strings.TrimRight(string(cell[from:to]), ".-")
		if !try(address) || ascii > 0 && !try(strings.TrimRight(string(cell[from:ascii]), ".-")) {
			return
		}
		if i := strings.LastIndexByte(address, '\''); i >= 0 && !try(address[i+1:]) { // a quote, or O'Brien
			return
		}
		if from > 0 && cell[from-1] == '\\' && !try(address[1:]) { // as in \nalice@example.com
			return
		}
	}
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// numbers calls try for each part of a text that may be an international number, until
// try returns false.
func numbers(cell []byte, try func(string) bool) {
	const least, most = 7, 17 // digits, with 00 in front
	var spaced, run []byte    // the digits since a plus or other text, and since a separator
	ends := func(digits []byte) bool {
		if len(digits) < least || len(digits) > most {
			return true
		}
		number := string(digits)
		return try("+"+number) && (!strings.HasPrefix(number, "00") || try("+"+number[2:]))
	}
	gap := 0
	for i := 0; i <= len(cell); i++ {
		var c byte
		if i < len(cell) {
			c = cell[i]
		}
		if c >= '0' && c <= '9' {
			spaced, run, gap = append(spaced, c), append(run, c), 0
			continue
		}
		if len(run) < len(spaced) && !ends(run) { // otherwise spaced is tried
			return
		}
		whole := len(run) == len(spaced)
		separates := c != 0 && strings.IndexByte(" ()-./\u00a0", c) >= 0
		if gap++; !separates || gap > 3 {
			if !ends(spaced) {
				return
			}
			spaced = spaced[:0]
		} else if whole && !ends(run) {
			return
		}
		run = run[:0]
	}
}
