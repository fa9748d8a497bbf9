// Command outside uses the test kit where it must not be used.
package main

import "github.com/onlyfor/onlyfor/pii/piitest"

func main() {
	piitest.New(nil)
	println("unreachable")
}
