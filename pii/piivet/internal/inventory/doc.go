// Package inventory lists the uses of personal data in a package: the places that
// collect, reveal, hint at, index and extend values, the scopes that they do it with, and
// the flow of scopes and purposes through the package.
//
// The analysis of one package can't tell the purpose of a scope that an importing package
// passes in:
//
//	func New(security *vault.Scope) *Service { return &Service{security} }
//
// Facts of go/analysis go from imported to importing packages, the wrong direction for
// this. So [Analyzer] reports each package as a [Package] with references in place of
// names, as the message of one diagnostic. Package registry joins the packages and
// resolves the references.
//
// # Tracked values
//
// References are tracked through variables; through fields, without a distinction between
// values of the same type; through elements of slices, maps, arrays and channels, without
// a distinction between elements; through parameters and results of functions, methods
// and closures, with each call of a generic one on its own; and through calls of
// interfaces and function values, to every function of that name and signature.
//
// # Limits
//
// Values that are passed as an any, by reflection, or through code outside of the
// analyzed packages are not tracked. They are [Unknown], with the reason.
package inventory
