package main

import (
	"context"
	"log"
	"strings"
	"testing"

	"github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

// With ParameterizedQueries, GORM logs statements without their arguments.
func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		gorm := open(t, db, gorm.Config{}, logger.Config{LogLevel: logger.Info, ParameterizedQueries: true})
		scenario.Run(t, db, users{gorm}, scenario.Known{Logs: scenario.Statements})
		require.NotContains(t, db.Log.String(), "pii1.email.security")
	})
}

// Without, it writes them into the statement.
func TestScenarioWithArgumentsInTheLog(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		gorm := open(t, db, gorm.Config{PrepareStmt: true}, logger.Config{LogLevel: logger.Info})
		scenario.Run(t, db, users{gorm}, scenario.Known{Logs: scenario.Indexes})
		require.Contains(t, db.Log.String(), "pii1.email.security")
	})
}

// open makes the table as AutoMigrate does, and logs every statement.
func open(t *testing.T, db *testdb.DB, config gorm.Config, logs logger.Config) *gorm.DB {
	t.Helper()
	dialector := map[testdb.Dialect]gorm.Dialector{
		testdb.SQLite:   &sqlite.Dialector{Conn: db.DB},
		testdb.Postgres: postgres.New(postgres.Config{Conn: db.DB}),
		testdb.MySQL:    mysql.New(mysql.Config{Conn: db.DB}),
	}[db.Dialect]
	config.Logger = logger.New(log.New(db.Log, "", 0), logs)
	opened, err := gorm.Open(dialector, &config)
	require.NoError(t, err)
	require.NoError(t, opened.AutoMigrate(&User{}))
	return opened
}

type users struct{ db *gorm.DB }

func (s users) Insert(ctx context.Context, u scenario.User) error {
	user := User(u)
	return s.db.WithContext(ctx).Create(&user).Error
}

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	users := make([]User, len(all))
	for i, u := range all {
		users[i] = User(u)
	}
	return s.db.WithContext(ctx).CreateInBatches(users, 20).Error
}

// Update writes zero values too, as Save does, and inserts nothing.
func (s users) Update(ctx context.Context, u scenario.User) error {
	user := User(u)
	return s.db.WithContext(ctx).Model(&user).Select("*").Updates(&user).Error
}

func (s users) find(ctx context.Context, condition string, arg any) ([]scenario.User, error) {
	var found []User
	err := s.db.WithContext(ctx).Where(condition, arg).Find(&found).Error
	all := make([]scenario.User, len(found))
	for i, u := range found {
		all[i] = scenario.User(u)
	}
	return all, err
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	var u User
	err := s.db.WithContext(ctx).First(&u, id).Error
	return scenario.User(u), err
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = ?", x)
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index IN ?", indexes)
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, "email = ?", e)
}

func (s users) Row(ctx context.Context, id int64) (any, error) {
	var u User
	err := s.db.WithContext(ctx).First(&u, id).Error
	return u, err
}
