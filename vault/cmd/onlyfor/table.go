package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
)

// migration returns the migration of a table of the configuration.
func (at *site) migration(ctx context.Context, t config.Table) (*migrate.Migration, error) {
	db, err := at.database(t.Database)
	if err != nil {
		return nil, err
	}
	d, _ := at.Config.Database(t.Database)
	scopes := map[purpose.Purpose]*vault.Scope{}
	table := migrate.Table{Name: t.Name, Key: t.Key, Subject: t.Subject, Read: columnsRead(t)}
	for p := range t.Purposes().All() {
		scope, err := at.vault.Scope(ctx, p)
		if err != nil {
			return nil, err
		}
		scopes[p] = scope
		table.Scopes = append(table.Scopes, scope)
	}
	for _, c := range t.Columns {
		table.Columns = append(table.Columns, column(c, scopes))
	}
	return migrate.New(ctx, db, dialects[d.Kind].migrate, table)
}

// columnsRead returns the columns that the rules of a table read, each once.
func columnsRead(t config.Table) []string {
	read := map[string]bool{}
	for _, c := range t.Columns {
		read[c.RegionColumn] = true
		for _, rule := range c.Collected {
			read[rule.Collected] = true
			for column := range rule.When {
				read[column] = true
			}
		}
		for _, leave := range c.Leave {
			for column := range leave.When {
				read[column] = true
			}
		}
	}
	delete(read, "")
	return slices.Sorted(maps.Keys(read))
}

func column(c config.Column, scopes map[purpose.Purpose]*vault.Scope) migrate.Column {
	kind := migrate.Email()
	if c.Kind == "phone" {
		kind = migrate.Phone()
	}
	m := migrate.Column{Kind: kind, Plain: c.Plain, Sealed: c.Sealed, Indexes: config.ByPurpose(c.Indexes)}
	m.CollectedFor = func(r migrate.Row) []*vault.Scope {
		for _, rule := range c.Collected {
			if fits(rule.When, r) {
				return collected(rule, r, scopes)
			}
		}
		return nil
	}
	if len(c.Leave) > 0 {
		m.Leave = func(r migrate.Row, p migrate.Problem) string {
			for _, leave := range c.Leave {
				if (leave.Problem == "" || leave.Problem == string(p)) && fits(leave.When, r) {
					return leave.Reason
				}
			}
			return ""
		}
	}
	if c.Plain == "" {
		return m
	}
	switch c.Read {
	case "plus":
		m.Plaintext = func(_ migrate.Row, raw []byte) (string, error) {
			if len(raw) == 0 {
				return "", nil
			}
			return "+" + strings.TrimPrefix(string(raw), "+"), nil
		}
	case "phonenumber":
		m.Plaintext = func(r migrate.Row, raw []byte) (string, error) {
			if len(raw) == 0 {
				return "", nil
			}
			region := c.Region
			if c.RegionColumn != "" {
				region = r.Text(c.RegionColumn)
			}
			return phonenumber.Parse(string(raw), region)
		}
	case "json":
		m.Plaintext, m.Rest = document(c.Field)
	}
	return m
}

// fits reports whether all columns have the content that a rule asks for.
func fits(when map[string]string, r migrate.Row) bool {
	for column, content := range when {
		if r.Text(column) != content {
			return false
		}
	}
	return true
}

// collected returns the scopes of a rule, under its basis.
func collected(rule config.Rule, r migrate.Row, scopes map[purpose.Purpose]*vault.Scope) []*vault.Scope {
	basis := purpose.Basis{Legal: rule.Legal, Notice: rule.Notice, Consent: rule.Consent, Retain: time.Duration(rule.RetainDays) * 24 * time.Hour}
	if rule.Collected != "" {
		var ok bool
		if basis.Collected, ok = r.Time(rule.Collected); !ok && r.Text(rule.Collected) != "" {
			basis.Collected = noTime
		}
	}
	var under []*vault.Scope
	for _, p := range rule.For {
		under = append(under, scopes[p].Under(basis))
	}
	return under
}

// noTime stands for the content of a column that is no time. A basis with it is invalid, so
// the row is reported: without a time, the value would say that it was collected today.
var noTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// document returns the functions for one field of a JSON document. The name of the field is
// as it is written, in upper and lower case.
func document(field string) (plaintext func(migrate.Row, []byte) (string, error), rest func(migrate.Row, []byte) ([]byte, error)) {
	plaintext = func(_ migrate.Row, raw []byte) (string, error) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return "", errDocument
		}
		var text string
		if content, ok := fields[field]; ok {
			if err := json.Unmarshal(content, &text); err != nil {
				return "", errDocument
			}
		}
		return text, nil
	}
	rest = func(_ migrate.Row, raw []byte) ([]byte, error) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, errDocument
		}
		delete(fields, field)
		return json.Marshal(fields)
	}
	return plaintext, rest
}

var errDocument = errors.New("not a document with that field")
