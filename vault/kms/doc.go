// Package kms names the key of a key service that wraps the keys of each purpose,
// and writes policies that let a service use exactly its purposes.
//
// The clients are modules of their own, so that a program has only the clients that
// it uses: [github.com/onlyfor/onlyfor/vault/kms/awskms] for AWS KMS,
// [github.com/onlyfor/onlyfor/vault/kms/gcpkms] for Google Cloud KMS and
// [github.com/onlyfor/onlyfor/vault/kms/hcvault] for the transit engine of
// HashiCorp Vault and OpenBao. Each gives a [vault.KEK]:
//
//	keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
//	kek, err := awskms.New(ctx, keys, nil)
//	v, err := vault.Open(ctx, store, kek, nil)
//
// # Policies
//
// The key service keeps the advertising service out of the security data, because
// it does not let that service use the key. So write down which service may use
// which purposes, and have [AWSPolicy], [GCPPolicy] or [HCVaultPolicy] write the
// policy in the language of the key service:
//
//	text, err := kms.AWSPolicy(keys, kms.Role{Name: "ad-service", Opens: purpose.NewSet(purposes.Advertising)})
//
// A policy grants, and revokes nothing: an administrator's policy on the same role,
// project or token still opens every purpose.
//
// # Associated data
//
// The purpose is part of every request, as the encryption context of AWS and the
// associated data of the other services. So keys that were wrapped for one purpose
// do not unwrap for another, even with one key for both. AWS policies require the
// right encryption context. Policies of Google Cloud and Vault can't: there, only the
// key separates purposes, and [Check] refuses two purposes with one key.
package kms
