package app

import (
	"context"
	"errors"
	"log"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A rejection quotes what it rejects.
type rejection struct{ what string }

func (r *rejection) Error() string { return "rejected: " + r.what }

func reject(what string) error { return &rejection{what} } // want `goes into an error`

func rejecting(ctx context.Context, e pii.Email, s *vault.Scope) {
	address, _ := e.Reveal(ctx, s)
	err := reject(address)
	log.Print(err.Error()) // want `goes into a log`
	if r := new(rejection); errors.As(err, &r) {
		log.Print(r.Error()) // want `goes into a log`
	}
}

// unrelated has errors of others, which say nothing of it.
func unrelated(err error) error {
	log.Print(err.Error())
	return errors.New("failed: " + err.Error())
}

func finding(ctx context.Context, e pii.Email, s *vault.Scope) error {
	_, err := e.Reveal(ctx, s)
	if err != nil {
		return unrelated(err)
	}
	return nil
}

var errEmpty = errors.New("no address")

// fixed logs an error with a text that quotes nothing, in a branch without other errors.
func fixed(ctx context.Context, e pii.Email, s *vault.Scope) error {
	address, _ := e.Reveal(ctx, s)
	err := reject(address)
	if err == errEmpty {
		log.Print(err)
		return nil
	}
	if err != errEmpty {
		log.Print(err) // want `goes into a log`
	} else {
		log.Print(err.Error())
	}
	if other := reject(address); err == errEmpty {
		log.Print(err, other) // want `goes into a log`
	}
	log.Print(err) // want `goes into a log`
	switch err {
	case nil:
		log.Print(err)
	case errEmpty:
		log.Print(err)
	default:
		log.Print(err) // want `goes into a log`
	}
	return err
}
