// Package otel reports a vault to OpenTelemetry: metrics of its operations and keys, and
// spans of its calls to the key store and the key service.
//
//	store = otel.Store(store, nil)
//	kek = otel.KEK(kek, nil)
//	v, err := vault.Open(ctx, store, kek, nil)
//	unregister, err := otel.Register(v, nil)
//
// It uses the API of OpenTelemetry alone. The program chooses the SDK and the exporter.
// The folder has a dashboard for Grafana and alert rules for Prometheus.
//
// # Cost
//
// Metrics of operations are read from vault.Vault.Stats when they are collected. A seal,
// a reveal or an index costs the same with them and without them, and has no span. Only
// calls that leave the process have spans and a histogram: see [KEK] and [Store].
//
// # Attributes
//
// Every attribute is out of a fixed set. The tables have no value, index, person,
// pseudonym, caller or text of an error.
//
//	onlyfor.action   the actions of package audit
//	onlyfor.purpose  purposes whose keys the vault has found, or _OTHER
//	onlyfor.outcome  allowed, denied, failed
//	onlyfor.reason   the reasons of audit.Event; none for an allowed operation
//	onlyfor.kind     kinds of the program, or _OTHER; none for an operation on keys
//	onlyfor.handle   scope, lookup, reader
//	onlyfor.role     seal, index, subject, collect
//	onlyfor.key      id of a primary key, 8 hexadecimal digits
//	onlyfor.result   ok, or the reason of a failure; hit, miss
//	onlyfor.call     get, put, list; for, wrap, unwrap, generate
//	onlyfor.source   store, kek
//	onlyfor.vault    Options.Name, if it is set
//
// A vault with many purposes makes many series. OpenTelemetry's SDK for Go keeps 2,000
// for each instrument unless it is told otherwise.
//
// # Metrics
//
//	onlyfor.operations             {operation}  action, purpose, outcome, reason, kind
//	onlyfor.subject_cache.lookups  {lookup}     result: keys of persons at hand, or asked for
//	onlyfor.store.calls            {call}       result: ok, failed
//	onlyfor.store.time             s            time in these calls
//	onlyfor.kek.calls              {call}       result: ok, failed
//	onlyfor.kek.time               s            time in these calls
//	onlyfor.lease.remaining        s            purpose, handle: until the keys lapse, below 0 after that
//	onlyfor.store.age              s            purpose, handle: since the store last answered
//	onlyfor.failing                {failure}    purpose, handle, source: 1 while the last question was in vain
//	onlyfor.generation             {change}     purpose, handle: changes of the keys so far
//	onlyfor.erasure.pending        {erasure}    purpose, handle: 1 while an erasure is under way or left behind
//	onlyfor.key.age                s            purpose, handle, role: of the primary keys
//	onlyfor.key.seals              {seal}       purpose, key: of the primary seal key, in all processes
//	onlyfor.clock.time             s            Unix time of the wall clock, to compare with others
//	onlyfor.clock.step             s            by how much the wall clock was set since the start
//	onlyfor.audit.failures         {event}      events that the auditor did not record
//	onlyfor.audit.unwitnessed      s            age of the oldest entry that nobody outside keeps a head of
//	onlyfor.audit.pending          {entry}      number of these entries
//	onlyfor.audit.keeps            {head}       result: heads that were kept, or not
//	onlyfor.store.duration         s            call, result: histogram of the calls of a Store
//	onlyfor.kek.duration           s            call, result: histogram of the calls of a KEK
//
// # A store that hangs
//
// A collection asks neither the store nor the key service, and so never waits for them.
// While a store hangs, onlyfor.store.age grows, onlyfor.failing turns to 1 after
// vault.Options.Timeout, and all other metrics are of the keys that are open.
package otel
