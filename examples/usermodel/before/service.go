package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// A Service lets people sign up and sign in, with a code sent to their phone.
type Service struct {
	users *Users
	log   *slog.Logger
	sms   *SMS
}

func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("PUT /phone", s.changePhone)
	mux.HandleFunc("GET /users/{id}", s.user)
	return mux
}

type form struct{ Email, Phone, Password string }

func (s *Service) signUp(w http.ResponseWriter, r *http.Request) {
	var f form
	if json.NewDecoder(r.Body).Decode(&f) != nil {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return
	}
	user, err := s.newUser(r.Context(), f)
	if err != nil {
		http.Error(w, "not a valid e-mail address or phone number", http.StatusBadRequest)
		return
	}
	user.salt = make([]byte, 16)
	rand.Read(user.salt)
	user.password = hash(f.Password, user.salt)
	if s.users.Insert(r.Context(), user) != nil {
		http.Error(w, "try another e-mail address", http.StatusConflict)
		return
	}
	s.log.Info("signed up", "user", user.ID, "email", user.Email)
	reply(w, http.StatusCreated, user)
}

func (s *Service) newUser(_ context.Context, f form) (*User, error) {
	if !strings.Contains(f.Email, "@") {
		return nil, errors.New("no address")
	}
	return &User{Email: strings.ToLower(strings.TrimSpace(f.Email)), Phone: f.Phone}, nil
}

// authenticate returns the user whose address and password the request has, with its form.
// Otherwise it has answered.
func (s *Service) authenticate(w http.ResponseWriter, r *http.Request) (user *User, f form, ok bool) {
	if json.NewDecoder(r.Body).Decode(&f) != nil {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return nil, f, false
	}
	user, err := s.users.ByEmail(r.Context(), f.Email)
	if err != nil || subtle.ConstantTimeCompare(hash(f.Password, user.salt), user.password) != 1 {
		http.Error(w, "wrong e-mail address or password", http.StatusUnauthorized)
		return nil, f, false
	}
	return user, f, true
}

func (s *Service) signIn(w http.ResponseWriter, r *http.Request) {
	user, _, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	hint, err := s.sendCode(r.Context(), user)
	if err != nil {
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	s.log.Info("signed in", "user", user.ID, "phone", user.Phone)
	reply(w, http.StatusOK, map[string]any{"id": user.ID, "code_sent_to": hint})
}

// changePhone replaces the number of a user, or removes it if the new one is empty.
func (s *Service) changePhone(w http.ResponseWriter, r *http.Request) {
	user, f, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if s.users.SetPhone(r.Context(), user.ID, f.Phone) != nil {
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// sendCode sends a code and returns a hint of the number, for the person to recognise.
func (s *Service) sendCode(ctx context.Context, user *User) (hint string, err error) {
	if user.Phone == "" {
		return "", nil
	}
	if err := s.sms.Send(ctx, user.Phone, "Your code is "+rand.Text()[:6]); err != nil {
		return "", err
	}
	return "•••" + user.Phone[max(0, len(user.Phone)-2):], nil
}

// user serves a user to other services of the company.
func (s *Service) user(w http.ResponseWriter, r *http.Request) {
	user, err := s.users.ByID(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		reply(w, http.StatusOK, user)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away does not matter
}

func hash(password string, salt []byte) []byte {
	key, err := pbkdf2.Key(sha256.New, password, salt, 600_000, 32)
	if err != nil {
		panic("pbkdf2: " + err.Error())
	}
	return key
}
