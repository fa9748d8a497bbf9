package main

import "github.com/onlyfor/onlyfor/purpose"

// A small program has its list where it is.
var security = purpose.MustParse("security")

func main() {
	purpose.MustParse("advertising") // want `purpose declared inside a function: make it a variable of the package that lists all purposes`
}
