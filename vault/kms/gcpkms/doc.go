// Package gcpkms wraps the keys of a vault with keys of Google Cloud KMS, through
// Tink's client.
//
//	keys := kms.Template("gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")
//	kek, err := gcpkms.New(ctx, keys, nil)
//	defer kek.Close()
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one call of Decrypt
//
// The README says how to make the keys and whom to let use them;
// [kms.GCPPolicy] and [kms.GCPCommands] write the grants.
//
// # What is sent
//
// Decrypt when the keys of a purpose are opened, Encrypt and Decrypt when they
// are made or changed, over gRPC, with the purpose as additional authenticated
// data and with checksums of everything in both directions. What is wrapped is a
// data key of 32 bytes. No call is made for a value.
//
// Grants can't name authenticated data, so the key for each purpose is what
// separates roles.
//
// # Errors
//
// [vault.ErrNoKeys] is what Cloud KMS refuses: PermissionDenied, Unauthenticated,
// NotFound, FailedPrecondition (a key version that is disabled or destroyed) and
// InvalidArgument (what another key or another purpose wrapped). Everything else
// is [vault.ErrUnavailable]: no answer, no credentials to be had, quotas, the
// service's own trouble, checksums that are wrong, and what a proxy says in its
// place. Errors name the purpose, the URI and the code, and nothing that Google or
// a proxy wrote.
//
// Messages hold data keys in the clear, under TLS. The debug logging of Google's
// clients, which writes them out, stays off whatever the environment says.
//
// The client asks again while the service is unavailable, until the context of
// the call ends, which [vault.Options] bounds.
package gcpkms
