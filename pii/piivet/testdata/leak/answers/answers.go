// Package answers has one function that writes all answers, as most services do.
package answers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type handler struct {
	security *vault.Scope
	email    pii.Email
}

//piivet:allow leak one exception for all is none
func send(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %v: %w", v, err)
	}
	_, err = w.Write(b)
	return err
}

func sendEach(w http.ResponseWriter, all ...any) {
	for _, v := range all {
		_ = send(w, v)
	}
}

func (h *handler) own(ctx context.Context, w http.ResponseWriter) {
	address, _ := h.email.Reveal(ctx, h.security)
	_ = send(w, address)      //piivet:allow leak the person's own page
	sendEach(w, "a", address) // want `goes into a response`
}

func (h *handler) others(ctx context.Context, w http.ResponseWriter) {
	address, _ := h.email.Reveal(ctx, h.security)
	_ = send(w, address) // want `goes into a response.*through answers.send`
	_ = send(w, "nothing")
}

func (h *handler) info(ctx context.Context, w http.ResponseWriter, full bool) error {
	info := map[string]any{"sub": "1"}
	if !full {
		return json.NewEncoder(w).Encode(info)
	}
	address, err := h.email.Reveal(ctx, h.security)
	if err != nil {
		return send(w, info)
	}
	info["email"] = address
	return json.NewEncoder(w).Encode(info) // want `goes into a response`
}

func (h *handler) again(ctx context.Context, w http.ResponseWriter) {
	info := map[string]any{}
	for range 2 {
		_ = json.NewEncoder(w).Encode(info) // want `goes into a response`
		info["email"], _ = h.email.Reveal(ctx, h.security)
	}
}
