package main

import (
	"context"
	"strconv"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/ent/ent"
	"github.com/onlyfor/onlyfor/examples/databases/ent/ent/user"
)

// save seals the address for the person who has it, or else for a new user with the id
// made. It returns the id of the row.
//
// An upsert would not do: ON CONFLICT (email_index) keeps the row's own id, and a value
// that was sealed for the id made opens for that id alone. So save looks for the row
// first. Each of its statements leaves the table consistent, and it needs no transaction.
// In a transaction of REPEATABLE READ, the default of MySQL, the second look-up would have
// to be FOR UPDATE: it must see a row that another process inserted meanwhile.
func save(ctx context.Context, client *ent.Client, security *vault.Scope, made int64, address string) (int64, error) {
	wanted, err := pii.IndexesEmail(ctx, address, security)
	if err != nil {
		return 0, err
	}
	find := client.User.Query().Where(user.EmailIndexIn(wanted...))
	id, err := find.Clone().FirstID(ctx)
	if ent.IsNotFound(err) {
		email, index, err := pii.SealEmailIndexed(ctx, address, own(security, made))
		if err != nil {
			return 0, err
		}
		err = client.User.Create().SetID(made).SetEmail(email).SetEmailIndex(index).
			OnConflictColumns(user.FieldEmailIndex).Ignore().Exec(ctx)
		if err != nil {
			return 0, err
		}
		id, err = find.Clone().FirstID(ctx)
		if err != nil || id == made {
			return id, err
		}
	} else if err != nil {
		return 0, err
	}
	email, index, err := pii.SealEmailIndexed(ctx, address, own(security, id))
	if err != nil {
		return 0, err
	}
	return id, client.User.UpdateOneID(id).SetEmail(email).SetEmailIndex(index).Exec(ctx)
}

// own returns the scope of the user of the id.
func own(security *vault.Scope, id int64) *vault.Scope {
	return security.For(strconv.FormatInt(id, 10))
}
