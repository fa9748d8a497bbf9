package tables

// A fixture is made up: test files are left out.
type fixture struct {
	Email string `db:"email"`
}
