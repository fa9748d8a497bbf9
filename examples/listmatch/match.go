package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
)

// A match is one run over a list.
type match struct {
	*company
	errs           io.Writer
	users, entries int

	memory    sets
	malformed int
	found     []found
	races     []*race
}

// found has the number of users that one way found.
type found struct {
	by     string
	people int
}

// A race has the times of both ways to do one thing, a time for each page. They take turns, so
// other work of the machine slows down both, and the medians count.
type race struct {
	name         string
	ours, theirs []time.Duration // of an entry
}

// take times both ways over one page. Which is first changes with each page.
func (r *race) take(page []string, ours, theirs func() error) error {
	timed := func(f func() error, all *[]time.Duration) func() error {
		return func() error {
			start := time.Now()
			err := f()
			*all = append(*all, time.Since(start)/time.Duration(len(page)))
			return err
		}
	}
	first, second := timed(ours, &r.ours), timed(theirs, &r.theirs)
	if len(r.ours)%2 == 1 {
		first, second = second, first
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// lineEvery is the time between two lines of progress.
var lineEvery = 5 * time.Second

// progress returns a function that takes the number of entries that are done, and writes it
// now and then.
func (m *match) progress(doing string, of int) func(done int) {
	next := time.Now().Add(lineEvery)
	return func(done int) {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(lineEvery)
			fmt.Fprintf(m.errs, "%s: %d of %d\n", doing, done, of)
		}
	}
}

// store writes the users to the tables and keeps their indexes and hashes in memory.
func (m *match) store(ctx context.Context) error {
	m.memory.hashes = make(map[hash]struct{})
	show := m.progress("storing users", m.users)
	err := pages(m.users, userAddress, func(from int, page []string) error {
		show(from)
		return m.storePage(ctx, from, page)
	})
	if err != nil {
		return err
	}
	_, err = m.db.ExecContext(ctx, indexColumns)
	return err
}

func (m *match) storePage(ctx context.Context, from int, page []string) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	indexed, err := tx.PrepareContext(ctx, `INSERT INTO indexed (id, email) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	hashed, err := tx.PrepareContext(ctx, `INSERT INTO hashed (id, email) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	id := from
	for indexes, err := range batch.IndexesEmail(ctx, slices.Values(page), m.ads) {
		if err != nil {
			return err
		}
		if err := m.memory.ads.Add(indexes[0]); err != nil {
			return err
		}
		h, _ := hashOf(ctx, page[id-from])
		m.memory.hashes[h] = struct{}{}
		if _, err := indexed.ExecContext(ctx, id, indexes[0]); err != nil {
			return err
		}
		if _, err := hashed.ExecContext(ctx, id, h[:]); err != nil {
			return err
		}
		id++
	}
	for indexes, err := range batch.IndexesEmail(ctx, slices.Values(page), m.security) {
		if err != nil {
			return err
		}
		if err := m.memory.security.Add(indexes[0]); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// run matches the list in memory and in the database.
func (m *match) run(ctx context.Context) error {
	computing, memory, database := &race{name: "computing"}, &race{name: "computing, and a set in memory"}, &race{name: "computing, and IN (…) of SQLite"}
	m.races = []*race{computing, memory, database}
	m.found = []found{
		{by: "found in memory by blind index"}, {by: "found in memory by SHA-256"}, {by: "found in SQLite by blind index"}, {by: "found in SQLite by SHA-256"},
		{by: "found by the blind indexes of security"},
	}
	show := m.progress("matching", m.entries)
	return pages(m.entries, entry, func(from int, page []string) error {
		show(from)
		var indexes []pii.Index
		err := computing.take(page,
			func() (err error) { indexes, err = m.indexes(ctx, page); return err },
			func() error { _, err := hashesOf(ctx, page); return err })
		if err != nil {
			return err
		}
		for range m.memory.security.Match(slices.Values(indexes)) {
			m.found[4].people++
		}
		m.malformed += len(page) - len(indexes) // each other entry has one: the index key does not rotate here
		err = memory.take(page,
			func() error {
				indexes, err := m.indexes(ctx, page)
				for range m.memory.ads.Match(slices.Values(indexes)) {
					m.found[0].people++
				}
				return err
			},
			func() error {
				hashes, err := hashesOf(ctx, page)
				for _, h := range hashes {
					if _, ok := m.memory.hashes[h]; ok {
						m.found[1].people++
					}
				}
				return err
			})
		if err != nil {
			return err
		}
		return database.take(page,
			func() error {
				indexes, err := m.indexes(ctx, page)
				if err != nil {
					return err
				}
				return m.query(ctx, "indexed", pii.Args(indexes), &m.found[2].people)
			},
			func() error {
				hashes, err := hashesOf(ctx, page)
				if err != nil {
					return err
				}
				args := make([]any, len(hashes))
				for i := range hashes {
					args[i] = hashes[i][:]
				}
				return m.query(ctx, "hashed", args, &m.found[3].people)
			})
	})
}

// indexes returns the indexes of a page under advertising. Entries that are no addresses
// have none.
func (m *match) indexes(ctx context.Context, page []string) ([]pii.Index, error) {
	all := make([]pii.Index, 0, len(page))
	for indexes, err := range batch.IndexesEmail(ctx, slices.Values(page), m.ads) {
		if errors.Is(err, pii.ErrMalformed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, indexes...)
	}
	return all, nil
}

// hashesOf returns the hashes of a page, computed on all cores as indexes are.
func hashesOf(ctx context.Context, page []string) ([]hash, error) {
	all := make([]hash, 0, len(page))
	for h, err := range batch.Map(ctx, slices.Values(page), hashOf) {
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// query adds the number of users whose column has one of the arguments, 512 in a query.
func (m *match) query(ctx context.Context, table string, args []any, people *int) error {
	for chunk := range slices.Chunk(args, 512) {
		rows, err := m.db.QueryContext(ctx, `SELECT id FROM `+table+` WHERE email IN (?`+strings.Repeat(", ?", len(chunk)-1)+`)`, chunk...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			*people++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
	}
	return nil
}
