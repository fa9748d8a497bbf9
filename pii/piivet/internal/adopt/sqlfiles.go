package adopt

import (
	"io/fs"
	"path"
	"strings"
)

// ReadSQL reads the .sql files of a module, such as migrations and queries. It returns
// the columns that the database computes, and the lookups by indexes and conditions.
// Positions are paths in fsys. Nested modules, vendored code and test data are left out,
// and so is a file that can't be read.
func ReadSQL(fsys fs.FS) (items []Item) {
	_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			base := path.Base(name)
			_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
			if name != "." && (err == nil || base == "vendor" || base == "node_modules" || base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(name, ".sql") || info.Size() > maxQuery {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil
		}
		items = append(items, Tables(string(text), name)...)
		for query := range strings.SplitSeq(string(text), ";") {
			for _, c := range Comparisons(query) {
				items = append(items, Item{Lookup: &Lookup{Tables: c.Tables, Column: c.Column, At: name}})
			}
		}
		return nil
	})
	return items
}

// Tables returns the items of the statements in a text. The position of each is at.
func Tables(text, at string) (items []Item) {
	computed, indexed := Schema(text)
	for _, g := range computed {
		g.At = at
		items = append(items, Item{Generated: &g})
	}
	for _, l := range indexed {
		l.At = at
		items = append(items, Item{Lookup: &l})
	}
	return items
}
