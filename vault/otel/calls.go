package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
)

// calls makes spans and a histogram of the calls of a store or of a key service.
type calls struct {
	opts     Options
	prefix   string // of the names of spans
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

func newCalls(opts *Options, prefix, description string) *calls {
	c := &calls{opts: opts.orDefault(), prefix: prefix}
	c.tracer = c.opts.TracerProvider.Tracer(scopeName)
	var err error
	c.duration, err = c.opts.MeterProvider.Meter(scopeName).Float64Histogram(prefix+"duration", metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30))
	if err != nil || c.duration == nil { // keys must not fail because of a metric
		c.duration = noop.Float64Histogram{}
	}
	return c
}

// A current is a call under way.
type current struct {
	*calls
	ctx   context.Context
	span  trace.Span
	name  string
	began time.Time
	away  time.Duration // the time that the call spent in its caller
}

// start starts a call, and returns the context to make it with.
func (c *calls) start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, *current) {
	if c.opts.Name != "" && validName(c.opts.Name) {
		attributes = append(attributes, vaultKey.String(c.opts.Name))
	}
	ctx, span := c.tracer.Start(ctx, c.prefix+name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, &current{calls: c, ctx: ctx, span: span, name: name, began: time.Now()}
}

// end ends the call with a result.
func (c *current) end(result string) {
	took := time.Since(c.began) - c.away
	c.span.SetAttributes(resultKey.String(result))
	if result != ok && result != "conflict" {
		c.span.SetStatus(codes.Error, result)
	}
	c.span.End()
	c.duration.Record(c.ctx, max(0, took).Seconds(), metric.WithAttributeSet(c.opts.named(callKey.String(c.name), resultKey.String(result))))
}
