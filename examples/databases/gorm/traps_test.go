package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

var security = purpose.MustParse("security")

var talkative = logger.Config{LogLevel: logger.Info}

// three returns a database with a person who has an index and two who have none.
func three(t *testing.T, db *testdb.DB) (*gorm.DB, pii.Index) {
	t.Helper()
	kit := piitest.New(t, security)
	email := kit.Email(kit.Scope(security))
	index, err := email.Index(t.Context(), kit.Scope(security))
	require.NoError(t, err)
	opened := open(t, db, gorm.Config{}, talkative)
	require.NoError(t, opened.Create([]User{{ID: 1, Email: email, EmailIndex: index}, {ID: 2}, {ID: 3}}).Error)
	return opened, index
}

// conditions are the ways to say which users are meant.
func conditions(x pii.Index) map[string]func(*gorm.DB) *gorm.DB {
	return map[string]func(*gorm.DB) *gorm.DB{
		"text":             func(db *gorm.DB) *gorm.DB { return db.Where("email_index = ?", x) },
		"text, IN":         func(db *gorm.DB) *gorm.DB { return db.Where("email_index IN ?", []pii.Index{x}) },
		"named":            func(db *gorm.DB) *gorm.DB { return db.Where("email_index = @x", map[string]any{"x": x}) },
		"struct":           func(db *gorm.DB) *gorm.DB { return db.Where(&User{EmailIndex: x}) },
		"struct and field": func(db *gorm.DB) *gorm.DB { return db.Where(&User{EmailIndex: x}, "EmailIndex") },
		"map":              func(db *gorm.DB) *gorm.DB { return db.Where(map[string]any{"email_index": x}) },
		"map of pointer":   func(db *gorm.DB) *gorm.DB { return db.Where(map[string]any{"email_index": &x}) },
		"map, IN":          func(db *gorm.DB) *gorm.DB { return db.Where(map[string]any{"email_index": []pii.Index{x}}) },
		"clause":           func(db *gorm.DB) *gorm.DB { return db.Where(clause.Eq{Column: "email_index", Value: x}) },
		"Not":              func(db *gorm.DB) *gorm.DB { return db.Not("email_index = ?", x) },
		"Not map":          func(db *gorm.DB) *gorm.DB { return db.Not(map[string]any{"email_index": x}) },
	}
}

// An index whose making failed stops every kind of query.
func TestPoisonedIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened, _ := three(t, db)
		poisoned, err := pii.IndexEmail(t.Context(), "", nil)
		require.Error(t, err)
		for name, where := range conditions(poisoned) {
			t.Run(name, func(t *testing.T) {
				var found []User
				require.ErrorIs(t, where(opened).Find(&found).Error, pii.ErrPoisoned)
				require.Empty(t, found)
			})
		}
	})
}

// The zero index is NULL, and GORM has three ideas of what that means. Write
// conditions as text.
func TestZeroIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened, _ := three(t, db)
		const nobody, withoutIndex, everybody = 0, 2, 3
		for name, found := range map[string]int{
			"text":             nobody,
			"text, IN":         nobody,
			"named":            nobody,
			"struct":           everybody, // the condition is gone
			"struct and field": withoutIndex,
			"map":              withoutIndex, // IS NULL
			"map of pointer":   withoutIndex,
			"map, IN":          nobody,
			"clause":           withoutIndex,
			"Not":              nobody,
			"Not map":          1,
		} {
			t.Run(name, func(t *testing.T) {
				var all []User
				require.NoError(t, conditions(pii.Index{})[name](opened).Find(&all).Error)
				require.Len(t, all, found)
			})
		}
	})
}

// FirstOrCreate with a zero index takes the first user there is for the one who
// signs in; with a failed index it fails.
func TestFirstOrCreate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened, _ := three(t, db)
		poisoned, err := pii.IndexEmail(t.Context(), "", nil)
		require.Error(t, err)
		require.ErrorIs(t, opened.FirstOrCreate(&User{}, User{EmailIndex: poisoned}).Error, pii.ErrPoisoned)

		var somebody User
		require.NoError(t, opened.FirstOrCreate(&somebody, User{EmailIndex: pii.Index{}}).Error)
		require.Equal(t, int64(1), somebody.ID)
	})
}

// Updates with a struct leaves out what was to become NULL: an address that a
// person had removed stays. Select("*") writes it, and so does Save.
func TestUpdatesKeepsWhatWasRemoved(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened, index := three(t, db)
		kit := piitest.New(t, security)
		phone := kit.Phone(kit.Scope(security))
		removed := User{ID: 1, Phone: &phone}
		var got User
		require.NoError(t, opened.Model(&User{ID: 1}).Updates(removed).Error)
		require.NoError(t, opened.First(&got, 1).Error)
		require.True(t, got.EmailIndex.Equal(index))

		require.NoError(t, opened.Model(&User{ID: 1}).Select("*").Updates(removed).Error)
		got = User{}
		require.NoError(t, opened.First(&got, 1).Error)
		require.True(t, got.EmailIndex.IsZero() && got.Email.IsZero())
	})
}

func TestEveryConditionFinds(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened, index := three(t, db)
		for name, where := range conditions(index) {
			var found []User
			require.NoError(t, where(opened).Find(&found).Error)
			switch name {
			case "Not": // NULL is not unequal
				require.Empty(t, found, name)
			case "Not map":
				require.Empty(t, found, name)
			default:
				require.Len(t, found, 1, name)
			}
		}
	})
}

// GORM logs bytes that it takes for text, as one index in nine is.
func TestLogShowsSomeIndexes(t *testing.T) {
	db := testdb.OpenSQLite(t)
	opened := open(t, db, gorm.Config{}, talkative)
	var x pii.Index
	require.NoError(t, x.Scan([]byte("AAAAAAAAAAAAAAAA")))
	require.NoError(t, opened.Where("email_index = ?", x).Find(&[]User{}).Error)
	require.Contains(t, db.Log.String(), "AAAAAAAAAAAAAAAA")
}

// Which columns AutoMigrate makes.
func TestAutoMigrate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened := open(t, db, gorm.Config{}, talkative)
		types, err := opened.Migrator().ColumnTypes(&User{})
		require.NoError(t, err)
		got := map[string]string{}
		for _, c := range types {
			got[c.Name()] = c.DatabaseTypeName()
		}
		delete(got, "id")
		want := map[testdb.Dialect]map[string]string{
			testdb.SQLite:   {"email": "text", "phone": "text", "recovery": "text", "email_index": "blob"},
			testdb.Postgres: {"email": "text", "phone": "text", "recovery": "text", "email_index": "bytea"},
			testdb.MySQL:    {"email": "text", "phone": "text", "recovery": "longtext", "email_index": "varbinary"},
		}[db.Dialect]
		require.Equal(t, want, got)
		require.NoError(t, opened.AutoMigrate(&User{}), "a second time")
	})
}

// Without a size, bytes on MySQL are a longblob, which can't be unique; MariaDB
// makes an index over hashes of it.
func TestIndexWithoutSize(t *testing.T) {
	type Unsized struct {
		ID         int64
		EmailIndex pii.Index
	}
	opened := open(t, testdb.OpenMySQL(t), gorm.Config{}, talkative)
	require.NoError(t, opened.AutoMigrate(&Unsized{}))
	types, err := opened.Migrator().ColumnTypes(&Unsized{})
	require.NoError(t, err)
	require.Equal(t, "longblob", types[1].DatabaseTypeName())
}

// A duplicate is ErrDuplicatedKey with TranslateError, which on MySQL is also
// what keeps the index out of the error.
func TestDuplicate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		opened := open(t, db, gorm.Config{TranslateError: true}, talkative)
		var x pii.Index
		require.NoError(t, x.Scan([]byte("AAAAAAAAAAAAAAAA")))
		require.NoError(t, opened.Create(&User{ID: 1, EmailIndex: x}).Error)
		err := opened.Create(&User{ID: 2, EmailIndex: x}).Error
		require.ErrorIs(t, err, gorm.ErrDuplicatedKey)
		require.NotContains(t, err.Error(), "AAAA")
	})
}
