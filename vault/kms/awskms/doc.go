// Package awskms wraps the keys of a vault with keys of AWS KMS, through Tink's
// client.
//
//	keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
//	kek, err := awskms.New(ctx, keys, nil)
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one call of kms:Decrypt
//
// The README shows how to make the keys and grant their use; [kms.AWSPolicy] writes
// the policies.
//
// # Calls
//
// A vault calls kms:Decrypt when it opens the keys of a purpose, and kms:Encrypt and
// kms:Decrypt when it makes or changes them. Each call names the key, and has the
// purpose in the encryption context, under "associatedData" in hexadecimal.
// CloudTrail records it. The calls wrap and unwrap a data key of 32 bytes. Sealing
// and revealing a value makes no call.
//
// # Errors
//
// A refusal by AWS is [vault.ErrNoKeys], by its code: DisabledException,
// NotFoundException (as for a key that is in another region), IncorrectKeyException
// (an alias that points to another key now), InvalidCiphertextException (another key
// or another purpose) and their like. AccessDeniedException is also
// [vault.ErrAccessDenied]. Any other failure is [vault.ErrUnavailable]: no answer,
// throttling, an internal error of the service, and a proxy's answer of any status.
// Errors have the purpose, the URI and the code, and no text of AWS or a proxy.
//
// Requests and answers hold data keys in the clear, under TLS. The SDK's logging of
// bodies stays off, also if its configuration turns it on.
//
// The SDK tries three times by default. The context of the call ends that, and
// [vault.Options] bounds it.
package awskms
