// Package kms says which key of a key service wraps the keys of which purpose,
// and writes the policies that let a service use exactly its purposes.
//
// The clients are modules of their own, so that nobody pays for what they don't
// use: [github.com/onlyfor/onlyfor/vault/kms/awskms] for AWS KMS,
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
// What keeps the advertising service out of the security data is that the key
// service does not let it use that key. So write down which service may use
// which purposes, and let [AWSPolicy], [GCPPolicy] or [HCVaultPolicy] say it in
// the words of the key service:
//
//	text, err := kms.AWSPolicy(keys, kms.Role{Name: "ad-service", Opens: purpose.NewSet(purposes.Advertising)})
//
// A policy grants, and takes nothing away: an administrator's policy on the same
// role, project or token opens every purpose beside it.
//
// # What is bound
//
// The purpose is part of every request, as the encryption context of AWS and the
// associated data of the others. So keys that were wrapped for one purpose do
// not unwrap for another, even with one key for both, and AWS policies can and do
// require it. Neither Google Cloud nor Vault can: there, one key for each purpose
// is all that keeps them apart, and [Check] refuses two purposes with one key.
package kms
