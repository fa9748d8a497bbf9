// Package registry writes the register for a privacy officer: every purpose of a code
// base, the notices that people are shown for it, and the places that collect, reveal and
// match values for it.
//
// [Link] builds a [Registry] from the inventories of all packages. It can be written as
// text, JSON or one HTML page, and its pairs of place and purpose can be compared with a
// lock file.
package registry
