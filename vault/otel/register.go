package otel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onlyfor/onlyfor/vault"
)

// Register reports the metrics of v, which the documentation of this package lists, to
// the provider of opts. It returns a function that ends this; calling it again does
// nothing. A vault that is closed keeps its counters and has no keys to report.
//
// A nil vault, an Options.Name that is malformed and a Keeper without its Log are
// vault.ErrInvalid. Other errors are errors of the provider.
func Register(v *vault.Vault, opts *Options) (unregister func() error, err error) {
	o := opts.orDefault()
	if err := o.check(v); err != nil {
		return nil, err
	}
	c := &collector{vault: v, opts: o, began: time.Now(), sets: make(map[series]metric.MeasurementOption)}
	instruments, err := c.make(o.MeterProvider.Meter(scopeName))
	if err != nil {
		return nil, fmt.Errorf("otel: registering: %w", err)
	}
	r, err := o.MeterProvider.Meter(scopeName).RegisterCallback(c.collect, instruments...)
	if err != nil {
		return nil, fmt.Errorf("otel: registering: %w", err)
	}
	return r.Unregister, nil
}

// A collector reads one vault whenever its metrics are collected.
type collector struct {
	vault *vault.Vault
	opts  Options
	began time.Time

	operations, lookups, storeCalls, kekCalls, auditFailures, auditKeeps metric.Int64ObservableCounter
	storeTime, kekTime                                                   metric.Float64ObservableCounter
	lease, storeAge, keyAge, clockTime, clockStep, unwitnessed           metric.Float64ObservableGauge
	failing, generation, erasing, seals, pending                         metric.Int64ObservableGauge

	mu   sync.Mutex // several readers may collect at a time
	sets map[series]metric.MeasurementOption
	used int // the series of this collection
}

// A series has the values of the attributes of an observation. Attributes that do not fit
// the instrument are "".
type series struct {
	action, purpose, outcome, reason, kind, handle, role, result, source string
	key                                                                  uint32
	keyed                                                                bool
}

// make makes the instruments.
func (c *collector) make(m metric.Meter) (all []metric.Observable, err error) {
	for _, i := range []struct {
		name, unit, description string
		to                      any
	}{
		{"onlyfor.operations", "{operation}", "Operations of a vault on values and keys.", &c.operations},
		{"onlyfor.subject_cache.lookups", "{lookup}", "Uses of the keys of persons, at hand or asked for.", &c.lookups},
		{"onlyfor.store.calls", "{call}", "Calls of the key store.", &c.storeCalls},
		{"onlyfor.store.time", "s", "Time in calls of the key store.", &c.storeTime},
		{"onlyfor.kek.calls", "{call}", "Calls of the key service.", &c.kekCalls},
		{"onlyfor.kek.time", "s", "Time in calls of the key service.", &c.kekTime},
		{"onlyfor.lease.remaining", "s", "Time until keys lapse unless the key service agrees anew.", &c.lease},
		{"onlyfor.store.age", "s", "Time since the key store last answered about keys.", &c.storeAge},
		{"onlyfor.failing", "{failure}", "1 while the last question about keys was in vain.", &c.failing},
		{"onlyfor.generation", "{change}", "Changes of the keys so far.", &c.generation},
		{"onlyfor.erasure.pending", "{erasure}", "1 while an erasure is under way or was left behind.", &c.erasing},
		{"onlyfor.key.age", "s", "Age of the primary keys.", &c.keyAge},
		{"onlyfor.key.seals", "{seal}", "Seals of the primary seal key in all processes.", &c.seals},
		{"onlyfor.clock.time", "s", "Unix time of the wall clock.", &c.clockTime},
		{"onlyfor.clock.step", "s", "Time by which the wall clock was set since the start.", &c.clockStep},
		{"onlyfor.audit.failures", "{event}", "Events that the auditor did not record.", &c.auditFailures},
		{"onlyfor.audit.unwitnessed", "s", "Age of the oldest entry that no kept head covers.", &c.unwitnessed},
		{"onlyfor.audit.pending", "{entry}", "Entries that no kept head covers.", &c.pending},
		{"onlyfor.audit.keeps", "{head}", "Heads that were to be kept outside.", &c.auditKeeps},
	} {
		var made metric.Observable
		switch to := i.to.(type) {
		case *metric.Int64ObservableCounter:
			*to, err = m.Int64ObservableCounter(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
			made = *to
		case *metric.Float64ObservableCounter:
			*to, err = m.Float64ObservableCounter(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
			made = *to
		case *metric.Int64ObservableGauge:
			*to, err = m.Int64ObservableGauge(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
			made = *to
		case *metric.Float64ObservableGauge:
			*to, err = m.Float64ObservableGauge(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
			made = *to
		}
		if err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	return all, nil
}

// collect observes everything. It calls neither the store nor the key service.
func (c *collector) collect(_ context.Context, o metric.Observer) error {
	stats, opened, now := c.vault.Stats(), c.vault.Status(), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = 0
	c.collectStats(o, &stats)
	for i := range opened {
		c.collectKeys(o, &opened[i], now)
	}
	none := c.of(series{})
	o.ObserveFloat64(c.clockTime, float64(now.UnixNano())/1e9, none)
	o.ObserveFloat64(c.clockStep, (now.Round(0).Sub(c.began.Round(0)) - now.Sub(c.began)).Seconds(), none)
	if c.opts.Log != nil {
		w := c.opts.Keeper.state(c.opts.Log.Head().Size, c.began)
		o.ObserveFloat64(c.unwitnessed, w.age.Seconds(), none)
		o.ObserveInt64(c.pending, w.pending, none)
		o.ObserveInt64(c.auditKeeps, w.kept, c.of(series{result: ok}))
		o.ObserveInt64(c.auditKeeps, w.failed, c.of(series{result: failed}))
	}
	// Series come and go with keys. Those of old keys are forgotten.
	if len(c.sets) > 2*c.used {
		c.sets = make(map[series]metric.MeasurementOption, c.used)
	}
	return nil
}

func (c *collector) collectStats(o metric.Observer, s *vault.Stats) {
	for _, r := range s.Results {
		p := other
		if !r.Purpose.IsZero() {
			p = r.Purpose.String()
		}
		o.ObserveInt64(c.operations, int64(r.Count), c.of(series{
			action: string(r.Action), purpose: p, outcome: string(r.Outcome), reason: r.Reason, kind: r.Kind,
		}))
	}
	o.ObserveInt64(c.lookups, int64(s.SubjectHits), c.of(series{result: "hit"}))
	o.ObserveInt64(c.lookups, int64(s.SubjectMisses), c.of(series{result: "miss"}))
	o.ObserveInt64(c.storeCalls, int64(s.StoreCalls-min(s.StoreFailures, s.StoreCalls)), c.of(series{result: ok}))
	o.ObserveInt64(c.storeCalls, int64(s.StoreFailures), c.of(series{result: failed}))
	o.ObserveInt64(c.kekCalls, int64(s.KEKCalls-min(s.KEKFailures, s.KEKCalls)), c.of(series{result: ok}))
	o.ObserveInt64(c.kekCalls, int64(s.KEKFailures), c.of(series{result: failed}))
	none := c.of(series{})
	o.ObserveFloat64(c.storeTime, s.StoreTime.Seconds(), none)
	o.ObserveFloat64(c.kekTime, s.KEKTime.Seconds(), none)
	o.ObserveInt64(c.auditFailures, int64(s.AuditFailures), none)
}

func (c *collector) collectKeys(o metric.Observer, k *vault.Opened, now time.Time) {
	p := k.Purpose.String()
	keys := series{purpose: p, handle: k.Handle}
	set := c.of(keys)
	o.ObserveFloat64(c.lease, k.Lapses.Sub(now).Seconds(), set)
	o.ObserveFloat64(c.storeAge, max(0, now.Sub(k.Looked)).Seconds(), set)
	o.ObserveInt64(c.generation, int64(k.Generation), set)
	o.ObserveInt64(c.erasing, one(k.Erasing), set)
	for source, err := range map[string]error{"store": k.RefreshErr, "kek": k.RenewErr} {
		failing := keys
		failing.source = source
		o.ObserveInt64(c.failing, one(err != nil), c.of(failing))
	}
	for _, key := range k.Primary {
		aged := keys
		aged.role = string(key.Role)
		o.ObserveFloat64(c.keyAge, max(0, now.Sub(key.Created)).Seconds(), c.of(aged))
		if key.Role == vault.RoleSeal && k.Handle == "scope" { // other handles do not seal
			o.ObserveInt64(c.seals, int64(min(key.Seals, 1<<62)), c.of(series{purpose: p, key: key.ID, keyed: true}))
		}
	}
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// of returns the attributes of a series. Making them costs more than observing, so they
// are kept for the next collection.
func (c *collector) of(s series) metric.MeasurementOption {
	c.used++
	set, found := c.sets[s]
	if !found {
		set = metric.WithAttributeSet(c.opts.named(s.attributes()...))
		c.sets[s] = set
	}
	return set
}

func (s series) attributes() (all []attribute.KeyValue) {
	for _, a := range [...]struct {
		key   attribute.Key
		value string
	}{
		{actionKey, s.action}, {purposeKey, s.purpose}, {outcomeKey, s.outcome}, {reasonKey, s.reason}, {kindKey, s.kind},
		{handleKey, s.handle}, {roleKey, s.role}, {resultKey, s.result}, {sourceKey, s.source},
	} {
		if a.value != "" {
			all = append(all, a.key.String(a.value))
		}
	}
	if s.keyed {
		all = append(all, keyKey.String(keyID(s.key)))
	}
	return all
}
