// Package pii holds personal data that opens only for the purpose it was
// collected for.
//
// An [Email] or a [Phone] is sealed at the moment of collection, with keys that
// belong to the purpose. It replaces the string in an existing user model.
// Databases, JSON and logs take it as it is, and never get the plaintext. To
// reveal or match it for another purpose fails, by cryptography.
//
//	user.Email, err = pii.SealEmail(ctx, form.Email, security)
//	address, err := user.Email.Reveal(ctx, security)
//	_, err = user.Email.Reveal(ctx, advertising) // pii: revealing email: collected for security, not advertising
//
// Start with [SealEmail]. A scope such as security comes from package vault.
//
// # Matching
//
// Two seals of one address differ, so a query can't search for a sealed value. It
// can search for an [Index]: a keyed token of the canonical address, kept in a
// column of its own. Indexes of one person under two purposes have nothing in
// common.
//
//	user.Email, user.EmailIndex, err = pii.SealEmailIndexed(ctx, form.Email, security)
//	wanted, err := pii.IndexesEmail(ctx, form.Email, security) // WHERE email_index IN (…)
//
// An address has one index, and two while the index key rotates. A look-up with
// [IndexesEmail] finds people on that day too, and with [OrNobody] it finds nobody by
// malformed text.
//
// # Guarantees
//
// A person who has the database, the logs or the backups, but not the keys of a
// purpose, can't read, match or relabel the values collected for it. Types hold
// no plaintext, so no printer, encoder, debugger or test diff can show any.
// Errors never quote input.
//
// # Limits
//
// Reveal returns plaintext, and the caller is responsible for it from then on;
// grep -rn '\.Reveal(' lists all places where plaintext is born. A process that
// holds the scopes of two purposes can read under one and seal under the other:
// give purposes to separate processes. The index column of a purpose shows which
// of its rows are equal. Addresses are checked for their form alone: not for
// whether they exist, nor for whose they are.
//
// # Other kinds
//
// A tax id or a postal address is a type of your own that embeds [Sealed]. The
// package example shows one.
package pii
