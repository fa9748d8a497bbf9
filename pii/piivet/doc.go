// Package piivet finds misuse of personal data in code that uses onlyfor,
// before a test or an audit does.
//
//	go tool piivet ./...
//
// It is a set of analyzers for go/analysis, for use in a driver of one's own. The command
// is in cmd/piivet. Each rule has a name and a page in docs. A directive with a reason
// turns a rule off in one place:
//
//	//piivet:allow leak support staff see the address on purpose
//
// # What it is not
//
// A boundary. It follows values through functions, fields and packages as far as its doc
// pages say, and no further. Reflection and unsafe hide a value from it, and so does a
// developer who means to. Separate processes with separate keys keep purposes apart;
// piivet finds honest mistakes.
package piivet
