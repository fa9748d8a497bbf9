// Piivet finds misuse of personal data in code that uses onlyfor, and writes a register
// of the uses of personal data by purpose.
//
//	go tool piivet ./...                          # the findings of the rules
//	go tool piivet -adopt ./...                   # plain fields to wrap
//	go tool piivet -report -html ./... > use.html # every purpose and its uses
//	go tool piivet -check piivet.lock ./...       # is there a use that is not in the lock file?
//
// It runs go vet with itself as the tool, and also works as the tool of go vet:
//
//	go vet -vettool="$(go tool -n piivet)" ./...
//
// The exit code is 0 if there is nothing to report, 1 if there are findings or uses that
// the lock file does not have, and 2 if packages could not be checked. With exit code 2
// there is no output but the error.
package main
