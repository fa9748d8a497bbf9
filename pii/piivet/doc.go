// Package piivet finds misuse of personal data in code that uses onlyfor,
// before a test or an audit does.
//
//	go tool piivet ./...
//
// It is a set of analyzers for go/analysis, for drivers of one's own; the
// command is in cmd/piivet. Each rule has a name, a page in docs, and a way
// around it that demands a reason:
//
//	//piivet:allow leak support staff see the address on purpose
//
// # What it is not
//
// A boundary. It follows values through functions, fields and packages as far
// as its doc pages say, and no further: reflection, unsafe, and whoever means to
// get around it do. What keeps purposes apart is separate processes with
// separate keys; piivet finds honest mistakes.
package piivet
