// Package alloctest counts allocations as a program outside package pii has them: there the
// compiler knows less about the generic functions of pii than in its own tests.
package alloctest
