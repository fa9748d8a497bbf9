// Package schema describes the table of users to ent.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"

	"github.com/onlyfor/onlyfor/pii"
)

// A User is a row of users.
type User struct{ ent.Schema }

var (
	text  = map[string]string{dialect.Postgres: "text", dialect.MySQL: "text", dialect.SQLite: "text"}
	bytes = map[string]string{dialect.Postgres: "bytea", dialect.MySQL: "varbinary(16)", dialect.SQLite: "blob"}
)

// Fields implements [ent.Interface]. Sealed values are of field.Other, without
// predicates like HasPrefix, which would find nothing. A nullable value is a pointer,
// because ent generates no Go for generic types such as sql.Null.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Other("email", pii.Email{}).SchemaType(text).Optional(),
		field.Other("email_index", pii.Index{}).SchemaType(bytes).Optional().Unique().StructTag(`json:"-"`),
		field.Other("phone", pii.Phone{}).SchemaType(text).Optional().Nillable(),
		field.Other("recovery", pii.Email{}).SchemaType(text).Optional().Nillable(),
	}
}

// Annotations implements [ent.Interface] with the checks of the database itself.
func (User) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"email_sealed":    "email LIKE 'pii1.email.%'",
		"phone_sealed":    "phone LIKE 'pii1.phone.%'",
		"recovery_sealed": "recovery LIKE 'pii1.email.%'",
	})}
}
