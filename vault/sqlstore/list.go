package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// namesPerPage is the number of names that List reads at a time. Each page is a
// query of its own, which ends before List yields the first name of the page, so
// that the caller's loop may use the store even if the pool has one connection.
const namesPerPage = 1000

// namesOnFirstPage is the number of names on the first page. Many callers take a few names
// and leave: a vault that looks for purposes passes over the subjects of each.
const namesOnFirstPage = 40

// List yields, in ascending byte order, the names that begin with prefix and
// sort after the name after ("" for all). After a first page of 40 names it reads pages of 1000, each from
// the end of the last one (keyset pagination), so that every page of a large table
// costs the same. It leaves out rows with malformed names.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.checkOrder(ctx); err != nil {
			yield("", err)
			return
		}
		from, to := bounds(prefix, after)
		limit := namesOnFirstPage
		for last := ""; from < to; limit = namesPerPage {
			page, err := s.page(ctx, from, last, to, limit)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if name <= last { // or there would be no end
					yield("", s.misordered())
					return
				}
				last = name
				if validName(name) && !yield(name, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			from = last
		}
	}
}

// page returns the first names that are at least from, beyond last, and less
// than to, as many as limit.
func (s *Store) page(ctx context.Context, from, last, to string, limit int) ([]string, error) {
	query := fmt.Sprintf("SELECT name FROM %s WHERE name >= %s AND name > %s AND name < %s ORDER BY name LIMIT %d",
		s.table, s.dialect.param(1), s.dialect.param(2), s.dialect.param(3), limit)
	return s.names(ctx, query, from, last, to)
}

func (s *Store) names(ctx context.Context, query string, args ...any) ([]string, error) {
	var names []string
	err := s.withRetries(ctx, nil, func() error {
		names = nil
		rows, err := s.db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	return names, err
}

// sortedSample is sorted by bytes. A collation that ignores punctuation, sorts digits
// behind letters or compares digits as numbers has another order.
var sortedSample = []string{"a-b", "a/a", "a/b-c", "a/b/a", "a0", "a10", "a9", "aa", "aab", "b"}

// checkOrder checks, once, that the table's names sort by their bytes. The first part
// of the union has no rows, and gives its collation to the other parts.
func (s *Store) checkOrder(ctx context.Context) error {
	if s.inOrder.Load() {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT name FROM %s WHERE 1 = 0", s.table)
	for _, name := range sortedSample {
		b.WriteString(" UNION ALL SELECT '" + name + "'")
	}
	b.WriteString(" ORDER BY name")
	names, err := s.names(ctx, b.String())
	if err != nil {
		return err
	}
	if !slices.Equal(names, sortedSample) {
		return s.misordered()
	}
	s.inOrder.Store(true)
	return nil
}

func (s *Store) misordered() error {
	return fmt.Errorf("%s: refused, as names do not sort by their bytes: %w", s.name, vault.ErrNoKeys)
}

// bounds returns the range of the valid names with that prefix after that name:
// at least from and less than to. Both are ASCII without control characters for any
// arguments, because a database may refuse to compare other text with the column.
func bounds(prefix, after string) (from, to string) {
	if len(prefix) > maxName || inNames(prefix) != len(prefix) {
		return "", "" // no name begins so
	}
	from, to = prefix, "{" // the byte after z
	if prefix != "" {
		last := len(prefix) - 1
		to = prefix[:last] + string(prefix[last]+1)
	}
	if after >= prefix {
		from = above(after)
	}
	return from, to
}

// above returns a text that is greater than all valid names up to name, and not
// greater than the next valid name.
func above(name string) string {
	name = name[:min(len(name), maxName)]
	i := inNames(name)
	if i == len(name) {
		return name + "-" // the least byte of a name
	}
	switch c := name[i]; {
	case c < '-':
		return name[:i] + "-"
	case c > 'z':
		return name[:i] + "{"
	default:
		return name[:i+1] // no name has c there
	}
}
