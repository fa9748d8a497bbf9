// Package gcpkms wraps the keys of a vault with keys of Google Cloud KMS, through
// Tink's client.
//
//	keys := kms.Template("gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")
//	kek, err := gcpkms.New(ctx, keys, nil)
//	defer kek.Close()
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one call of Decrypt
//
// The README shows how to make the keys and grant their use; [kms.GCPPolicy] and
// [kms.GCPCommands] write the grants.
//
// # Calls
//
// A vault calls Decrypt when it opens the keys of a purpose, and Encrypt and Decrypt
// when it makes or changes them. The calls are gRPC, with the purpose as additional
// authenticated data, and with checksums of all fields in both directions. They wrap
// and unwrap a data key of 32 bytes. Sealing and revealing a value makes no call.
//
// Grants can't require authenticated data, so only the key separates purposes.
//
// # Errors
//
// A refusal by Cloud KMS is [vault.ErrNoKeys]: PermissionDenied, Unauthenticated,
// NotFound, FailedPrecondition (a key version that is disabled or destroyed) and
// InvalidArgument (a key that another key or another purpose wrapped). A
// PermissionDenied for a missing grant is also [vault.ErrAccessDenied]. Any other
// failure is [vault.ErrUnavailable]: no answer, no credentials, quotas, an internal
// error of the service, a wrong checksum, and a proxy's answer. Errors have the
// purpose, the URI and the code, and no text of Google or a proxy.
//
// Messages hold data keys in the clear, under TLS. The debug logging of Google's
// clients, which would write them, stays off, also if the environment turns it on.
//
// The client tries again while the service is unavailable, until the context of the
// call ends. [vault.Options] bounds it.
package gcpkms
