// Piivet finds misuse of personal data in code that uses onlyfor, and writes the
// register of what it is used for.
//
//	go tool piivet ./...                          # what should be different
//	go tool piivet -adopt ./...                   # plain fields to wrap
//	go tool piivet -report -html ./... > use.html # every purpose, and what is done for it
//	go tool piivet -check piivet.lock ./...       # is there a use that nobody has reviewed?
//
// It runs go vet with itself as the tool, and can be run that way as well:
//
//	go vet -vettool="$(go tool -n piivet)" ./...
//
// The exit code is 0 if there is nothing to report, 1 if there is, and 2 if
// packages could not be checked, in which case there is no other output.
package main
