package app

import (
	"context"

	"example.com/leak/logger"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func ownLog(ctx context.Context, e pii.Email, s *vault.Scope) {
	address, _ := e.Reveal(ctx, s)
	logger.WithFields(map[string]any{"email": address}).Error("duplicate") // want `goes into a log`
	logger.Infof("sent to %s", address)                                    // want `goes into a log`
	logger.WithFields(map[string]any{"email": e}).Error("duplicate")
	_ = logger.Escape(address)
}
