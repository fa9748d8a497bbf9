// Package registry is what a privacy officer reads: every purpose of a code
// base, the notices that people are shown for it, and the places that collect,
// reveal and match values for it.
//
// [Link] makes a [Registry] of the inventories of all packages. It is written as
// text, JSON or one HTML page, and its pairs of place and purpose are compared
// with those of a lock file.
package registry
