// Command outside uses the test kit where it must not be used, and prints what
// refused.
package main

import (
	"context"
	"fmt"

	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault/audit"
)

func main() {
	refuses("New", func() { piitest.New(nil) })
	refuses("Golden", func() { piitest.Golden(nil, "golden.keys") })
	refuses("Separate", func() { piitest.Separate(nil, nil) })
	refuses("Audit", func() { (&piitest.Recorder{}).Audit(context.Background(), audit.Event{}) })
	refuses("Only", func() { (&piitest.Recorder{}).Record().Only(nil) })
	refuses("Script", func() { (&piitest.Outage{}).Script() })
	refuses("Canary", func() { piitest.Canary(nil, nil, nil) })
	refuses("NoLeak", func() { piitest.NoLeak(nil, nil) })
	refuses("NoLeakParallel", func() { piitest.NoLeakParallel(nil, nil) })
	refuses("Seed", func() { piitest.Seed(nil) })
	refuses("Labels", func() { piitest.Labels("") })
}

func refuses(name string, f func()) {
	defer func() {
		if recover() == "piitest: used outside a test" {
			fmt.Println(name)
		}
	}()
	f()
}
