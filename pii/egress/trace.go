package egress

import (
	"context"
	"net/http/httptrace"
)

// untraced returns a context without the trace of package httptrace, but for a copy of it
// that sees no text of the request or of a response.
func untraced(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx
	}
	quiet := *trace
	quiet.WroteHeaderField = nil // the declared headers
	quiet.Got1xxResponse = nil   // which can echo a plaintext
	if wrote := trace.WroteRequest; wrote != nil {
		quiet.WroteRequest = func(info httptrace.WroteRequestInfo) {
			if info.Err != nil {
				info.Err = sendErr(info.Err)
			}
			wrote(info)
		}
	}
	return httptrace.WithClientTrace(hiddenTrace{ctx}, &quiet)
}

// A hiddenTrace is a context without its trace: package httptrace would call the hooks of
// both.
type hiddenTrace struct{ context.Context }

func (c hiddenTrace) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}
