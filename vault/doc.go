// Package vault holds the keys of purposes, and opens a value only with the keys of a
// purpose that it was collected for.
//
// Open a [Vault] once, over a [Store] that keeps wrapped keys and a [KEK] that
// unwraps them, and take a [Scope] for each purpose that the process serves:
//
//	v, err := vault.Open(ctx, vault.Dir("keys"), vault.LocalKEK("kek"), nil)
//	security, err := v.Scope(ctx, purposes.Security)
//
// An [Admin] makes the keys, once, and rotates and retires them. A Vault, which a
// request handler may hold, changes none.
//
// Programs seal and reveal values through package pii. Its kinds of values are built on
// [Seal], [Scope.Reveal] and [Scope.Index].
//
// # Keys
//
// Every purpose has keysets of its own, without a common root: one seals values (Tink
// AES-256-GCM) and one computes blind indexes (Tink AES-CMAC PRF). They are stored
// wrapped by the KEK of the purpose, and bound to its name. A vault asks the KEK when it
// opens a scope, and never for a value. The KEK therefore decides which process may use
// which purpose.
//
// A sealed value has one slot for each purpose that it was collected for. A slot binds
// the kind, the purpose, the provenance and the value that it is part of. The scope
// decides which key opens a slot; the content of the value does not. FORMAT.md is the
// specification.
//
// # Less than a scope
//
// A process gets no more than it needs. A [Collector] seals with a public key and opens
// nothing, for web front ends. A [Lookup] computes indexes. A [Reader] reveals.
// [Vault.CheckDenied] proves at start that this process can't open other purposes.
//
// # Protected
//
// Without the keys of a purpose nobody can read, match, relabel or move a value that
// was collected for it: not with the database, not with the key store, not with the
// keys of all other purposes.
//
// # Not protected
//
// A process that holds the scopes of two purposes can read under one and seal under the
// other: only separate processes with separate KEKs are a boundary. Keys and plaintexts
// stay in memory until the garbage collector reuses it. An attacker who can write to a
// database can delete values, or restore older values of the same kind and purpose.
//
// # Limits
//
// One key may seal 2^32 values, because nonces are random (NIST SP 800-38D, section
// 8.3).
//
// # Layout
//
// For readers of the code, from the outside in. A Vault holds the opened keys of
// purposes; both share a backend, and neither leads back to the Vault.
//
//	vault admin rewrap check          the API of an application and its operator
//	scope lookup reader collector     the rights that it hands out
//	seal reveal index sealed kind     values: each verb, and the sealed value
//	subject subjectcache erase        the keys of one person
//	backend call purposekeys keys     keys in memory: calls, refresh, leases
//	keyrecord                         the record that the store keeps of them
//	primitives                        every AEAD, PRF, HPKE and hash call
//	internal/format                   the sealed format as bytes, and bind.go:
//	                                  every input that is bound or tagged
//	kek kekclient localkek            key-encryption keys, and calls of them
//	store dir memory                  key stores
//	event, package audit              the record of every use
package vault
