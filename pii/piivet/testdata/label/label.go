// Package label uses fields as it did when they were strings.
package label

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"net/http"
	"net/smtp"
	"sync"

	"example.com/label/cache"
	"github.com/onlyfor/onlyfor/pii"
)

type user struct {
	ID    string
	Email pii.Email
}

type account struct {
	ID    string
	Email pii.Email `json:"-"`
}

var (
	resets = &cache.Cache{}
	limits sync.Map
	page   = template.Must(template.New("page").Parse("{{.Email}}"))
)

func keys(u user, us []user) {
	resets.Set(fmt.Sprintf("reset:%s", u.Email), "token")          // want `label of a sealed value is a key, which is the same for all people`
	_ = resets.Get(fmt.Sprintf("reset:%s", u.Email))               // want `is a key`
	_, _ = limits.LoadOrStore(fmt.Sprint("login:", u.Email), true) // want `is a key`
	seen := map[string]bool{}
	for _, u := range us {
		if !seen[fmt.Sprint(u.Email)] { // want `is a key`
			seen[fmt.Sprint(u.Email)] = true // want `is a key`
		}
	}
}

func comparisons(u user, typed string) bool {
	if fmt.Sprint(u.Email) != "" { // want `is compared with text`
		return true
	}
	label := fmt.Sprint(u.Email)
	switch typed {
	case label: // want `is compared with text`
	}
	return fmt.Sprint(u.Email) == typed // want `is compared with text`
}

func send(to, text string) error {
	return smtp.SendMail("localhost:25", nil, "a", []string{to}, []byte(text))
}

func messages(u user) {
	_ = send(fmt.Sprint(u.Email), "Hello")                     // want `is passed to`
	_ = send("root", "new user "+fmt.Sprint(u.Email))          // want `is passed to smtp.SendMail as text`
	_, _ = http.Get("http://localhost/" + fmt.Sprint(u.Email)) // want `is passed to http.Get as text`
}

func templates(w http.ResponseWriter, u user) {
	_ = page.Execute(w, map[string]any{"Email": u.Email}) // want `is rendered by a template`
	_ = page.Execute(w, u)                                // want `is rendered by a template`
	_ = page.Execute(w, map[string]any{"ID": u.ID})
}

func answers(w http.ResponseWriter, u user) {
	_ = json.NewEncoder(w).Encode(u)                                // want `is encoded for an answer`
	_ = json.NewEncoder(w).Encode([]*user{&u})                      // want `is encoded for an answer`
	_ = json.NewEncoder(w).Encode(map[string]any{"email": u.Email}) // want `is encoded for an answer`
	_, _ = json.Marshal(map[string]any{"email": u.Email})           // want `is encoded from a map`
	_ = json.NewEncoder(w).Encode(account{u.ID, u.Email})
	_, _ = json.Marshal(u)
}

// fine are places that labels belong into.
func fine(u user) error {
	log.Printf("user %s", u.Email)
	slog.Info("user", "email", u.Email)
	text := fmt.Sprintf("user %s", u.Email)
	log.Print(text)
	warn(fmt.Sprint(u.Email))
	if u.ID == "" {
		return errors.New("no id of " + fmt.Sprint(u.Email))
	}
	return fmt.Errorf("user %s", u.Email)
}

func warn(text string) { log.Print(text) }
