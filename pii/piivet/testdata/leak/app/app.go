// Package app leaks on every road that is followed, and on none that is not a
// leak.
package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/mail"
	"os"
	"strconv"
	"strings"

	"example.com/leak/lib"
	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type user struct {
	ID    string
	Email pii.Email
	Phone *pii.Phone
	plain string
}

type service struct {
	security *vault.Scope
	logger   *slog.Logger
}

func newService(ctx context.Context, v *vault.Vault) *service {
	s, _ := v.Scope(ctx, purposes.Security)
	return &service{security: s, logger: slog.Default()}
}

func (s *service) logs(ctx context.Context, u user) {
	address, err := u.Email.Reveal(ctx, s.security)
	if err != nil {
		log.Println(err, u.ID, u.Email)
		return
	}
	log.Println("sending to", address)                           // want `^revealed for security, goes into a log: log the sealed value, or its Hint$`
	log.Printf("sending to %q", address)                         // want `goes into a log`
	slog.Info("sending", "to", address)                          // want `goes into a log`
	slog.InfoContext(ctx, "sending", slog.String("to", address)) // want `goes into a log`
	s.logger.With("to", address).Info("sending")                 // want `goes into a log`
	fmt.Println(address)                                         // want `goes to standard output`
	fmt.Fprintln(os.Stderr, address)                             // want `goes to standard output`
	println(address)                                             // want `goes to standard output`
	slog.Info("sending to " + address)                           // want `goes into a log`
	slog.Info(fmt.Sprintf("sending to %s", address))             // want `goes into a log`
	slog.Info(strings.ToUpper(address[:3]))                      // want `goes into a log`
	slog.Info("sent", "bytes", len(address), "ok", strings.Contains(address, "@"))
	slog.Info("sent", "user", u)
	hint, _ := u.Email.Hint(ctx, s.security)
	slog.Info("sent", "to", hint)
	if address == "" {
		slog.Info("there is none")
	}
	for _, part := range strings.Split(address, "@") {
		slog.Info(part) // want `goes into a log`
	}
	slog.Info("allowed", "to", address) //piivet:allow leak this test says so
	//piivet:allow leak this test says so, too
	slog.Info("allowed",
		"to", address)
}

//piivet:allow leak all of this function is for the person's own terminal
func (s *service) allowed(ctx context.Context, u user) {
	address, _ := u.Email.Reveal(ctx, s.security)
	fmt.Println(address)
}

func (s *service) lines(ctx context.Context, u user) {
	phone, _ := u.Phone.Reveal(ctx, s.security)
	s.logger.
		With("a", "b").
		Info("sending", // want `goes into a log`
			"to", phone)
}

func (s *service) failing(ctx context.Context, u user) error {
	address, err := u.Email.Reveal(ctx, s.security)
	if err != nil {
		return fmt.Errorf("revealing: %w", err)
	}
	if !strings.Contains(address, "@") {
		return fmt.Errorf("no address: %s", address) // want `goes into an error, which ends up in logs`
	}
	if address == "t" {
		return fmt.Errorf("100%% no address, but a %T", address)
	}
	if address == "v" {
		return fmt.Errorf("no address, but a %T: %v", address, address) // want `goes into an error, which ends up in logs`
	}
	if address == "n" {
		return fmt.Errorf("no address: %%T %s", address) // want `goes into an error, which ends up in logs`
	}
	if address == "x" {
		return errors.New("not an address: " + address) // want `goes into an error`
	}
	if address == "y" {
		return &notFound{address} // want `goes into an error`
	}
	if address == "z" {
		return &notFound{u.ID}
	}
	if _, err := mail.ParseAddress(address); err != nil {
		return fmt.Errorf("parsing: %w", err) // want `goes into an error`
	}
	if _, err := strconv.Atoi(address); err != nil {
		log.Print(err) // want `goes into a log`
	}
	if len(address) > 100 {
		panic("too long: " + address) // want `goes into a panic`
	}
	if len(address) > 200 {
		panic("too long")
	}
	return nil
}

type notFound struct{ who string }

func (n *notFound) Error() string { return n.who }

func (s *service) responses(ctx context.Context, u user, w http.ResponseWriter, page *template.Template) {
	address, _ := u.Email.Reveal(ctx, s.security)
	w.Write([]byte(address))                                       // want `goes into a response: if the person is to see it there, say so with //piivet:allow leak and why`
	io.WriteString(w, address)                                     // want `goes into a response`
	fmt.Fprintf(w, "you are %s", address)                          // want `goes into a response`
	http.Error(w, address, 500)                                    // want `goes into a response`
	w.Header().Set("X-Who", address)                               // want `goes into a response`
	json.NewEncoder(w).Encode(map[string]string{"email": address}) // want `goes into a response`
	page.Execute(w, struct{ Email string }{address})               // want `goes into a response`
	enc := json.NewEncoder(w)
	enc.Encode(&lib.Card{Name: address}) // want `goes into a response`
	io.WriteString(w, "hello")
	fmt.Fprintf(w, "hello %s", u.ID)

	var b bytes.Buffer
	fmt.Fprintf(&b, "dear %s", address)
	log.Print(b.String()) // want `goes into a log`
	var letter strings.Builder
	letter.WriteString("dear ")
	letter.WriteString(address)
	send(letter.String())
	req, _ := http.NewRequest("POST", "https://sms.example/", strings.NewReader(address))
	req.Header.Set("To", address)
	_, err := http.DefaultClient.Do(req)
	log.Print(err)
}

func send(string) (id string) { return "1" }

func (s *service) roads(ctx context.Context, u user) {
	address, _ := u.Email.Reveal(ctx, s.security)
	note(address)
	note("nothing")
	slog.Info(wrap("plain"))
	slog.Info(wrap(address)) // want `goes into a log`
	id := send(address)
	slog.Info("sent", "id", id)

	u.plain = address
	slog.Info(u.ID)
	slog.Info(u.plain)                              // want `goes into a log`
	log.Printf("%v", u)                             // want `goes into a log`
	log.Print(map[string]any{"a": 1, "b": address}) // want `goes into a log`
	log.Print([]string{"a", address})               // want `goes into a log`
	log.Print(secret(address))
	log.Print(secretStruct{address})

	func() {
		slog.Info(address) // want `goes into a log`
	}()
	later := func() string { return address }
	slog.Info(later()) // want `goes into a log`
	var kept string
	func() { kept = address }()
	slog.Info(kept) // want `goes into a log`
	ch := make(chan string, 1)
	ch <- address
	slog.Info(<-ch) // want `goes into a log`
	reveal := u.Email.Reveal
	other, _ := reveal(ctx, s.security)
	slog.Info(other) // want `^revealed for security, goes into a log`
	third, _ := pii.Email.Reveal(u.Email, ctx, s.security)
	slog.Info(third)         // want `goes into a log`
	defer log.Print(address) // want `goes into a log`
	go func(a string) {
		log.Print(a) // want `goes into a log`
	}(address)
	slog.Info(pass(address)) // want `goes into a log`
	var n noter = noting{}
	n.note(address)
	var l Logger
	l.Infof("to %s", address) // want `goes into a log`
}

// Logger is the application's own.
type Logger interface {
	Infof(format string, args ...any)
}

type noter interface{ note(string) }

type noting struct{}

func (noting) note(what string) { log.Print(what) } // want `goes into a log`

func pass[T any](v T) T { return v }

type secret string

func (secret) String() string { return "secret" }

type secretStruct struct{ s string }

func (secretStruct) LogValue() slog.Value { return slog.StringValue("secret") }

func note(what string) { log.Print(what) } // want `goes into a log`

func wrap(what string) string { return "<" + what + ">" }

func (s *service) packages(ctx context.Context, u user) {
	address, _ := lib.Address(ctx, u.Email, s.security)
	slog.Info(address)         // want `^revealed for security, goes into a log`
	lib.Note("about", address) // want `goes into a log: log the sealed value, or its Hint \(through lib.Note, lib.go:14\)$`
	lib.Note("about", "")
	lib.Deeper(address) // want `\(through lib.Deeper, lib.go:14\)`
	lib.Allowed(address)
	slog.Info(lib.Clean(address)) // want `goes into a log`
	slog.Info(lib.Clean("plain"))
	l := lib.NewLetter(address, "hello")
	slog.Info(l.Subject)
	slog.Info(l.Recipient()) // want `goes into a log`
	slog.Info(l.To)          // want `goes into a log`
}

func (u user) embedded(ctx context.Context, s *vault.Scope) {
	type kind struct{ pii.Email }
	k := kind{u.Email}
	address, _ := k.Reveal(ctx, s)
	log.Print(address) // want `^revealed, goes into a log`
}
