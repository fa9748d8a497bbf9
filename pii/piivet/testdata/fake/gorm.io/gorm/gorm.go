// Package gorm is the little of gorm.io/gorm that the tests use.
package gorm

type (
	DB    struct{}
	Model struct{ ID uint }
)

func (db *DB) Create(value any) *DB               { return db }
func (db *DB) Find(dest any, conds ...any) *DB    { return db }
func (db *DB) Where(query any, args ...any) *DB   { return db }
func (db *DB) Exec(sql string, values ...any) *DB { return db }
