// Package place implements the rules about the places of code: where purposes are declared,
// where scopes are kept, where values are revealed, and which purposes a package may use.
package place
