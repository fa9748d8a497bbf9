// Package inventory lists the uses of personal data in a package: the places that
// collect, reveal, hint at, index and extend values, and the scopes that they do it with.
//
// The analysis of one package can't tell the purpose of a scope that an importing package
// passes in:
//
//	func New(security *vault.Scope) *Service { return &Service{security} }
//
// Facts of go/analysis go from imported to importing packages, the wrong direction for
// this. So [Analyzer] reports each package as a [Package], with its part of the graph of
// package purposes, as the message of one diagnostic. Package registry joins the graphs
// and finds the purposes in the graph of the whole program.
package inventory
