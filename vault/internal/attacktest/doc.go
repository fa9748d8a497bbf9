// Package attacktest attacks package vault: values that are altered, spliced and moved,
// insiders of one purpose, erased people, older key stores, random histories, and what
// shows in memory or in print. Run it alone with
//
//	go test ./vault/internal/attacktest
package attacktest
