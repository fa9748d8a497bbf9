// Package inventory lists what a package does with personal data: where it
// collects, reveals, hints at, indexes and extends values, with which scopes, and
// how scopes and purposes travel through it.
//
// One package alone can't tell which purpose a scope belongs to, for it is
// handed over by another one that imports it:
//
//	func New(security *vault.Scope) *Service { return &Service{security} }
//
// Facts of go/analysis go from imported to importing packages, which is the wrong
// way. So [Analyzer] reports each package as a [Package] with references
// instead of names, as the message of one diagnostic, and package registry puts
// all of them together and follows the references.
//
// # What is followed
//
// Variables, fields (of all values of a type alike), elements of slices, maps,
// arrays and channels (alike), parameters and results of functions, methods and
// closures, generic ones as well, each call for itself; calls through interfaces
// and function values, to every function of that name and signature.
//
// # What is not
//
// Values that are handed on as an any, by reflection, or through code outside of
// the packages that were looked at. They are [Unknown], with the reason.
package inventory
