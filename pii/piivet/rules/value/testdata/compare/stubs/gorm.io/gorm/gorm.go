package gorm

type DB struct{ Error error }

func (db *DB) Where(query any, args ...any) *DB { return db }
func (db *DB) Not(query any, args ...any) *DB   { return db }
func (db *DB) First(dest any, conds ...any) *DB { return db }
func (db *DB) Find(dest any, conds ...any) *DB  { return db }
func (db *DB) Create(value any) *DB             { return db }
func (db *DB) Updates(values any) *DB           { return db }
