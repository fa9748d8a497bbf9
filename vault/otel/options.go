package otel

import (
	"fmt"

	global "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// Options are the options of [Register], [KEK] and [Store]. A nil *Options has the
// defaults.
type Options struct {
	// MeterProvider and TracerProvider are the providers of OpenTelemetry. Nil is the
	// global provider.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
	// Name tells the vaults of one process apart, as the attribute onlyfor.vault. A
	// process with one vault needs none. It has the form of a purpose: a-z, 0-9 and "-",
	// at most 63 bytes. Give each registered vault a name of its own: metrics of two
	// vaults with one name replace each other.
	Name string
	// Log is the audit log whose heads are watched, for [Register]. It may be nil.
	Log *auditlog.Log
	// Keeper has kept the heads of Log. Without it no head of Log counts as kept.
	Keeper *Keeper
}

// scopeName is the name of the instrumentation.
const scopeName = "github.com/onlyfor/onlyfor/vault/otel"

func (o *Options) orDefault() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MeterProvider == nil {
		out.MeterProvider = global.GetMeterProvider()
	}
	if out.TracerProvider == nil {
		out.TracerProvider = global.GetTracerProvider()
	}
	return out
}

func (o *Options) check(v *vault.Vault) error {
	fact := ""
	switch {
	case v == nil:
		fact = "nil vault"
	case !validName(o.Name):
		fact = "malformed name of a vault"
	case o.Keeper != nil && o.Log == nil:
		fact = "a keeper without its log"
	default:
		return nil
	}
	return fmt.Errorf("otel: registering: %s: %w", fact, vault.ErrInvalid)
}

func validName(name string) bool {
	if name == "" {
		return true
	}
	_, err := purpose.Parse(name)
	return err == nil
}

// named returns the attributes with the name of the vault, if it has a valid one.
func (o *Options) named(attributes ...attribute.KeyValue) attribute.Set {
	if o.Name != "" && validName(o.Name) {
		attributes = append(attributes, vaultKey.String(o.Name))
	}
	return attribute.NewSet(attributes...)
}
