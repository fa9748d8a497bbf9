// Command before is an ordinary small service: people sign up with an e-mail address
// and a phone number. Its database holds them as they were typed.
//
//	go -C examples run ./usermodel/before
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
)

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "onlyfor-usermodel"), "where the database is")
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	sms := flag.String("sms", "", "the URL of the gateway that sends text messages; none are sent without one")
	flag.Parse()
	if err := run(context.Background(), *dir, *addr, *sms); err != nil {
		fmt.Fprintln(os.Stderr, "before:", err)
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
	sms, err := newSMS(base, smsURL)
	if err != nil {
		return nil, err
	}
	return &Service{
		users: &Users{db},
		log:   slog.Default(),
		sms:   sms,
	}, nil
}
