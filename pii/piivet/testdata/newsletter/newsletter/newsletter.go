// Package newsletter writes letters.
//
//piivet:purpose marketing
package newsletter

import (
	"context"
	"net/http"
	"net/url"

	"example.com/newsletter/users"
)

// Upload tells an audience service of a user.
func Upload(ctx context.Context, s *users.Store, id string) error {
	address, err := s.Lower(ctx, id)
	if err != nil {
		return err
	}
	_, err = http.PostForm("http://127.0.0.1:1/audience", url.Values{"email": {address}})
	return err
}

// A Source finds addresses.
type Source interface {
	Address(ctx context.Context, id string) (string, error)
}

// Ask does the same without knowing who keeps the addresses.
func Ask(ctx context.Context, s Source, id string) error {
	address, err := s.Address(ctx, id)
	if err != nil {
		return err
	}
	_, err = http.PostForm("http://127.0.0.1:1/audience", url.Values{"email": {address}})
	return err
}
