package app

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"log"
	"net/http"

	"example.com/leak/lib"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A message keeps to itself whom it goes to: no encoder and no template sees it.
type message struct {
	Subject string
	to      string
	inner
}

type inner struct{ Note string }

// A view gives it away by a method.
type view struct {
	Title string
	name  string
}

// Name is for templates.
func (v view) Name() string { return v.name }

type page struct{ View *view }

func encoded(ctx context.Context, e pii.Email, s *vault.Scope, w http.ResponseWriter, t *template.Template) {
	address, _ := e.Reveal(ctx, s)
	m := message{Subject: "hello", to: address}
	json.NewEncoder(w).Encode(m)
	json.NewEncoder(w).Encode(&m)
	json.NewEncoder(w).Encode([]message{m})
	t.Execute(w, m)
	t.ExecuteTemplate(w, "page", &m)
	text, _ := json.Marshal(m)
	w.Write(text)
	answer(w, m)
	answerAny(w, m)
	log.Print(m)    // want `goes into a log`
	log.Print(m.to) // want `goes into a log`
	var b bytes.Buffer
	t.Execute(&b, m)
	log.Print(b.String())
	log.Print(copied(m)) // want `goes into a log`
	json.NewEncoder(w).Encode(copied(m))
	json.NewEncoder(w).Encode(lib.Sealed(address))
	log.Print(lib.Sealed(address)) // want `goes into a log`
	json.NewEncoder(w).Encode(lib.Wrap(m))
}

func copied(m message) message { return m }

func shown(ctx context.Context, e pii.Email, s *vault.Scope, w http.ResponseWriter, t *template.Template) {
	address, _ := e.Reveal(ctx, s)
	m := message{Subject: "hello " + address}
	json.NewEncoder(w).Encode(m)         // want `goes into a response`
	t.Execute(w, m)                      // want `goes into a response`
	json.NewEncoder(w).Encode(copied(m)) // want `goes into a response`
	text, _ := json.Marshal(m)
	w.Write(text)                          // want `goes into a response`
	json.NewEncoder(w).Encode(lib.Wrap(m)) // want `goes into a response`
}

func promoted(ctx context.Context, e pii.Email, s *vault.Scope, w http.ResponseWriter) {
	address, _ := e.Reveal(ctx, s)
	var m message
	m.Note = address             // of an embedded type, which encoders see into
	json.NewEncoder(w).Encode(m) // want `goes into a response`
}

func answer(w http.ResponseWriter, m message) {
	json.NewEncoder(w).Encode(m)
}

func answerAny(w http.ResponseWriter, v any) {
	json.NewEncoder(w).Encode(v)
}

func rendered(ctx context.Context, e pii.Email, s *vault.Scope, w http.ResponseWriter, t *template.Template) {
	address, _ := e.Reveal(ctx, s)
	v := view{Title: "hello", name: address}
	json.NewEncoder(w).Encode(v)
	t.Execute(w, v)                      // want `goes into a response`
	t.Execute(w, page{&v})               // want `goes into a response`
	t.Execute(w, map[string]any{"v": v}) // want `goes into a response`
}
