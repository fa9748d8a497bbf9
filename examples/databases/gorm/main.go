// Command gorm keeps users with sealed addresses in SQLite, through GORM.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/demo"
)

// A User is a row of users. AutoMigrate chooses the types text and bytes by itself. On
// MySQL, a column of bytes without a size can't be unique.
type User struct {
	ID         int64
	Email      pii.Email           `gorm:"check:email LIKE 'pii1.email.%'"`
	EmailIndex pii.Index           `gorm:"size:16;uniqueIndex"`
	Phone      *pii.Phone          `gorm:"check:phone LIKE 'pii1.phone.%'"`
	Recovery   sql.Null[pii.Email] `gorm:"check:recovery LIKE 'pii1.email.%'"`
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	security, err := demo.Security(ctx)
	if err != nil {
		return err
	}
	db, err := gorm.Open(sqlite.Open(":memory:"), &gorm.Config{})
	if err != nil {
		return err
	}
	if err := db.AutoMigrate(&User{}); err != nil {
		return err
	}

	email, index, err := pii.SealEmailIndexed(ctx, "Ada@example.com", security)
	if err != nil {
		return err
	}
	if err := db.WithContext(ctx).Create(&User{ID: 1, Email: email, EmailIndex: index}).Error; err != nil {
		return err
	}

	// While index keys rotate, an address has several indexes to look for.
	wanted, err := pii.IndexesEmail(ctx, "ada@EXAMPLE.com", security)
	if err != nil {
		return err
	}
	var found User // a textual condition always contains the index, also a zero one
	if err := db.WithContext(ctx).Where("email_index IN ?", wanted).First(&found).Error; err != nil {
		return err
	}
	hint, err := found.Email.Hint(ctx, security)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v is %s\n", found.Email, hint)
	return nil
}
