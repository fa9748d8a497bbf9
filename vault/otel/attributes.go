package otel

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"

	"github.com/onlyfor/onlyfor/vault"
)

// The keys of all attributes.
const (
	actionKey  = attribute.Key("onlyfor.action")
	purposeKey = attribute.Key("onlyfor.purpose")
	outcomeKey = attribute.Key("onlyfor.outcome")
	reasonKey  = attribute.Key("onlyfor.reason")
	kindKey    = attribute.Key("onlyfor.kind")
	handleKey  = attribute.Key("onlyfor.handle")
	roleKey    = attribute.Key("onlyfor.role")
	keyKey     = attribute.Key("onlyfor.key")
	resultKey  = attribute.Key("onlyfor.result")
	callKey    = attribute.Key("onlyfor.call")
	sourceKey  = attribute.Key("onlyfor.source")
	vaultKey   = attribute.Key("onlyfor.vault")
	recordsKey = attribute.Key("onlyfor.records") // of spans alone
)

// other stands for a purpose that is not counted under its name, as vault.OtherKind does
// for a kind.
const other = vault.OtherKind

// The results of a call that are no reasons.
const (
	ok     = "ok"
	failed = "failed"
	broken = "other" // also of a call that panicked
)

// resultOf returns the word for the error of a store or a KEK. The text of the error is
// never used: it may quote a request.
func resultOf(err error) string {
	if err == nil {
		return ok
	}
	for _, r := range [...]struct {
		err  error
		word string
	}{
		{vault.ErrConflict, "conflict"}, {vault.ErrAccessDenied, "access"}, {vault.ErrNoKeys, "keys"},
		{vault.ErrCorrupt, "corrupt"}, {vault.ErrInvalid, "invalid"}, {vault.ErrUnavailable, "unavailable"},
		{context.DeadlineExceeded, "unavailable"}, {context.Canceled, "unavailable"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return broken
}

// keyID returns the id of a key as the attribute has it.
func keyID(id uint32) string { return fmt.Sprintf("%08x", id) }
