// Package realserver tests hcvault with a real HashiCorp Vault: version 1.14.2, the
// last of the Mozilla licence that builds as a module, in-process, with its transit
// engine, its policies and its HTTP interface. OpenBao began as a copy of that
// version.
//
// It is a module of its own, since the server takes two gigabytes of modules and,
// the first time, seven minutes of one core to compile. Nothing imports it:
//
//	go -C vault/kms/hcvault/internal/realserver test ./...
package realserver
