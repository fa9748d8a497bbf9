// Package pii holds personal data that opens only for the purpose it was
// collected for.
//
// An [Email] or a [Phone] is sealed at the moment of collection, with keys that
// belong to the purpose. It replaces the string in an existing user model: it
// goes into databases, JSON and logs by itself, and never in clear. Revealing
// or matching it for another purpose fails, by cryptography.
//
//	user.Email, err = pii.SealEmail(ctx, form.Email, security)
//	address, err := user.Email.Reveal(ctx, security)
//	_, err = user.Email.Reveal(ctx, advertising) // pii: revealing email: collected for security, not advertising
//
// Start with [SealEmail]; a scope such as security comes from package vault.
//
// # Matching
//
// Two seals of one address differ, so a sealed value can't be searched for. An
// [Index] can: a keyed token of the canonical address, kept in a column of its
// own. Indexes of one person under two purposes have nothing in common.
//
//	index, err := pii.IndexEmail(ctx, form.Email, security) // WHERE email_index = $1
//
// # What is protected
//
// Whoever holds the database, logs or backups but not the keys of a purpose
// can't read, match or relabel what was collected for it. Types hold no
// plaintext, so no printer, encoder, debugger or test diff can show any. Errors
// never quote input.
//
// # What is not
//
// The string that Reveal returns is plain: what becomes of it is up to the
// caller, and grep -rn '\.Reveal(' lists all places where one is born. A
// process that holds the scopes of two purposes can read under one and seal
// under the other; give purposes to separate processes. Equality inside one
// purpose is visible in its index column. Addresses are checked for form, not
// for whether they exist or whose they are.
//
// # Other kinds
//
// A tax id or a postal address is a type of your own that embeds [Sealed]; see
// the package example.
package pii
