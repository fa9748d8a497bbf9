// Package attacktest attacks package vault: with altered, spliced and moved values, as
// insiders of one purpose, with older key stores, after erasures, with random
// histories, and through memory and print. Run it alone with
//
//	go test ./vault/internal/attacktest
package attacktest
