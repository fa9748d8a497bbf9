// Package awskms wraps the keys of a vault with keys of AWS KMS, through Tink's
// client.
//
//	keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
//	kek, err := awskms.New(ctx, keys, nil)
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one call of kms:Decrypt
//
// The README says how to make the keys and whom to let use them;
// [kms.AWSPolicy] writes the policies.
//
// # What is sent
//
// kms:Decrypt when the keys of a purpose are opened, kms:Encrypt and kms:Decrypt
// when they are made or changed, each with the key named and with the purpose in
// the encryption context, under "associatedData" in hexadecimal. CloudTrail
// records it. What is wrapped is a data key of 32 bytes. No call is made for a
// value.
//
// # Errors
//
// [vault.ErrNoKeys] is what AWS refuses: AccessDeniedException, DisabledException,
// NotFoundException (a key that is in another region is not found),
// IncorrectKeyException (an alias that points elsewhere now),
// InvalidCiphertextException (another key or another purpose) and their like, by
// the code that AWS gives. Everything else is [vault.ErrUnavailable]: no answer,
// throttling, the service's own trouble, and what a proxy says in its place,
// whatever its status. Errors name the purpose, the URI and the code, and
// nothing that AWS or a proxy wrote.
//
// Requests and answers hold data keys in the clear, under TLS. The SDK's logging
// of bodies stays off whatever its configuration says.
//
// The SDK tries three times unless its configuration says otherwise; the
// context of the call ends that, and [vault.Options] bounds it.
package awskms
