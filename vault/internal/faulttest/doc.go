// Package faulttest has package vault meet a disk, a key store, a key service and an
// auditor that fail, hang or lie at each call; processes that are killed, power cuts,
// and keys that lapse or are replaced while they are in use. Run it alone with
//
//	go test ./vault/internal/faulttest
package faulttest
