// Command diffs compares two rows of one person with the tools that tests use.
//
//	go -C examples/encodings run ./diffs
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/davecgh/go-spew/spew"
	"github.com/google/go-cmp/cmp"
	"github.com/kr/pretty"
	"github.com/stretchr/testify/assert"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "diffs:", err)
		os.Exit(1)
	}
}

// sameIndex is the option of cmp for rows with an index. Index.Equal by itself finds
// two zero indexes different, as NULL is not equal to NULL.
var sameIndex = cmp.Comparer(func(a, b pii.Index) bool { return a.Equal(b) || a.IsZero() && b.IsZero() })

func run(ctx context.Context, out io.Writer) error {
	return person.WithScope(ctx, person.Security, func(security *vault.Scope) error {
		a, err := person.New(ctx, security)
		if err != nil {
			return err
		}
		b, err := person.New(ctx, security)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "one person, sealed twice: the values differ, the indexes do not")
		//piivet:allow compare to show that it is false
		fmt.Fprintln(out, a.Email == b.Email, cmp.Equal(a.EmailIndex, b.EmailIndex, sameIndex))

		fmt.Fprintf(out, "\ngo-cmp:\n%s\n", cmp.Diff(a.Contact, b.Contact))
		assert.Equal(printer{out}, a.Contact, b.Contact)
		fmt.Fprintf(out, "\nspew:\n%s\n", spew.Sdump(a.Contact))
		fmt.Fprintf(out, "kr/pretty:\n%# v\n", pretty.Formatter(a.Contact))
		return nil
	})
}

// A printer prints the message of a failure of testify.
type printer struct{ out io.Writer }

func (p printer) Errorf(format string, args ...any) { fmt.Fprintf(p.out, "testify:"+format, args...) }
