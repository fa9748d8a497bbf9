// Command pages prints one user in HTML pages and in panics.
//
//	go -C examples/encodings run ./pages
package main

import (
	"context"
	"fmt"
	htmltemplate "html/template"
	"io"
	"os"
	texttemplate "text/template"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

var (
	letter  = texttemplate.Must(texttemplate.New("letter").Parse("To: {{.To}}\nFrom the record of {{.User.Email}}.\n"))
	account = htmltemplate.Must(htmltemplate.New("account").Parse(
		"<p title=\"{{.User.Phone}}\">Codes go to {{.Hint}}.</p>\n<script>let phone = {{.User.Phone}}</script>\n"))
)

func run(ctx context.Context, out io.Writer) error {
	return person.WithScope(ctx, person.Security, func(security *vault.Scope) error {
		row, err := person.New(ctx, security)
		if err != nil {
			return err
		}
		// A page gets the hint that its reader may see, and no scope.
		hint, err := row.Phone.Hint(ctx, security)
		if err != nil {
			return err
		}
		data := map[string]any{"User": row.User, "To": "the owner", "Hint": hint}
		if err := letter.Execute(out, data); err != nil {
			return err
		}
		if err := account.Execute(out, data); err != nil {
			return err
		}
		defer func() { fmt.Fprintln(out, "recovered:", recover()) }()
		panic(fmt.Errorf("writing to %v", row.Email))
	})
}
