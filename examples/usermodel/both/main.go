// Command both is the version of ../before that runs while the database is sealed: it
// reads the plaintext as before, and writes the plaintext and the sealed columns of
// ../after. It is deployed before the backfill, which then finds every row that an old
// version wrote, and replaced by ../after once the columns are verified.
//
//	go -C examples run ./usermodel/both
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var forSecurity = purpose.MustParse("security")

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "onlyfor-usermodel"), "where the database and the keys are")
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	sms := flag.String("sms", "", "the URL of the gateway that sends text messages; none are sent without one")
	flag.Parse()
	if err := run(context.Background(), *dir, *addr, *sms); err != nil {
		fmt.Fprintln(os.Stderr, "both:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, addr, sms string) error {
	service, err := open(ctx, dir, http.DefaultTransport.(*http.Transport), sms)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: service.Handler(), ReadTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// open returns the service over the database in dir, with the gateway at the URL smsURL.
func open(ctx context.Context, dir string, base *http.Transport, smsURL string) (*Service, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "users.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	v, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return nil, err
	}
	if err := v.Generate(ctx, forSecurity); err != nil { // leaves existing keys alone
		return nil, err
	}
	security, err := v.Scope(ctx, forSecurity)
	if err != nil {
		return nil, err
	}
	sms, err := newSMS(base, smsURL)
	if err != nil {
		return nil, err
	}
	return &Service{
		users:    &Users{db},
		security: security,
		log:      slog.Default(),
		sms:      sms,
	}, nil
}
