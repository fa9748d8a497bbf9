package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
)

// The roads of a dump search the whole database, byte by byte, for anything that
// identifies a person on the list.

// searchOwnColumns looks for the list's indexes in the columns where they are, for
// the people who consented. It shows that the search would find them in other columns
// too.
func (t *adTeam) searchOwnColumns(ctx context.Context, r *road) error {
	r.WantConsented = true
	indexes, err := t.listIndexes(ctx)
	if err != nil {
		return err
	}
	return t.search(ctx, r, indexes, `SELECT email_advertising, phone_advertising FROM users`)
}

// searchIndexes looks for the list's indexes in all other columns.
func (t *adTeam) searchIndexes(ctx context.Context, r *road) error {
	indexes, err := t.listIndexes(ctx)
	if err != nil {
		return err
	}
	return t.search(ctx, r, indexes, `SELECT email, phone, email_security, phone_security FROM users`)
}

// searchHashes looks for the unkeyed hashes of the list, which ad platforms match.
func (t *adTeam) searchHashes(ctx context.Context, r *road) error {
	return t.search(ctx, r, &t.hashes,
		`SELECT email, phone, email_security, phone_security, email_advertising, phone_advertising FROM users`)
}

// listIndexes returns the indexes that indexList has stored.
func (t *adTeam) listIndexes(ctx context.Context) (*tokens, error) {
	rows, err := t.conn.QueryContext(ctx, `
		SELECT email FROM temp.list WHERE email IS NOT NULL UNION ALL
		SELECT phone FROM temp.list WHERE phone IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found tokens
	for rows.Next() {
		var index sql.RawBytes
		if err := rows.Scan(&index); err != nil {
			return nil, err
		}
		found.add(index)
	}
	return &found, rows.Err()
}

// search counts the people who have one of the tokens anywhere in the selected
// columns.
func (t *adTeam) search(ctx context.Context, r *road, wanted *tokens, query string) error {
	wanted.prepare()
	r.Asked = int64(len(wanted.sorted))
	rows, err := t.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	columns, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range columns {
		into[i] = &columns[i]
	}
	var buf []byte
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for _, column := range columns {
			buf = unsealed(buf[:0], column)
			if wanted.in(column) || wanted.in(buf) {
				r.Matched++
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// unsealed appends the bytes of the last field of a sealed text, which is base64. It
// appends nothing for other columns.
func unsealed(dst, column []byte) []byte {
	body := column[bytes.LastIndexByte(column, '.')+1:]
	out, err := base64.RawURLEncoding.AppendDecode(dst, body)
	if err != nil {
		return dst
	}
	return out
}
