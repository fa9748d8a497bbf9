package test

import _ "github.com/onlyfor/onlyfor/purpose"
