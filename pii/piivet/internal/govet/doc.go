// Package govet runs go vet with a given tool and parses the output.
//
// go vet finds the packages, compiles their imports, runs the tool over the packages in
// parallel in the order of their imports, passes facts from package to package, and
// caches the results in the build cache.
package govet
