// Package vault holds the keys of purposes, and opens a value only under those
// of a purpose that it was collected for.
//
// Open a [Vault] once, over a [Store] that keeps wrapped keys and a [KEK] that
// unwraps them, and take a [Scope] for each purpose that the process serves:
//
//	v, err := vault.Open(ctx, vault.Dir("keys"), vault.LocalKEK("kek"), nil)
//	err = v.Generate(ctx, purposes.Security, purposes.Advertising) // once
//	security, err := v.Scope(ctx, purposes.Security)
//
// Values are sealed and revealed through package pii; [Seal], [Scope.Reveal] and
// [Scope.Index] are what kinds of values are built on.
//
// # Keys
//
// Every purpose has keysets of its own, without a common root: one that seals
// values (Tink AES-256-GCM) and one that computes blind indexes (Tink AES-CMAC
// PRF). They are stored wrapped by the KEK of that purpose, bound to its name.
// The KEK is asked when a scope is opened, never for a value, and so decides
// which process may use which purpose.
//
// A sealed value has one slot for each purpose that it was collected for. A
// slot binds kind, purpose, provenance and the value it is part of; which key
// opens it is decided by the scope, never by what the value says of itself.
// FORMAT.md is the specification.
//
// # Less than a scope
//
// A process gets no more than it needs: a [Collector] seals with a public key and
// opens nothing, for web front ends; a [Lookup] indexes; a [Reader] reveals.
// [Vault.MustNotOpen] proves at start that other purposes stay shut.
//
// # What is protected
//
// Without the keys of a purpose nobody can read, match, relabel or move what was
// collected for it: not with the database, not with the key store, not with the
// keys of all other purposes.
//
// # What is not
//
// A process that holds the scopes of two purposes can read under one and seal
// under the other; only separate processes with separate KEKs are a boundary.
// Keys and plaintexts stay in memory until the garbage collector reuses it.
// Whoever can write to a database can delete values, or put back older ones of
// the same kind and purpose.
//
// # Limits
//
// One key may seal 2^32 values, for nonces are random (NIST SP 800-38D, section
// 8.3).
package vault
