// Package govet runs go vet with a tool of one's own and reads what it says.
//
// go vet does the work: it finds the packages, compiles what they import, runs
// the tool over them in parallel in the order of their imports, hands facts
// from one to the next, and keeps the answers in the build cache.
package govet
