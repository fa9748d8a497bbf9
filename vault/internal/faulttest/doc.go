// Package faulttest tests package vault with a disk, a key store, a key service and an
// auditor that fail, hang or lie at each call, with killed processes and power cuts,
// and with keys that lapse or are replaced while they are in use. Run it alone with
//
//	go test ./vault/internal/faulttest
package faulttest
