// Package reconcile compares audit logs with the log of the key service. A process that
// keeps no audit log still has to ask the key service for its keys, and the key service
// writes that down:
//
//	report, err := reconcile.Run(ctx, logs, reconcile.HCVault("audit.log", file), &reconcile.Options{Keys: keys, Purposes: purposes})
//
// [HCVault] reads the file of an audit device of HashiCorp Vault or OpenBao, [CloudTrail]
// the records of AWS. The comparison goes both ways. An unwrap that the key service has
// seen and no log has is [FindingUnlogged]: some process has keys and keeps no log, or its
// log was not given to Run. An unwrap that a log has and the key service has not seen is
// [FindingUnseen]: the log of the key service lacks something, or another copy of the
// key-encryption key unwrapped the keys.
//
// # How unwraps are matched
//
// Each event of a vault says how often the key service has unwrapped keys for it (see
// [audit.Event].Unwraps). Run matches each of these unwraps with one decryption that the
// key service has logged, in the order of time, for each purpose apart. The event follows
// its decryption: by no more than [Options].Delay, give or take [Options].Skew.
//
// # Which identities are compared
//
// The purpose is compared. AWS logs the encryption context in clear, in which package
// awskms states the purpose and the vault. HashiCorp Vault hashes the associated data, and
// there the purpose is that of the key in the path. So two purposes that have one key at
// HashiCorp Vault can't be told apart, and package kms refuses such keys.
//
// The process is not compared: the key service names a token or a role, and an audit log a
// service and a host. Nothing joins the two. A process without a log that unwraps keys at
// the moment at which another process unwraps them too is found by the number of unwraps
// alone: there is one more than the logs have. [Finding] names who asked the key service
// for the decryption that is left over, which may be that of the honest process.
//
// An honest process can leave an unwrap without an event too: it is killed between the two,
// or the answer of the key service is lost. If it asks again at once, the first one is noted
// as retried, up to [Options].Retries times for one event.
//
// # What it does not protect
//
// Keys that leave a process after an honest unwrap leave no second trace at the key
// service. Neither does the use of a copy of the key-encryption key outside of the key
// service. Whoever can edit the log of the key service can hide from it.
package reconcile
