package audit

import (
	"context"
	"strings"
)

type (
	callerKey    struct{}
	operationKey struct{}
)

// The sizes of the longest caller and the longest operation, in bytes. Every event carries
// them.
const (
	maxCaller    = 256
	maxOperation = 64
)

// WithCaller returns a context with the name of the caller, such as a service, an
// employee or a request id. Events carry it as [Event.Caller]. It grants no rights. A
// name is cut off after 256 bytes, and invalid UTF-8 is removed from it.
func WithCaller(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, bounded(caller, maxCaller))
}

// Caller returns the name that [WithCaller] put into ctx, or "".
func Caller(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// WithOperation returns a context with the name of the operation that further actions
// belong to, such as "migrate.reseal". Events carry it as [Event.Operation], so that
// maintenance can be told from use. It grants no rights. A name is cut off after 64 bytes,
// and invalid UTF-8 is removed from it. An operation within an operation replaces its name.
func WithOperation(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, operationKey{}, bounded(operation, maxOperation))
}

// Operation returns the name that [WithOperation] put into ctx, or "".
func Operation(ctx context.Context) string {
	operation, _ := ctx.Value(operationKey{}).(string)
	return operation
}

// bounded returns the first bytes of a name, without invalid UTF-8.
func bounded(name string, size int) string {
	if len(name) > size {
		name = name[:size]
	}
	return strings.ToValidUTF8(name, "")
}
