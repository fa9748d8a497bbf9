// Package notices declares bases for other packages, which the test does not
// look at.
package notices

import "github.com/onlyfor/onlyfor/purpose"

// Fixed stays as it is.
var Fixed = purpose.Basis{Legal: purpose.Contract, Notice: "fixed-v1"}

// Changed is set to something else, perhaps.
var Changed = purpose.Basis{Legal: purpose.Contract, Notice: "changed-v1"}

// Change changes it.
func Change() { Changed = purpose.Basis{Legal: purpose.Contract, Notice: "changed-v2"} }
